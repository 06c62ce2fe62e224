-- Sign-in attempts as an admin reads them afterwards.

create table attempts (
    client_id         uuid        not null,
    id                uuid        not null,
    connection_id     uuid        not null,
    initiated_by      text        not null,
    started_at        timestamptz not null,
    finished_at       timestamptz not null,
    outcome           text        not null,
    code              text,
    fix_side          text,
    explanation       text,
    reference         text        not null,
    learner_id        uuid,
    checks            jsonb       not null default '[]',
    mapping_version   integer,
    mapping_outcome   jsonb,
    claims_sealed     bytea,
    claims_expire_at  timestamptz,
    is_shared         boolean     not null default false,
    constraint attempts_pkey primary key (client_id, id),
    constraint attempts_client_fkey foreign key (client_id) references clients (id) on delete cascade,
    constraint attempts_initiated_by_known check (initiated_by in ('sp', 'idp')),
    constraint attempts_outcome_known check (outcome in ('succeeded', 'refused')),
    constraint attempts_refused_has_code check ((outcome = 'refused') = (code is not null)),
    constraint attempts_fix_side_known check (fix_side in ('ours', 'idp', 'mapping', 'admin', 'learner'))
);
comment on table attempts is 'A row is the record of one sign-in that came to an end: each check, its outcome, and which side must fix it.';
comment on column attempts.claims_sealed is 'The claims as received, sealed; opened only for a dry run, removed after 14 days.';
comment on column attempts.is_shared is 'The connection served several clients: what its mapping did is for operators to read.';
create index attempts_by_reference on attempts (client_id, reference);
create index attempts_by_connection on attempts (client_id, connection_id, id);
create index attempts_claims_to_remove on attempts (claims_expire_at) where claims_sealed is not null;

create table used_assertions (
    client_id     uuid        not null,
    connection_id uuid        not null,
    digest        bytea       not null,
    expires_at    timestamptz not null,
    constraint used_assertions_pkey primary key (client_id, connection_id, digest),
    constraint used_assertions_connection_fkey foreign key (client_id, connection_id) references connections (client_id, id) on delete cascade
);
comment on table used_assertions is 'A row remembers an unsolicited assertion until it expires, so that it opens one session only, whatever happens to Redis. client_id is the connection''s owner, whichever client was chosen.';
create index used_assertions_expired on used_assertions (expires_at);
