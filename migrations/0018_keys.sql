-- Sealing keys as they are rolled over, and certificates that are about to end.

create table replica_rings (
    replica uuid        not null,
    ring    text[]      not null,
    seals   text        not null,
    seen_at timestamptz not null,
    constraint replica_rings_pkey primary key (replica),
    constraint replica_rings_not_empty check (cardinality(ring) > 0)
);
comment on table replica_rings is 'A row says which sealing keys one running replica holds, by number and check value; written anew every few seconds, and old once the replica is gone.';
comment on column replica_rings.seals is 'The key that it seals with: the first of its ring that every replica holds.';

create table reseals (
    part         text        not null,
    key          text        not null,
    after_client uuid        not null,
    after_row    uuid        not null,
    passed       bigint      not null default 0,
    resealed     bigint      not null default 0,
    unopened     bigint      not null default 0,
    started_at   timestamptz not null,
    finished_at  timestamptz,
    constraint reseals_pkey primary key (part),
    constraint reseals_part_known check (part in ('connections', 'claims', 'links'))
);
comment on table reseals is 'A row is the walk over one kind of sealed values that brings them under a new key; whoever locks it does the next rows, and a walk that stops goes on from there.';
comment on column reseals.key is 'The key that every value is to be under.';
comment on column reseals.after_row is 'The last row that was looked at, with after_client.';
comment on column reseals.unopened is 'Values under a key that is not on the ring, or damaged; they stay as they are.';

create table certificate_warnings (
    client_id   uuid        not null,
    owner       text        not null,
    certificate text        not null,
    within_days smallint    not null,
    warned_at   timestamptz not null,
    constraint certificate_warnings_pkey primary key (client_id, owner, certificate, within_days)
);
comment on table certificate_warnings is 'A row remembers that the coming end of one certificate was told, so that each threshold is told once. The nil client holds those of our own listeners.';
comment on column certificate_warnings.owner is 'The connection, or the name of the listener''s certificate file.';
comment on column certificate_warnings.certificate is 'The SHA-256 of the certificate, in hexadecimal.';
