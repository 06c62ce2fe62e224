//! Generating the codes of a batch. Up to 100,000 come in the request's own transaction; a larger number is noted, and a
//! job generates it chunk by chunk: each chunk is a transaction with its count, so that whoever is killed loses nothing
//! and doubles nothing, and the next one goes on.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    error::CodeError,
    revoke, store_batch as store,
    text::{self, CodeText},
};
use crate::{
    app::App,
    entropy::Entropy,
    fault::Fault,
    ids::{BatchId, ClientId, CodeId},
};

/// Codes that a request generates by itself.
pub(super) const AT_ONCE: i32 = 100_000;
/// Codes of one COPY, drawn and compared together.
const CHUNK: usize = 20_000;
/// Codes of one turn of the job, in one transaction.
const TURN: i32 = 50_000;

/// What codes of a batch look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub prefix: &'a str,
    pub length: i32,
}

/// Generates codes of a batch, now or in the job's turns. Call it inside a transaction.
pub(super) async fn generate(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    batch: BatchId,
    look: Look<'_>,
    count: i32,
    now: DateTime<Utc>,
) -> Result<(), CodeError> {
    if count > AT_ONCE {
        store::begin_fill(conn, client, batch, count, now).await?;
        return Ok(());
    }
    draw(conn, entropy, client, batch, look, count, now).await?;
    store::add_total(conn, client, batch, count, now).await?;
    Ok(())
}

/// Draws codes and stores them; one that reads like another of the client is drawn again.
async fn draw(
    conn: &mut PgConnection,
    entropy: &Entropy,
    client: ClientId,
    batch: BatchId,
    look: Look<'_>,
    count: i32,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let length = usize::try_from(look.length).unwrap_or(12);
    let mut left = usize::try_from(count).unwrap_or(0);
    while left > 0 {
        let mut drawn: Vec<CodeText> = Vec::with_capacity(left.min(CHUNK));
        let mut keys: HashSet<String> = HashSet::with_capacity(left.min(CHUNK));
        while drawn.len() < left.min(CHUNK) {
            let code = text::draw(entropy, look.prefix, length);
            if keys.insert(code.key().to_owned()) {
                drawn.push(code);
            }
        }
        let asked: Vec<String> = drawn.iter().map(|code| code.key().to_owned()).collect();
        let taken: HashSet<String> = store::taken(conn, client, &asked).await?.into_iter().collect();
        drawn.retain(|code| !taken.contains(code.key()));
        let ids = ids(entropy, drawn.len(), now);
        let codes: Vec<(CodeId, CodeText)> = ids.into_iter().zip(drawn).collect();
        store::copy_in(conn, client, batch, &codes).await?;
        left -= codes.len();
    }
    Ok(())
}

/// Ids for codes that are stored together, in the order in which they will be listed.
pub(super) fn ids(entropy: &Entropy, count: usize, at: DateTime<Utc>) -> Vec<CodeId> {
    let mut ids: Vec<CodeId> = (0..count).map(|_| entropy.id(at)).collect();
    ids.sort_unstable();
    ids
}

/// One turn of the job on large batches: what is to be revoked first, then what is to be generated. Whether there was
/// something.
pub async fn batches_due(app: &App, now: DateTime<Utc>) -> Result<bool, Fault> {
    Ok(revoke::revoke_due(app).await? || fill_due(app, now).await?)
}

/// A chunk of the oldest batch that is to be filled. Whether there was one.
async fn fill_due(app: &App, now: DateTime<Utc>) -> Result<bool, Fault> {
    let mut transaction = app.begin().await?;
    let Some(fill) = store::claim_fill(&mut transaction).await? else { return Ok(false) };
    let (client, batch, count) = (fill.client, fill.batch, fill.remaining.min(TURN));
    let look = Look { prefix: &fill.prefix, length: fill.length };
    draw(&mut transaction, &app.entropy, client, batch, look, count, now).await?;
    // The batch before the row that says what is left: whoever appends locks them in this order.
    store::add_total(&mut transaction, client, batch, count, now).await?;
    store::count_down(&mut transaction, client, batch, fill.remaining - count).await?;
    app.commit(transaction).await?;
    Ok(true)
}
