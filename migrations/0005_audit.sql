-- What happened: the audit trail, personal values beside it, and events on their way out.

create table audit_events (
    client_id  uuid        not null,
    id         uuid        not null,
    at         timestamptz not null,
    action     text        not null,
    actor_kind text        not null,
    actor_id   text,
    target     text,
    reason     text,
    reference  text,
    facts      jsonb       not null default '{}',
    constraint audit_events_pkey primary key (client_id, id),
    constraint audit_events_actor_known check (actor_kind in ('token', 'learner', 'idp', 'system', 'anonymous'))
);
comment on table audit_events is 'A row is one thing that happened, in ids and reason codes only; append-only. The nil client holds operator events.';
create index audit_events_by_target on audit_events (client_id, target, id) where target is not null;
create index audit_events_by_reference on audit_events (client_id, reference) where reference is not null;

create function audit_events_are_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit events are append-only' using errcode = 'restrict_violation';
end $$;
create trigger audit_events_append_only before update or delete on audit_events
    for each row execute function audit_events_are_append_only();

create table audit_values (
    client_id  uuid  not null,
    event_id   uuid  not null,
    learner_id uuid,
    before     jsonb not null default '{}',
    after      jsonb not null default '{}',
    constraint audit_values_pkey primary key (client_id, event_id),
    constraint audit_values_event_fkey foreign key (client_id, event_id) references audit_events (client_id, id)
);
comment on table audit_values is 'A row holds the personal values before and after one audit event; erasing a learner deletes it.';
create index audit_values_by_learner on audit_values (client_id, learner_id) where learner_id is not null;

create table outbox_events (
    client_id  uuid        not null,
    id         uuid        not null,
    type       text        not null,
    payload    jsonb       not null,
    created_at timestamptz not null,
    constraint outbox_events_pkey primary key (client_id, id)
);
comment on table outbox_events is 'A row is an event for the outside, written in the transaction that made it true; delivered and removed by webhooks.';
