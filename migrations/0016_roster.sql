-- Learners as admins find, make and move them.

-- Both are trusted extensions: whoever owns the database may create them.
create extension if not exists pg_trgm;
create extension if not exists btree_gin;

-- Case, accents and compatibility forms do not matter to a search. Strict and immutable: it is stored, and indexed.
create function folded(value text) returns text language sql immutable strict parallel safe
return replace(replace(replace(translate(
    regexp_replace(lower(normalize(value, NFKD)), '[\u0300-\u036f]', '', 'g'),
    'øłđðıħ', 'olddih'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe');
comment on function folded(text) is 'One spelling for searching: lower case, without accents.';

-- Each is read by its beginning, in the order of its bytes.
alter table learners
    add column search_name text collate "C" not null generated always as (folded(first_name || ' ' || last_name)) stored,
    add column search_surname text collate "C" not null generated always as (folded(last_name || ' ' || first_name)) stored,
    add column search_external text collate "C" generated always as (folded(external_id)) stored,
    add column search text not null generated always as (
        folded(' ' || first_name || ' ' || last_name || coalesce(' ' || email, '') || coalesce(' ' || external_id, ''))) stored,
    alter column email_key type text collate "C";
comment on column learners.search is 'Names, address and external id, folded; a blank before each, so that a beginning is found as one.';
create index learners_by_name on learners (client_id, search_name, id);
create index learners_by_surname on learners (client_id, search_surname, id);
create index learners_by_external on learners (client_id, search_external, id) where search_external is not null;
-- For three letters anywhere. What is not in the index yet is read whole by every search: hence a short list of it.
create index learners_search on learners using gin (client_id, search gin_trgm_ops) with (gin_pending_list_limit = 256);

alter table learners drop constraint learners_status_known;
alter table learners add constraint learners_status_known check (status in ('active', 'suspended', 'moved'));
drop index learners_suspended;
create index learners_not_active on learners (client_id, status, id) where status <> 'active';
create index learners_by_verified on learners (client_id, email_verified, id);
create index access_grants_by_source on access_grants (client_id, source, learner_id);

create table learner_moves (
    client_id     uuid        not null,
    learner_id    uuid        not null,
    to_client_id  uuid        not null,
    to_learner_id uuid        not null,
    moved_at      timestamptz not null,
    constraint learner_moves_pkey primary key (client_id, learner_id),
    constraint learner_moves_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade
);
comment on table learner_moves is 'A row says where a learner who was moved to another client is now. A note, not a reference: nothing of one client hangs on another''s rows.';
