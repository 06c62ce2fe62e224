//! SQL of taking redemptions back, and of revoking codes. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{CodeState, Kind};
use crate::{
    fault::Fault,
    ids::{BatchId, ClientId, CodeId, LearnerId},
};

/// A redemption that stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redemption {
    pub id: Uuid,
    pub code: Uuid,
    pub offer: Uuid,
    pub kind: Kind,
}

/// What a learner has redeemed.
pub(super) async fn of_learner(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Vec<Redemption>, Fault> {
    let rows = sqlx::query!(
        "select r.id, r.code_id, r.offer_id, o.kind
         from redemptions r join code_offers o on o.client_id = r.client_id and o.id = r.offer_id
         where r.client_id = $1 and r.learner_id = $2 and r.undone_at is null",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| Ok(Redemption { id: row.id, code: row.code_id, offer: row.offer_id, kind: Kind::read(&row.kind)? }))
        .collect()
}

/// The standing redemption of one redemption code, and whose it is.
pub(super) async fn of_code(
    conn: &mut PgConnection,
    client: ClientId,
    code: CodeId,
) -> Result<Option<(Redemption, LearnerId)>, Fault> {
    let row = sqlx::query!(
        "select r.id, r.code_id, r.offer_id, r.learner_id
         from redemptions r join code_offers o on o.client_id = r.client_id and o.id = r.offer_id
         where r.client_id = $1 and r.code_id = $2 and r.undone_at is null and o.kind = 'redemption'",
        client.uuid(),
        code.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let redemption = Redemption { id: row.id, code: row.code_id, offer: row.offer_id, kind: Kind::Redemption };
        (redemption, row.learner_id.into())
    }))
}

/// Takes redemptions back: they stay as history, their codes are free again, and their offers count less. A code of a
/// batch whose rest was revoked is free only where an admin says so: `by_admin`.
pub(super) async fn undo(
    conn: &mut PgConnection,
    client: ClientId,
    redemptions: &[Redemption],
    (why, by_admin): (&str, bool),
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if redemptions.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = redemptions.iter().map(|redemption| redemption.id).collect();
    let offers: Vec<Uuid> = redemptions.iter().map(|redemption| redemption.offer).collect();
    let single = redemptions.iter().filter(|redemption| redemption.kind == Kind::Redemption);
    let codes: Vec<Uuid> = single.map(|redemption| redemption.code).collect();
    sqlx::query!(
        "update redemptions set undone_at = $3, undone_why = $4 where client_id = $1 and id = any($2)",
        client.uuid(),
        &ids,
        now,
        why,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update code_offers o set times_redeemed = greatest(0, o.times_redeemed - t.count)
         from (select offer_id, count(*)::int as count from unnest($2::uuid[]) u (offer_id) group by 1) t
         where o.client_id = $1 and o.id = t.offer_id",
        client.uuid(),
        &offers,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "with freed as (
            update codes c set learner_id = null, redeemed_at = null,
                   state = case when $3 or o.rest_revoked_at is null then 'unused' else 'revoked' end
            from code_offers o
            where c.client_id = $1 and c.id = any($2) and c.state = 'redeemed' and o.client_id = c.client_id and o.id = c.offer_id
            returning c.offer_id, c.state
         )
         update code_offers o set codes_revoked = o.codes_revoked + t.count
         from (select offer_id, count(*)::int as count from freed where state = 'revoked' group by 1) t
         where o.client_id = $1 and o.id = t.offer_id",
        client.uuid(),
        &codes,
        by_admin,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes redemptions another learner's.
pub(super) async fn give(
    conn: &mut PgConnection,
    client: ClientId,
    redemptions: &[Redemption],
    to: LearnerId,
) -> Result<(), Fault> {
    if redemptions.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = redemptions.iter().map(|redemption| redemption.id).collect();
    let codes: Vec<Uuid> = redemptions.iter().map(|redemption| redemption.code).collect();
    sqlx::query!(
        "update redemptions set learner_id = $3 where client_id = $1 and id = any($2)",
        client.uuid(),
        &ids,
        to.uuid(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update codes set learner_id = $3 where client_id = $1 and id = any($2) and state = 'redeemed'",
        client.uuid(),
        &codes,
        to.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Codes that wait for one learner wait for another.
pub(super) async fn move_waiting(
    conn: &mut PgConnection,
    client: ClientId,
    from: LearnerId,
    to: LearnerId,
) -> Result<(), Fault> {
    sqlx::query!(
        "with gone as (delete from waiting_codes where client_id = $1 and learner_id = $2 returning code_id, created_at)
         insert into waiting_codes (client_id, learner_id, code_id, created_at)
         select $1, $3, code_id, created_at from gone on conflict on constraint waiting_codes_pkey do nothing",
        client.uuid(),
        from.uuid(),
        to.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets a code that is not redeemed to another state, and counts it with its batch. The offer and the code are locked.
pub(super) async fn set_revoked(
    conn: &mut PgConnection,
    client: ClientId,
    code: CodeId,
    is_revoked: bool,
) -> Result<(), Fault> {
    let state = if is_revoked { CodeState::Revoked } else { CodeState::Unused };
    sqlx::query!(
        "with changed as (update codes set state = $3 where client_id = $1 and id = $2 returning offer_id)
         update code_offers o set codes_revoked = greatest(0, o.codes_revoked + $4)
         from changed where o.client_id = $1 and o.id = changed.offer_id",
        client.uuid(),
        code.uuid(),
        state.as_str(),
        if is_revoked { 1 } else { -1 },
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts every unused code of a batch as revoked, and notes that they are to be marked so. The batch is locked.
pub(super) async fn begin_revoking(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    count: i32,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update code_offers o set codes_revoked = codes_revoked + $3, rest_revoked_at = $4, updated_at = $4,
                revoking_from = coalesce(revoking_from, $5),
                revoking_to = coalesce((select c.id from codes c where c.client_id = o.client_id and c.offer_id = o.id
                                        order by c.id desc limit 1), $5)
         where client_id = $1 and id = $2",
        client.uuid(),
        batch.uuid(),
        count,
        now,
        Uuid::nil(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A batch whose codes are to be marked as revoked and that nobody else is at, locked until the transaction ends.
pub(super) async fn claim_revoking(conn: &mut PgConnection) -> Result<Option<(ClientId, BatchId)>, Fault> {
    let row = sqlx::query!(
        "select client_id, id from code_offers where revoking_to is not null
         order by rest_revoked_at limit 1 for no key update skip locked"
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.client_id.into(), row.id.into())))
}

/// Marks codes as revoked, up to `limit` of them looked at, in the order of their ids; whether there may be more. The
/// batch is locked.
pub(super) async fn revoke_some(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    limit: i64,
) -> Result<bool, Fault> {
    let last = sqlx::query_scalar!(
        r#"with part as (
             select c.id, c.state from code_offers o
             join codes c on c.client_id = o.client_id and c.offer_id = o.id and c.id > o.revoking_from and c.id <= o.revoking_to
             where o.client_id = $1 and o.id = $2 order by c.id limit $3
           ), done as (
             update codes c set state = 'revoked' from part
             where c.client_id = $1 and c.id = part.id and part.state = 'unused'
           )
           select id from part order by id desc limit 1"#,
        client.uuid(),
        batch.uuid(),
        limit,
    )
    .fetch_optional(&mut *conn)
    .await?;
    sqlx::query!(
        "update code_offers set revoking_from = $3, revoking_to = case when $3::uuid is null then null else revoking_to end
         where client_id = $1 and id = $2",
        client.uuid(),
        batch.uuid(),
        last,
    )
    .execute(conn)
    .await?;
    Ok(last.is_some())
}

/// Whether the rest of the batch of a code is being revoked.
pub(super) async fn is_revoking(conn: &mut PgConnection, client: ClientId, code: CodeId) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        r#"select o.revoking_to is not null as "is_revoking!"
           from codes c join code_offers o on o.client_id = c.client_id and o.id = c.offer_id
           where c.client_id = $1 and c.id = $2"#,
        client.uuid(),
        code.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.unwrap_or(false))
}
