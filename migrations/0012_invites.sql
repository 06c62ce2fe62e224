-- Invites: an offer by e-mail to one address, and the links that were sent.

alter table clients add column invite_any_domain_address boolean not null default false;
comment on column clients.invite_any_domain_address is 'Whether an invite may be accepted by another address than the invited one, verified and in a proved domain of the client.';

create table invites (
    client_id        uuid        not null,
    id               uuid        not null,
    email            text        not null,
    email_key        text        not null,
    first_name       text        not null default '',
    last_name        text        not null default '',
    role             text        not null default 'learner',
    locale           text,
    message          text,
    status           text        not null default 'pending',
    learner_id       uuid,
    source_ref       text,
    times_sent       integer     not null default 1,
    reminders_sent   integer     not null default 0,
    invited_at       timestamptz not null,
    sent_at          timestamptz,
    next_reminder_at timestamptz,
    expires_at       timestamptz not null,
    accepted_at      timestamptz,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    constraint invites_pkey primary key (client_id, id),
    constraint invites_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint invites_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete set null (learner_id),
    constraint invites_status_known check (status in ('pending', 'sent', 'bounced', 'accepted', 'expired', 'revoked')),
    constraint invites_role_known check (role in ('learner', 'manager')),
    constraint invites_accepted_whole check ((status = 'accepted') = (accepted_at is not null)),
    constraint invites_reminded_while_sent check (next_reminder_at is null or status = 'sent'),
    constraint invites_email_length check (length(email) between 3 and 320),
    constraint invites_names_length check (char_length(first_name) <= 200 and char_length(last_name) <= 200),
    constraint invites_message_length check (char_length(message) <= 2000)
);
comment on table invites is 'A row is an offer by e-mail to one address. Its id holds the seats it reserves while it is open.';
comment on column invites.status is 'Open while pending (the mail waits), sent or bounced; then accepted, expired or revoked for good.';
comment on column invites.learner_id is 'Who accepted it.';
comment on column invites.source_ref is 'The import that made it; null where an admin did.';
comment on column invites.invited_at is 'When it was made or last renewed.';
comment on column invites.next_reminder_at is 'When the next reminder falls due, by the client''s schedule when the mail was sent.';
create unique index invites_open_email_unique on invites (client_id, email_key) where status in ('pending', 'sent', 'bounced');
create index invites_by_email on invites (client_id, email_key, id);
create index invites_by_status on invites (client_id, status, id);
create index invites_by_source on invites (client_id, source_ref, id) where source_ref is not null;
create index invites_by_learner on invites (client_id, learner_id) where learner_id is not null;
create index invites_to_remind on invites (next_reminder_at) where next_reminder_at is not null;
create index invites_to_expire on invites (expires_at) where status in ('pending', 'sent', 'bounced');

create table invite_sublicenses (
    client_id     uuid not null,
    invite_id     uuid not null,
    sublicense_id uuid not null,
    constraint invite_sublicenses_pkey primary key (client_id, invite_id, sublicense_id),
    constraint invite_sublicenses_invite_fkey foreign key (client_id, invite_id) references invites (client_id, id) on delete cascade,
    constraint invite_sublicenses_sublicense_fkey foreign key (client_id, sublicense_id) references sublicenses (client_id, id) on delete cascade
);
comment on table invite_sublicenses is 'A row is one sublicense that an invite offers. One that is deleted is offered no more.';
create index invite_sublicenses_by_sublicense on invite_sublicenses (client_id, sublicense_id, invite_id);

create table invite_links (
    client_id   uuid        not null,
    hash        bytea       not null,
    invite_id   uuid        not null,
    is_reminder boolean     not null default false,
    made_at     timestamptz not null,
    replaced_at timestamptz,
    constraint invite_links_pkey primary key (client_id, hash),
    constraint invite_links_invite_fkey foreign key (client_id, invite_id) references invites (client_id, id) on delete cascade,
    constraint invite_links_hash_length check (length(hash) = 32)
);
comment on table invite_links is 'A row is the SHA-256 of one link that was sent. A replaced one stays, to say that a newer mail was sent.';
create index invite_links_by_invite on invite_links (client_id, invite_id, made_at);
