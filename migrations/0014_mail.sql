-- Mails on their way out, and what became of them.

create table mails (
    client_id   uuid        not null,
    id          uuid        not null,
    kind        text        not null,
    status      text        not null default 'queued',
    urgent      boolean     not null,
    recipient   text        not null,
    name        text        not null default '',
    locale      text,
    link_sealed bytea,
    content     jsonb       not null default '{}',
    about       text,
    message_id  text        not null,
    attempts    integer     not null default 0,
    forgiven    integer     not null default 0,
    due_at      timestamptz,
    answer      text,
    created_at  timestamptz not null,
    finished_at timestamptz,
    constraint mails_pkey primary key (client_id, id),
    constraint mails_client_fkey foreign key (client_id) references clients (id) on delete restrict,
    constraint mails_status_known check (status in ('queued', 'sent', 'bounced', 'dead', 'withdrawn')),
    constraint mails_due_while_queued check ((status = 'queued') = (due_at is not null)),
    constraint mails_finished_otherwise check ((status = 'queued') = (finished_at is null)),
    constraint mails_link_wiped check (link_sealed is null or status in ('queued', 'dead')),
    constraint mails_recipient_length check (length(recipient) between 3 and 320)
);
comment on table mails is 'A row is one mail to one person, put here by the transaction that makes it due, rendered and sent by a worker.';
comment on column mails.urgent is 'Somebody waits for it before a screen; mails that come by the thousand do not delay it.';
comment on column mails.link_sealed is 'The path of its link, sealed; wiped once no server has to be told it any more.';
comment on column mails.content is 'What the template of its kind asks for.';
comment on column mails.message_id is 'The same at every try, so that a mail that came twice can be known as one.';
comment on column mails.attempts is 'Grows with every claim: a worker whose claim has run out can no longer say what became of it.';
comment on column mails.forgiven is 'Attempts that were made before an admin had it sent again; they no longer count.';
comment on column mails.due_at is 'When it may be claimed; a claim moves it on, so that the mail of a worker that died falls due again.';
comment on column mails.answer is 'Why it was last not taken, as a code.';
create index mails_due on mails (urgent desc, due_at) where status = 'queued';
create index mails_unsent on mails (client_id, status, id) where status <> 'sent';
create index mails_by_kind on mails (client_id, kind, id);
create index mails_by_about on mails (client_id, about, id) where about is not null;
create index mails_by_recipient on mails (lower(recipient), id);
create index mails_by_end on mails (finished_at) where finished_at is not null;
