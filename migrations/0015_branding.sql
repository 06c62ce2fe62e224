-- Files that a client's pages wear: pictures and custom stylesheets.

create table branding_files (
    client_id  uuid        not null,
    hash       text        not null,
    media_type text        not null,
    bytes      bytea       not null,
    created_at timestamptz not null,
    constraint branding_files_pkey primary key (client_id, hash),
    constraint branding_files_client_fkey foreign key (client_id) references clients (id) on delete cascade,
    constraint branding_files_hash_form check (hash ~ '^[0-9a-f]{32}$'),
    constraint branding_files_type_known check (media_type in ('image/png', 'image/jpeg', 'text/css')),
    constraint branding_files_size check (octet_length(bytes) <= 8000000)
);
comment on table branding_files is 'A row is a picture or stylesheet as the gateway wrote it, named by its content and never changed; a new one is a new row.';
-- Pictures are compressed already.
alter table branding_files alter column bytes set storage external;
