//! SQL of links that prove an address. Only the hash of a token is stored; every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::proofs::{Kind, Proof};
use crate::{
    fault::Fault,
    ids::{AccountId, ClientId, LearnerId},
};

pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    token_hash: &[u8],
    proof: &Proof,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into email_proofs (client_id, token_hash, kind, learner_id, account_id, email, email_key, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        client.uuid(),
        token_hash,
        proof.kind.as_str(),
        proof.learner.uuid(),
        proof.account.map(AccountId::uuid),
        proof.email,
        proof.email_key,
        now,
        proof.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many links were mailed to an address by this client since then.
pub(super) async fn count_since(
    conn: &mut PgConnection,
    client: ClientId,
    (kind, email_key): (Kind, &str),
    since: DateTime<Utc>,
) -> Result<i64, Fault> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from email_proofs where client_id = $1 and email_key = $2 and created_at > $3 and kind = $4"#,
        client.uuid(),
        email_key,
        since,
        kind.as_str(),
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

macro_rules! proof {
    ($conn:expr, $client:expr, $hash:expr, $lock:literal) => {
        sqlx::query!(
            "select kind, learner_id, account_id, email, email_key, expires_at, used_at
             from email_proofs where client_id = $1 and token_hash = $2"
                + $lock,
            $client.uuid(),
            $hash,
        )
        .fetch_optional($conn)
        .await?
        .map(|row| {
            Ok::<_, Fault>(Proof {
                kind: Kind::read(&row.kind)?,
                learner: row.learner_id.into(),
                account: row.account_id.map(AccountId::from),
                email: row.email,
                email_key: row.email_key,
                expires_at: row.expires_at,
                used_at: row.used_at,
            })
        })
        .transpose()
    };
}

/// The link of a token.
pub(super) async fn find(conn: &mut PgConnection, client: ClientId, hash: &[u8]) -> Result<Option<Proof>, Fault> {
    proof!(conn, client, hash, "")
}

/// The same, locked until the transaction ends: of two who use it, the second sees it used.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId, hash: &[u8]) -> Result<Option<Proof>, Fault> {
    proof!(conn, client, hash, " for update")
}

pub(super) async fn mark_used(
    conn: &mut PgConnection,
    client: ClientId,
    hash: &[u8],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update email_proofs set used_at = $3 where client_id = $1 and token_hash = $2",
        client.uuid(),
        hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Kills the open links of a learner: what was mailed before a proof, or before a newer link, opens nothing.
pub(super) async fn kill_of_learner(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update email_proofs set expires_at = greatest($3, created_at)
         where client_id = $1 and learner_id = $2 and used_at is null and expires_at > $3",
        client.uuid(),
        learner.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Kills the open links of an account, in every client.
pub(super) async fn kill_of_account(
    conn: &mut PgConnection,
    account: AccountId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update email_proofs set expires_at = greatest($2, created_at)
         where account_id = $1 and used_at is null and expires_at > $2",
        account.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Hands the links of a learner who is merged to the one who stays, so that an old link still says what became of it.
pub(super) async fn hand_over(
    conn: &mut PgConnection,
    client: ClientId,
    from: LearnerId,
    to: LearnerId,
) -> Result<(), Fault> {
    sqlx::query!(
        "update email_proofs set learner_id = $3 where client_id = $1 and learner_id = $2",
        client.uuid(),
        from.uuid(),
        to.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes links that expired before then; says how many.
pub(super) async fn remove_expired(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "delete from email_proofs where (client_id, token_hash) in (
             select client_id, token_hash from email_proofs where expires_at < $1
             order by expires_at limit $2 for update skip locked)",
        before,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
