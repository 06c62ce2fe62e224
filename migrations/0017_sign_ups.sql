-- Signing up with a code happens once, however often the form is sent.

create table sign_ups (
    client_id  uuid        not null,
    key        bytea       not null,
    learner_id uuid        not null,
    created_at timestamptz not null,
    constraint sign_ups_pkey primary key (client_id, key),
    constraint sign_ups_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint sign_ups_key_length check (length(key) = 32)
);
comment on table sign_ups is 'A row is one sign-up with a code: what one browser sent for one address. The same sent again finds the learner that it made. Kept for a day.';
comment on column sign_ups.key is 'SHA-256 over the browser''s cookie, the address and the codes.';
create index sign_ups_by_learner on sign_ups (client_id, learner_id);
create index sign_ups_by_age on sign_ups (created_at);
