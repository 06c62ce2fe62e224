-- Bulk imports: a file of people, what a dry run says of each row, and what became of it.

alter table learners add column is_unclaimed boolean not null default false;
comment on column learners.is_unclaimed is 'Made by an import: until somebody proves the address, nobody can sign in as this learner.';
-- Two imports that run at once make one record of one address.
create unique index learners_unclaimed_email_unique on learners (client_id, email_key) where is_unclaimed and not email_verified;

create table imports (
    client_id       uuid        not null,
    id              uuid        not null,
    state           text        not null,
    file_name       text,
    options         jsonb       not null default '{}',
    file            jsonb       not null default '{}',
    across_clients  boolean     not null default false,
    rows_total      integer     not null default 0,
    rows_done       integer     not null default 0,
    next_row        integer     not null default 0,
    counts          jsonb,
    results         jsonb,
    choice          jsonb,
    failure         text,
    created_at      timestamptz not null,
    created_by      text        not null,
    checked_at      timestamptz,
    confirmed_at    timestamptz,
    finished_at     timestamptz,
    undone_at       timestamptz,
    author          text,
    reference       text,
    worked_at       timestamptz not null,
    lease_by        uuid,
    lease_until     timestamptz,
    rows_removed_at timestamptz,
    constraint imports_pkey primary key (client_id, id),
    constraint imports_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint imports_state_known check (state in ('receiving', 'checking', 'ready', 'running', 'done', 'failed', 'undoing', 'undone')),
    constraint imports_lease_whole check ((lease_by is null) = (lease_until is null)),
    constraint imports_failed_has_reason check ((state = 'failed') = (failure is not null))
);
comment on table imports is 'A row is one uploaded file of people and how far it has come.';
comment on column imports.across_clients is 'Whether some row names another client: then only an operator may see it.';
comment on column imports.next_row is 'Rows up to this number are dealt with in the present state; written in the transaction of each batch.';
comment on column imports.author is 'Who asked for what is under way, for the audit trail; the token''s id.';
comment on column imports.lease_by is 'The replica at work. Its batches commit only while the lease is its own.';
create index imports_at_work on imports (worked_at) where state in ('receiving', 'checking', 'running', 'undoing');
create index imports_rows_to_remove on imports (created_at) where rows_removed_at is null;

create table import_rows (
    client_id    uuid     not null,
    import_id    uuid     not null,
    row_number   integer  not null,
    target_id    uuid,
    data         jsonb    not null,
    outcome      text,
    problem      text,
    problem_at   text,
    duplicate_of integer,
    result       text,
    learner_id   uuid,
    invite_id    uuid,
    constraint import_rows_pkey primary key (client_id, import_id, row_number),
    constraint import_rows_import_fkey foreign key (client_id, import_id) references imports (client_id, id) on delete cascade,
    constraint import_rows_target_fkey foreign key (target_id) references clients (id) on delete restrict
) with (fillfactor = 50);
comment on table import_rows is 'A row is one row of an import''s file: its cells, what the dry run says, what became of it. Removed after some days: it is personal.';
comment on column import_rows.target_id is 'The client that the row is for; the import''s own unless an operator''s file names another. Null where it cannot be told.';
comment on column import_rows.problem is 'Why it is not good, as a code; problem_at is the column of the file.';

create table import_seats (
    client_id uuid    not null,
    import_id uuid    not null,
    target_id uuid    not null,
    scope_id  uuid    not null,
    free      integer not null,
    needed    integer not null,
    fitting   integer not null,
    constraint import_seats_pkey primary key (client_id, import_id, target_id, scope_id),
    constraint import_seats_import_fkey foreign key (client_id, import_id) references imports (client_id, id) on delete cascade,
    constraint import_seats_target_fkey foreign key (target_id) references clients (id) on delete restrict
);
comment on table import_seats is 'A row compares, for one limit, the seats that an import needs with those that were free when it was checked. scope_id as in seat_counters.';
