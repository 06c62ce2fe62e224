-- API tokens and the memory of what they already asked for.

create table tokens (
    id           uuid        not null,
    client_id    uuid,
    name         text        not null,
    secret_hash  bytea       not null,
    scopes       text[]      not null,
    created_at   timestamptz not null,
    created_by   text        not null,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    constraint tokens_pkey primary key (id),
    constraint tokens_secret_unique unique (secret_hash),
    constraint tokens_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint tokens_name_length check (char_length(name) between 1 and 200)
);
comment on table tokens is 'A row is an API token, its secret as a hash. Without a client it is an operator''s. Global: it is looked up before any client is known.';
create index tokens_by_client on tokens (client_id, id);

create table idempotency_keys (
    token_id   uuid        not null,
    route      text        not null,
    key        text        not null,
    body_hash  bytea       not null,
    status     integer     not null,
    response   jsonb       not null,
    created_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (token_id, route, key),
    constraint idempotency_keys_token_fkey foreign key (token_id) references tokens (id) on delete cascade,
    constraint idempotency_keys_key_length check (length(key) between 1 and 255)
);
comment on table idempotency_keys is 'A row remembers, for a day, what a POST with this key answered. Secrets that are shown once are not in it.';
create index idempotency_keys_by_age on idempotency_keys (created_at);
