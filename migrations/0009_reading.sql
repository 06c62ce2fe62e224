-- What lists of the admin API read by: each filter has an index, and rows that every sign-in writes pay for none of them.

create index learners_suspended on learners (client_id, id) where status = 'suspended';
create index attempts_refused on attempts (client_id, id) where outcome = 'refused';
create index attempts_by_code on attempts (client_id, code, id) where code is not null;
create index audit_events_by_action on audit_events (client_id, action, id)
    where action not in ('sign_in.succeeded', 'sign_in.refused');
