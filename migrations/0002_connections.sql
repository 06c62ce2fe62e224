-- Connections to identity providers, their keys and their mappings.

create table connections (
    client_id          uuid        not null,
    id                 uuid        not null,
    name               text        not null,
    protocol           text        not null,
    preset             text        not null default 'generic',
    status             text        not null default 'draft',
    domains            text[]      not null default '{}',
    trusted_domains    text[]      not null default '{}',
    idp_initiated      text        not null default 'restart',
    config             jsonb       not null,
    secret_sealed      bytea,
    clock_skew_s       integer     not null default 60,
    jit_create         boolean     not null default true,
    jit_update         text        not null default 'always',
    link_by_email      boolean     not null default false,
    mapping_version    integer     not null default 1,
    idp                jsonb,
    idp_fetched_at     timestamptz,
    idp_valid_until    timestamptz,
    idp_refresh_at     timestamptz,
    idp_error          text,
    idp_certificate_ends_at timestamptz,
    version            bigint      not null default 1,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    constraint connections_pkey primary key (client_id, id),
    constraint connections_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint connections_protocol_known check (protocol in ('saml', 'oidc')),
    constraint connections_status_known check (status in ('draft', 'active', 'disabled')),
    constraint connections_idp_initiated_known check (idp_initiated in ('off', 'restart', 'accept')),
    constraint connections_jit_update_known check (jit_update in ('always', 'first', 'never')),
    constraint connections_clock_skew_bounds check (clock_skew_s between 0 and 300),
    constraint connections_name_length check (char_length(name) between 1 and 200)
);
comment on table connections is 'A row is one SAML or OpenID Connect identity provider of a client.';
comment on column connections.config is 'The saml{} or oidc{} settings as the admin wrote them, without secrets.';
comment on column connections.secret_sealed is 'The OIDC client secret, sealed under the key ring.';
comment on column connections.idp is 'The IdP as last read: parsed SAML metadata or the OpenID discovery document.';
comment on column connections.idp_error is 'Why the last refresh of the IdP''s metadata failed; null after a success.';
comment on column connections.idp_certificate_ends_at is 'When the first of the IdP''s signing certificates ends.';
comment on column connections.version is 'Grows with every change that a sign-in could notice: settings, status, mapping, keys, IdP metadata.';
create index connections_due_for_refresh on connections (idp_refresh_at) where idp_refresh_at is not null;
create index connections_by_certificate_end on connections (idp_certificate_ends_at) where status = 'active';

create table connection_routes (
    connection_id uuid not null,
    client_id     uuid not null,
    constraint connection_routes_pkey primary key (connection_id),
    constraint connection_routes_connection_fkey foreign key (client_id, connection_id) references connections (client_id, id) on delete cascade
);
comment on table connection_routes is 'A row leads from a connection id in a protocol URL to its client. Global, and nothing but a route.';

create table connection_clients (
    client_id     uuid    not null,
    connection_id uuid    not null,
    owner_id      uuid    not null,
    position      integer,
    constraint connection_clients_pkey primary key (client_id, connection_id),
    constraint connection_clients_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint connection_clients_connection_fkey foreign key (owner_id, connection_id) references connections (client_id, id) on delete cascade,
    constraint connection_clients_own_or_listed check ((position is null and client_id = owner_id) or position >= 0)
);
comment on table connection_clients is 'A row says that a connection signs people in to a client: its owner alone, or, where it is shared, each client of its list.';
comment on column connection_clients.owner_id is 'The client that the connection belongs to; an identity provider of one client may serve several.';
comment on column connection_clients.position is 'The place in clients[] of a shared connection; null in the one row of a connection that serves its owner alone.';
create index connection_clients_by_connection on connection_clients (owner_id, connection_id, position);

create table connection_keys (
    client_id          uuid        not null,
    connection_id      uuid        not null,
    id                 uuid        not null,
    use                text        not null,
    state              text        not null default 'current',
    certificate_pem    text        not null,
    private_key_sealed bytea       not null,
    not_after          timestamptz not null,
    created_at         timestamptz not null,
    state_since        timestamptz not null,
    constraint connection_keys_pkey primary key (client_id, connection_id, id),
    constraint connection_keys_connection_fkey foreign key (client_id, connection_id) references connections (client_id, id) on delete cascade,
    constraint connection_keys_use_known check (use in ('signing', 'encryption')),
    constraint connection_keys_state_known check (state in ('next', 'current', 'retired'))
);
comment on table connection_keys is 'A row is a key pair of ours for one connection: it signs our requests, or opens what the IdP encrypts for us.';
comment on column connection_keys.state is 'next: published, used by nobody yet; current: in use; retired: still published for what was signed by it, still opens what was encrypted for it.';
create unique index connection_keys_one_current on connection_keys (client_id, connection_id, use) where state = 'current';
create unique index connection_keys_one_next on connection_keys (client_id, connection_id, use) where state = 'next';
create index connection_keys_by_end on connection_keys (not_after) where state = 'current';

create table mappings (
    client_id     uuid        not null,
    connection_id uuid        not null,
    version       integer     not null,
    rules         jsonb       not null,
    created_at    timestamptz not null,
    created_by    text        not null,
    constraint mappings_pkey primary key (client_id, connection_id, version),
    constraint mappings_connection_fkey foreign key (client_id, connection_id) references connections (client_id, id) on delete cascade,
    constraint mappings_version_positive check (version > 0)
);
comment on table mappings is 'A row is one version of the rules that turn an IdP''s claims into profile and access. Never changed once written.';
