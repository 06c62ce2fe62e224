-- Learners and the identities by which single sign-on finds them.

create table learners (
    client_id      uuid        not null,
    id             uuid        not null,
    sub            uuid        not null,
    email          text,
    email_key      text,
    email_verified boolean     not null default false,
    first_name     text        not null default '',
    last_name      text        not null default '',
    locale         text,
    external_id    text,
    attributes     jsonb       not null default '{}',
    status         text        not null default 'active',
    session_epoch  integer     not null default 1,
    version        bigint      not null default 1,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    last_login_at  timestamptz,
    constraint learners_pkey primary key (client_id, id),
    constraint learners_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint learners_status_known check (status in ('active', 'suspended')),
    constraint learners_email_whole check ((email is null) = (email_key is null)),
    constraint learners_verified_needs_email check (not email_verified or email is not null),
    constraint learners_email_length check (length(email) <= 320),
    constraint learners_names_length check (char_length(first_name) <= 200 and char_length(last_name) <= 200)
);
comment on table learners is 'A row is a person''s record inside one client.';
comment on column learners.sub is 'What the learning platform knows the learner by; survives a move to another client.';
comment on column learners.email_key is 'The address in its one comparable spelling: lower case, NFC, domain in ASCII.';
comment on column learners.session_epoch is 'Sessions of an earlier epoch are dead, even where Redis could not be told.';
create unique index learners_verified_email_unique on learners (client_id, email_key) where email_verified;
create index learners_by_email on learners (client_id, email_key, id);
create index learners_by_external_id on learners (client_id, external_id) where external_id is not null;

create table identities (
    client_id     uuid        not null,
    connection_id uuid        not null,
    issuer        text        not null,
    subject       text        not null,
    learner_id    uuid        not null,
    created_at    timestamptz not null,
    constraint identities_pkey primary key (client_id, connection_id, issuer, subject),
    constraint identities_connection_fkey foreign key (client_id, connection_id) references connection_clients (client_id, connection_id) on delete cascade,
    constraint identities_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint identities_lengths check (length(issuer) between 1 and 1024 and length(subject) between 1 and 256)
);
comment on table identities is 'A row is the only key by which single sign-on finds a learner: what one IdP calls one person.';
create index identities_by_learner on identities (client_id, learner_id);
