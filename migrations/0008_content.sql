-- References into the learning platform, and who sees them.

create table content_items (
    client_id   uuid        not null,
    id          uuid        not null,
    title       text        not null,
    description text        not null default '',
    url         text        not null,
    external_id text,
    audience    text        not null default 'client',
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    constraint content_items_pkey primary key (client_id, id),
    constraint content_items_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint content_items_audience_known check (audience in ('client', 'sublicenses')),
    constraint content_items_title_length check (char_length(title) between 1 and 300)
);
comment on table content_items is 'A row is a reference into the learning platform, shown to a whole client or to some of its sublicenses.';
create unique index content_items_external_id_unique on content_items (client_id, external_id);

create table content_sublicenses (
    client_id     uuid not null,
    content_id    uuid not null,
    sublicense_id uuid not null,
    constraint content_sublicenses_pkey primary key (client_id, content_id, sublicense_id),
    constraint content_sublicenses_content_fkey foreign key (client_id, content_id) references content_items (client_id, id) on delete cascade,
    constraint content_sublicenses_sublicense_fkey foreign key (client_id, sublicense_id) references sublicenses (client_id, id) on delete restrict
);
comment on table content_sublicenses is 'A row shows one content item to one sublicense.';
create index content_sublicenses_by_sublicense on content_sublicenses (client_id, sublicense_id);
