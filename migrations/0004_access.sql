-- Who may see which sublicense, and how many may.

create table access_grants (
    client_id     uuid        not null,
    learner_id    uuid        not null,
    sublicense_id uuid        not null,
    source        text        not null,
    source_ref    text        not null,
    role          text        not null default 'learner',
    starts_at     timestamptz not null,
    ends_at       timestamptz,
    end_reason    text,
    created_at    timestamptz not null,
    constraint access_grants_pkey primary key (client_id, learner_id, sublicense_id, source, source_ref),
    constraint access_grants_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint access_grants_sublicense_fkey foreign key (client_id, sublicense_id) references sublicenses (client_id, id) on delete restrict,
    constraint access_grants_source_known check (source in ('sso', 'registration_code', 'redemption_code', 'invite', 'admin', 'import', 'scim')),
    constraint access_grants_role_known check (role in ('learner', 'manager')),
    constraint access_grants_order check (ends_at >= starts_at)
);
comment on table access_grants is 'A row is one reason why a learner may see a sublicense. Access is the union of the current rows; an ended row stays as history.';
comment on column access_grants.source_ref is 'What within the source granted it: the connection, code, invite or import.';
create index access_grants_by_sublicense on access_grants (client_id, sublicense_id, learner_id);
create index access_grants_by_end on access_grants (client_id, ends_at) where ends_at is not null;

create table blocks (
    client_id     uuid        not null,
    learner_id    uuid        not null,
    sublicense_id uuid        not null,
    created_at    timestamptz not null,
    created_by    text        not null,
    constraint blocks_pkey primary key (client_id, learner_id, sublicense_id),
    constraint blocks_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint blocks_sublicense_fkey foreign key (client_id, sublicense_id) references sublicenses (client_id, id) on delete restrict
);
comment on table blocks is 'A row is an admin''s removal of a learner from a sublicense: automatic sources do not grant it again until it is cleared.';

create table seat_counters (
    client_id  uuid        not null,
    scope_id   uuid        not null,
    used       integer     not null default 0,
    reserved   integer     not null default 0,
    counted_at timestamptz not null,
    constraint seat_counters_pkey primary key (client_id, scope_id),
    constraint seat_counters_client_fkey foreign key (client_id) references clients (id) on delete cascade,
    constraint seat_counters_natural check (used >= 0 and reserved >= 0)
);
comment on table seat_counters is 'A row counts the seats taken where a limit exists. scope_id is the sublicense, or the client itself. Never below the truth: lapsed grants are counted out when it is full.';
comment on column seat_counters.counted_at is 'When `used` was last counted: counting again helps only if something lapsed since.';

create table seat_reservations (
    client_id  uuid        not null,
    scope_id   uuid        not null,
    holder     uuid        not null,
    expires_at timestamptz not null,
    constraint seat_reservations_pkey primary key (client_id, scope_id, holder),
    constraint seat_reservations_client_fkey foreign key (client_id) references clients (id) on delete cascade
);
comment on table seat_reservations is 'A row holds one seat for somebody who is not there yet, such as an open invite''s. scope_id as in seat_counters, whose reserved is the number of rows.';
create index seat_reservations_by_holder on seat_reservations (client_id, holder);

-- A counter from before a limit changed may be below the truth, because nothing is counted where no limit is set.
create function forget_seat_counter() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'clients' then
        delete from seat_counters where client_id = new.id and scope_id = new.id;
    else
        delete from seat_counters where client_id = new.client_id and scope_id in (new.id, new.client_id);
    end if;
    return new;
end $$;
create trigger clients_seat_limit_changed after update of seat_limit on clients
    for each row when (old.seat_limit is distinct from new.seat_limit) execute function forget_seat_counter();
-- An end that moves makes lapsed grants current again.
create trigger sublicenses_seats_changed after update of seat_limit, ends_at on sublicenses
    for each row when (old.seat_limit is distinct from new.seat_limit or old.ends_at is distinct from new.ends_at)
    execute function forget_seat_counter();
