-- Codes of both kinds: what they offer, the codes themselves, and who redeemed which.

create table code_offers (
    client_id       uuid        not null,
    id              uuid        not null,
    kind            text        not null,
    label           text        not null,
    starts_at       timestamptz,
    expires_at      timestamptz,
    access_days     integer,
    access_ends_at  timestamptz,
    email_domains   text[]      not null default '{}',
    active          boolean     not null default true,
    max_redemptions integer,
    times_redeemed  integer     not null default 0,
    prefix          text        not null default '',
    length          integer     not null default 12,
    codes_total     integer     not null default 0,
    codes_revoked   integer     not null default 0,
    rest_revoked_at timestamptz,
    revoking_from   uuid,
    revoking_to     uuid,
    version         bigint      not null default 1,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    constraint code_offers_pkey primary key (client_id, id),
    constraint code_offers_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint code_offers_kind_known check (kind in ('registration', 'redemption')),
    constraint code_offers_label_length check (char_length(label) between 1 and 200),
    constraint code_offers_one_end_of_access check (access_days is null or access_ends_at is null),
    constraint code_offers_access_days_bounds check (access_days between 1 and 36500),
    constraint code_offers_maximum_natural check (max_redemptions >= 1),
    constraint code_offers_maximum_is_of_registration check (max_redemptions is null or kind = 'registration'),
    constraint code_offers_revoking_whole check ((revoking_from is null) = (revoking_to is null)),
    constraint code_offers_counts_natural check (times_redeemed >= 0 and codes_total >= 0 and codes_revoked >= 0)
);
comment on table code_offers is 'A row is what a registration code, or a batch of redemption codes, offers and under which terms.';
comment on column code_offers.version is 'Grows with every change of the terms; a redemption that read other terms starts again.';
comment on column code_offers.times_redeemed is 'Redemptions that stand; of a batch, its codes that are redeemed.';
comment on column code_offers.rest_revoked_at is 'When every unused code of the batch was revoked: a use that is given back later leaves its code revoked, too.';
comment on column code_offers.revoking_to is 'Unused codes up to this one are as good as revoked, and are being marked so, chunk by chunk; those up to revoking_from are.';
create index code_offers_revoking on code_offers (rest_revoked_at) where revoking_to is not null;
create index code_offers_by_kind on code_offers (client_id, kind, id);

create table code_offer_sublicenses (
    client_id     uuid not null,
    offer_id      uuid not null,
    sublicense_id uuid not null,
    constraint code_offer_sublicenses_pkey primary key (client_id, offer_id, sublicense_id),
    constraint code_offer_sublicenses_offer_fkey foreign key (client_id, offer_id) references code_offers (client_id, id) on delete cascade,
    constraint code_offer_sublicenses_sublicense_fkey foreign key (client_id, sublicense_id) references sublicenses (client_id, id) on delete restrict
);
comment on table code_offer_sublicenses is 'A row names a sublicense that an offer grants.';

create table codes (
    client_id   uuid        not null,
    id          uuid        not null,
    offer_id    uuid        not null,
    key         text        not null,
    text        text        not null,
    state       text        not null default 'unused',
    learner_id  uuid,
    redeemed_at timestamptz,
    constraint codes_pkey primary key (client_id, id),
    constraint codes_key_unique unique (client_id, key),
    constraint codes_offer_fkey foreign key (client_id, offer_id) references code_offers (client_id, id) on delete cascade,
    constraint codes_state_known check (state in ('unused', 'redeemed', 'revoked')),
    constraint codes_redeemed_whole check ((state = 'redeemed') = (redeemed_at is not null))
);
comment on table codes is 'A row is a code of either kind: one namespace for a client. A registration code has the id of its offer and stays unused; its redemptions are counted there.';
comment on column codes.key is 'The code as it is compared: capital letters and digits only.';
create index codes_by_offer on codes (client_id, offer_id, id);
create index codes_touched on codes (client_id, offer_id, id) where state <> 'unused';

create table redemptions (
    client_id   uuid        not null,
    id          uuid        not null,
    code_id     uuid        not null,
    offer_id    uuid        not null,
    learner_id  uuid        not null,
    redeemed_at timestamptz not null,
    undone_at   timestamptz,
    undone_why  text,
    constraint redemptions_pkey primary key (client_id, id),
    constraint redemptions_code_fkey foreign key (client_id, code_id) references codes (client_id, id) on delete cascade,
    constraint redemptions_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint redemptions_undone_whole check ((undone_at is null) = (undone_why is null))
);
comment on table redemptions is 'A row is one use of a code by one learner; one that was taken back stays as history.';
create unique index redemptions_once on redemptions (client_id, code_id, learner_id) where undone_at is null;
create index redemptions_by_offer on redemptions (client_id, offer_id, id);
create index redemptions_by_learner on redemptions (client_id, learner_id);

create table waiting_codes (
    client_id  uuid        not null,
    learner_id uuid        not null,
    code_id    uuid        not null,
    created_at timestamptz not null,
    constraint waiting_codes_pkey primary key (client_id, learner_id, code_id),
    constraint waiting_codes_learner_fkey foreign key (client_id, learner_id) references learners (client_id, id) on delete cascade,
    constraint waiting_codes_code_fkey foreign key (client_id, code_id) references codes (client_id, id) on delete cascade
);
comment on table waiting_codes is 'A row is a code that a learner entered and that is redeemed once their address is verified. It takes neither seat nor use.';

create table code_fills (
    client_id  uuid        not null,
    offer_id   uuid        not null,
    remaining  integer     not null,
    created_at timestamptz not null,
    constraint code_fills_pkey primary key (client_id, offer_id),
    constraint code_fills_offer_fkey foreign key (client_id, offer_id) references code_offers (client_id, id) on delete cascade,
    constraint code_fills_natural check (remaining > 0)
);
comment on table code_fills is 'A row is a large batch that is still being generated, chunk by chunk; it goes with the last chunk.';
create index code_fills_by_age on code_fills (created_at);
