//! Removes what has served its time, a bounded number of rows at once, so that no turn holds many locks.

use chrono::{DateTime, Utc};

use super::store;
use crate::{accounts, admin, app::App, codes, fault::Fault, imports, mail};

/// Rows in one statement.
const BATCH: i64 = 500;
/// Statements of one kind in one turn; what is left waits for the next.
const BATCHES: usize = 20;

/// How many rows one turn removed or emptied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub claims: u64,
    pub assertions: u64,
    pub idempotency_keys: u64,
    pub mails: u64,
    /// Links that prove an address, and learners who never opened theirs.
    pub accounts: accounts::Cleaned,
    pub import_rows: u64,
    pub sign_ups: u64,
}

/// Empties the sealed claims of attempts whose days are over, and removes used assertions that have expired and
/// idempotency keys and sign-ups of more than a day ago, mails that have been kept long enough, what accounts no longer need, and the
/// rows of old imports.
pub async fn clean(app: &App, now: DateTime<Utc>) -> Result<Cleaned, Fault> {
    let mut cleaned = Cleaned { import_rows: imports::clean(app, now).await?, ..Cleaned::default() };
    for _ in 0..BATCHES {
        let mut tx = app.begin().await?;
        let claims = store::empty_claims(&mut tx, now, BATCH).await?;
        let assertions = store::remove_assertions(&mut tx, now, BATCH).await?;
        let idempotency_keys = admin::forget_old(&mut tx, now, BATCH).await?;
        let sign_ups = codes::forget_sign_ups(&mut tx, now, BATCH).await?;
        app.commit(tx).await?;
        let mails = mail::tidy_up(app, now, BATCH).await?;
        let of_accounts = accounts::clean(app, now, BATCH).await?;
        cleaned.accounts.proofs += of_accounts.proofs;
        cleaned.accounts.learners += of_accounts.learners;
        cleaned.mails += mails;
        cleaned.claims += claims;
        cleaned.assertions += assertions;
        cleaned.idempotency_keys += idempotency_keys;
        cleaned.sign_ups += sign_ups;
        let is_full = |count: u64| i64::try_from(count).is_ok_and(|count| count >= BATCH);
        let counts = [claims, assertions, idempotency_keys, sign_ups, mails, of_accounts.proofs, of_accounts.learners];
        if !counts.into_iter().any(is_full) {
            break;
        }
    }
    Ok(cleaned)
}
