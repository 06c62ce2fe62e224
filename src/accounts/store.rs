//! SQL of accounts, of the learners that they stand behind, and of passwords that wait for a proof.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PasswordHash, model::Door};
use crate::{
    fault::Fault,
    ids::{AccountId, ClientId, LearnerId},
    learners::EmailAddress,
};

/// Provisional learners of one address whose passwords are tried: more would make each failure dearer for everybody.
pub(super) const PROVISIONAL_TRIED: usize = 2;

/// Whether an address has an account.
pub async fn exists(conn: &mut PgConnection, email_key: &str) -> Result<bool, Fault> {
    let found =
        sqlx::query_scalar!(r#"select exists (select from accounts where email_key = $1) as "found!""#, email_key,)
            .fetch_one(conn)
            .await?;
    Ok(found)
}

/// An account as its own sign-in sees it.
#[derive(Debug)]
pub(super) struct Account {
    pub id: AccountId,
    pub email: String,
    pub password_hash: Option<PasswordHash>,
    /// The learner that it stands behind in the client at hand.
    pub door: Option<Door>,
}

/// The account of an address, and its learner in this client.
pub(super) async fn account_by_email(
    conn: &mut PgConnection,
    client: ClientId,
    email_key: &str,
) -> Result<Option<Account>, Fault> {
    let row = sqlx::query!(
        r#"select a.id, a.email, a.password_hash, l.id as "learner_id?", l.session_epoch as "session_epoch?", l.status as "status?"
           from accounts a
           left join account_learners al on al.client_id = $1 and al.account_id = a.id
           left join learners l on l.client_id = al.client_id and l.id = al.learner_id
           where a.email_key = $2"#,
        client.uuid(),
        email_key,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Account {
        id: row.id.into(),
        email: row.email,
        password_hash: row.password_hash.map(PasswordHash::stored),
        door: door(row.learner_id, row.session_epoch, row.status.as_deref()),
    }))
}

/// The account behind a learner.
pub(super) async fn account_of_learner(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Option<Account>, Fault> {
    let row = sqlx::query!(
        "select a.id, a.email, a.password_hash, l.session_epoch, l.status
         from account_learners al
         join accounts a on a.id = al.account_id
         join learners l on l.client_id = al.client_id and l.id = al.learner_id
         where al.client_id = $1 and al.learner_id = $2",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Account {
        id: row.id.into(),
        email: row.email,
        password_hash: row.password_hash.map(PasswordHash::stored),
        door: door(Some(learner.uuid()), Some(row.session_epoch), Some(&row.status)),
    }))
}

fn door(learner: Option<uuid::Uuid>, epoch: Option<i32>, status: Option<&str>) -> Option<Door> {
    Some(Door { learner: learner?.into(), epoch: epoch?, is_active: status? == "active" })
}

/// A learner who has a password and no proved address.
#[derive(Debug)]
pub(super) struct Provisional {
    pub door: Door,
    pub password_hash: PasswordHash,
}

/// The newest provisional learners of an address.
pub(super) async fn provisional_by_email(
    conn: &mut PgConnection,
    client: ClientId,
    email_key: &str,
) -> Result<Vec<Provisional>, Fault> {
    let rows = sqlx::query!(
        "select l.id, l.session_epoch, l.status, p.password_hash
         from learners l join provisional_passwords p on p.client_id = l.client_id and p.learner_id = l.id
         where l.client_id = $1 and l.email_key = $2 order by l.id desc limit $3",
        client.uuid(),
        email_key,
        i64::try_from(PROVISIONAL_TRIED).unwrap_or(1),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Provisional {
            door: Door { learner: row.id.into(), epoch: row.session_epoch, is_active: row.status == "active" },
            password_hash: PasswordHash::stored(row.password_hash),
        })
        .collect())
}

/// The password of a provisional learner.
pub(super) async fn provisional_password(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Option<PasswordHash>, Fault> {
    let hash = sqlx::query_scalar!(
        "select password_hash from provisional_passwords where client_id = $1 and learner_id = $2",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(hash.map(PasswordHash::stored))
}

pub(super) async fn insert_provisional_password(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    hash: &PasswordHash,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into provisional_passwords (client_id, learner_id, password_hash, created_at) values ($1, $2, $3, $4)",
        client.uuid(),
        learner.uuid(),
        hash.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn delete_provisional_password(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<(), Fault> {
    sqlx::query!(
        "delete from provisional_passwords where client_id = $1 and learner_id = $2",
        client.uuid(),
        learner.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes an account; false where the address has one already.
pub(super) async fn insert_account(
    conn: &mut PgConnection,
    id: AccountId,
    email: &str,
    email_key: &str,
    hash: &PasswordHash,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "insert into accounts (id, email, email_key, password_hash, password_changed_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5, $5) on conflict on constraint accounts_email_unique do nothing",
        id.uuid(),
        email,
        email_key,
        hash.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ties a learner to an account; false where the learner or the account is tied to another in this client.
pub(super) async fn link(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
    account: AccountId,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    sqlx::query!(
        "insert into account_learners (client_id, learner_id, account_id, created_at) values ($1, $2, $3, $4)
         on conflict do nothing",
        client.uuid(),
        learner.uuid(),
        account.uuid(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    let is_tied = sqlx::query_scalar!(
        r#"select exists (
            select from account_learners where client_id = $1 and learner_id = $2 and account_id = $3
        ) as "found!""#,
        client.uuid(),
        learner.uuid(),
        account.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(is_tied)
}

/// Locks an account until the transaction ends; its address and its learner in this client.
pub(super) async fn lock_account(
    conn: &mut PgConnection,
    client: ClientId,
    account: AccountId,
) -> Result<Option<(String, Option<LearnerId>)>, Fault> {
    let row = sqlx::query!(
        r#"select a.email, (select learner_id from account_learners where client_id = $2 and account_id = a.id) as learner_id
           from accounts a where a.id = $1 for no key update of a"#,
        account.uuid(),
        client.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.email, row.learner_id.map(LearnerId::from))))
}

/// An account's address, and its learner in this client.
pub(super) async fn find_account(
    conn: &mut PgConnection,
    client: ClientId,
    account: AccountId,
) -> Result<Option<(String, Option<LearnerId>)>, Fault> {
    let row = sqlx::query!(
        r#"select a.email, (select learner_id from account_learners where client_id = $2 and account_id = a.id) as learner_id
           from accounts a where a.id = $1"#,
        account.uuid(),
        client.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.email, row.learner_id.map(LearnerId::from))))
}

pub(super) async fn set_password(
    conn: &mut PgConnection,
    account: AccountId,
    hash: &PasswordHash,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update accounts set password_hash = $2, password_changed_at = $3, version = version + 1, updated_at = $3 where id = $1",
        account.uuid(),
        hash.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts a hash of today's cost in place of the one that was just verified; a password changed meanwhile stays.
pub(super) async fn renew_hash(
    conn: &mut PgConnection,
    account: AccountId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<(), Fault> {
    sqlx::query!(
        "update accounts set password_hash = $3 where id = $1 and password_hash = $2",
        account.uuid(),
        old.as_str(),
        new.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes every session of every learner of an account dead at its next page; whose they were.
pub(super) async fn end_sessions_of_account(
    conn: &mut PgConnection,
    account: AccountId,
    now: DateTime<Utc>,
) -> Result<Vec<(ClientId, Door)>, Fault> {
    let rows = sqlx::query!(
        "with behind as (
            select l.client_id, l.id from account_learners al join learners l on l.client_id = al.client_id and l.id = al.learner_id
            where al.account_id = $1 order by 1, 2 for no key update of l
         )
         update learners l set session_epoch = l.session_epoch + 1, version = l.version + 1, updated_at = $2
         from behind where l.client_id = behind.client_id and l.id = behind.id
         returning l.client_id, l.id, l.session_epoch, l.status",
        account.uuid(),
        now,
    )
    .fetch_all(conn)
    .await?;
    let door = |id: uuid::Uuid, epoch, status: &str| Door { learner: id.into(), epoch, is_active: status == "active" };
    Ok(rows.into_iter().map(|row| (row.client_id.into(), door(row.id, row.session_epoch, &row.status))).collect())
}

/// Gives an account another address. Refused by `accounts_email_unique` where another account has it.
pub(super) async fn set_address(
    conn: &mut PgConnection,
    account: AccountId,
    email: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update accounts set email = $2, email_key = $3, version = version + 1, updated_at = $4 where id = $1",
        account.uuid(),
        email.as_str(),
        email.key(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives those learners of an account who have its old address, verified, the new one; not where another learner of
/// their client has that. Whose record changed.
pub(super) async fn move_learners(
    conn: &mut PgConnection,
    account: AccountId,
    old: &EmailAddress,
    new: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<Vec<(ClientId, LearnerId)>, Fault> {
    let rows = sqlx::query!(
        "with behind as (
            select l.client_id, l.id from account_learners al join learners l on l.client_id = al.client_id and l.id = al.learner_id
            where al.account_id = $1 and l.email_key = $2 and l.email_verified
              and not exists (select from learners h where h.client_id = l.client_id and h.email_key = $4 and h.email_verified and h.id <> l.id)
            order by 1, 2 for no key update of l
         )
         update learners l set email = $3, email_key = $4, version = l.version + 1, updated_at = $5
         from behind where l.client_id = behind.client_id and l.id = behind.id
         returning l.client_id, l.id",
        account.uuid(),
        old.key(),
        new.as_str(),
        new.key(),
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.client_id.into(), row.id.into())).collect())
}
