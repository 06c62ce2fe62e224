-- Clients, what names them from outside, and their sublicenses.

create table clients (
    id                  uuid        not null,
    name                text        not null,
    sku                 text,
    status              text        not null default 'active',
    license_ends_at     timestamptz,
    seat_limit          integer,
    branding            jsonb       not null default '{}',
    password_login      boolean     not null default true,
    sso_required        boolean     not null default false,
    verify_email_first  boolean     not null default false,
    invite_ttl_days     integer     not null default 14,
    reminders_days      integer[]   not null default '{}',
    session_idle_s      integer     not null default 28800,
    session_absolute_s  integer     not null default 43200,
    default_locale      text        not null default 'en',
    time_zone           text        not null default 'UTC',
    version             bigint      not null default 1,
    created_at          timestamptz not null,
    updated_at          timestamptz not null,
    constraint clients_pkey primary key (id),
    constraint clients_status_known check (status in ('active', 'disabled')),
    constraint clients_name_length check (char_length(name) between 1 and 200),
    constraint clients_seat_limit_natural check (seat_limit >= 0),
    constraint clients_session_idle_bounds check (session_idle_s between 60 and 2592000),
    constraint clients_session_absolute_bounds check (session_absolute_s between 60 and 2592000),
    constraint clients_invite_ttl_bounds check (invite_ttl_days between 1 and 365)
);
comment on table clients is 'A row is a customer organisation: the tenant that every other row belongs to.';
comment on column clients.version is 'Grows with every change of the client, its domains or its sublicenses; caches are dropped by it.';
create unique index clients_sku_unique on clients (sku);

create table slugs (
    slug      text not null,
    client_id uuid not null,
    constraint slugs_pkey primary key (slug),
    constraint slugs_client_unique unique (client_id),
    constraint slugs_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint slugs_form check (slug ~ '^[a-z0-9](-?[a-z0-9])*$' and length(slug) between 2 and 63)
);
comment on table slugs is 'A row gives a client its one name in paths. Global: it is the way from a URL to a client. Never changed, never reused.';

create table hosts (
    host      text   not null,
    client_id uuid   not null,
    position  bigint not null,
    constraint hosts_pkey primary key (host),
    constraint hosts_client_fkey foreign key (client_id) references clients (id) on delete restrict
);
comment on table hosts is 'A row is a host name that serves one client''s learner pages. Global: it is the way from a Host header to a client.';
comment on column hosts.position is 'The order in which they were written: the first one stands in links.';
create index hosts_by_client on hosts (client_id, position);

create table email_domains (
    client_id   uuid not null,
    domain      text not null,
    verified_at timestamptz,
    verified_by text,
    constraint email_domains_pkey primary key (client_id, domain),
    constraint email_domains_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint email_domains_verified_whole check ((verified_at is null) = (verified_by is null))
);
comment on table email_domains is 'A row is an e-mail domain that a client names as its own; verified when an operator vouched for it or DNS proved it.';

create table sublicenses (
    client_id   uuid        not null,
    id          uuid        not null,
    slug        text        not null,
    name        text        not null,
    sku         text,
    is_default  boolean     not null default false,
    seat_limit  integer,
    access_days integer,
    ends_at     timestamptz,
    refs        jsonb       not null default '{}',
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    constraint sublicenses_pkey primary key (client_id, id),
    constraint sublicenses_slug_unique unique (client_id, slug),
    constraint sublicenses_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint sublicenses_slug_form check (slug ~ '^[a-z0-9](-?[a-z0-9])*$' and length(slug) <= 63),
    constraint sublicenses_name_length check (char_length(name) between 1 and 200),
    constraint sublicenses_seat_limit_natural check (seat_limit >= 0),
    constraint sublicenses_access_days_bounds check (access_days between 1 and 36500)
);
comment on table sublicenses is 'A row is a named part of a client with its own content, seats, access days and end.';
create unique index sublicenses_one_default on sublicenses (client_id) where is_default;
create unique index sublicenses_sku_unique on sublicenses (client_id, sku);
