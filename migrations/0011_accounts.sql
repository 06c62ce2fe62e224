-- Local credentials: accounts of people who have proved their address, and what waits for such a proof.

create table accounts (
    id                  uuid        not null,
    email               text        not null,
    email_key           text        not null,
    password_hash       text,
    password_changed_at timestamptz,
    version             bigint      not null default 1,
    created_at          timestamptz not null,
    updated_at          timestamptz not null,
    constraint accounts_pkey primary key (id),
    constraint accounts_email_unique unique (email_key),
    constraint accounts_email_length check (length(email) <= 320),
    constraint accounts_password_dated check ((password_hash is null) = (password_changed_at is null))
);
comment on table accounts is 'A row is one person''s own credential, for one proved address. Global: it may stand behind learners of several clients and belongs to none of them.';
comment on column accounts.password_hash is 'Argon2id in the PHC form; null for an account that signs in by other means only.';

create table account_learners (
    client_id  uuid        not null,
    learner_id uuid        not null,
    account_id uuid        not null,
    created_at timestamptz not null,
    constraint account_learners_pkey primary key (client_id, learner_id),
    constraint account_learners_one_a_client unique (client_id, account_id),
    constraint account_learners_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint account_learners_account_fkey foreign key (account_id) references accounts (id) on delete cascade
);
comment on table account_learners is 'A row ties a learner to the account that signs in as them.';
create index account_learners_by_account on account_learners (account_id);

create table provisional_passwords (
    client_id     uuid        not null,
    learner_id    uuid        not null,
    password_hash text        not null,
    created_at    timestamptz not null,
    constraint provisional_passwords_pkey primary key (client_id, learner_id),
    constraint provisional_passwords_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade
);
comment on table provisional_passwords is 'A row is the password of a learner who has not proved their address yet. The proof deletes it.';
create index provisional_passwords_by_age on provisional_passwords (created_at);

create table email_proofs (
    client_id  uuid        not null,
    token_hash bytea       not null,
    kind       text        not null,
    learner_id uuid        not null,
    account_id uuid,
    email      text        not null,
    email_key  text        not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at    timestamptz,
    constraint email_proofs_pkey primary key (client_id, token_hash),
    constraint email_proofs_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint email_proofs_account_fkey foreign key (account_id) references accounts (id) on delete cascade,
    constraint email_proofs_kind_known check (kind in ('confirm', 'reset', 'change')),
    constraint email_proofs_account_where_needed check ((kind = 'confirm') = (account_id is null)),
    constraint email_proofs_order check (expires_at >= created_at)
);
comment on table email_proofs is 'A row is a link that was mailed: whoever opens it has the mailbox of its address. Holds the hash of its token; good once.';
create index email_proofs_by_address on email_proofs (client_id, email_key, created_at);
create index email_proofs_by_learner on email_proofs (client_id, learner_id);
create index email_proofs_by_account on email_proofs (account_id) where account_id is not null;
create index email_proofs_expired on email_proofs (expires_at);
