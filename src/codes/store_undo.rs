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

/// Revokes up to `limit` unused codes of a batch after `after`, in the order of their ids; the last one looked at, and
/// how many were revoked.
pub(super) async fn revoke_unused(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    after: Uuid,
    limit: i64,
) -> Result<Option<(Uuid, i64)>, Fault> {
    let row = sqlx::query!(
        r#"with part as (
             select id, state from codes where client_id = $1 and offer_id = $2 and id > $3 order by id limit $4
           ), done as (
             update codes c set state = 'revoked' from part
             where c.client_id = $1 and c.id = part.id and part.state = 'unused' returning c.id
           )
           select (select id from part order by id desc limit 1) as last, (select count(*) from done) as "count!""#,
        client.uuid(),
        batch.uuid(),
        after,
        limit,
    )
    .fetch_one(conn)
    .await?;
    Ok(row.last.map(|last| (last, row.count)))
}

/// Counts codes that were revoked together.
pub(super) async fn add_revoked(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    count: i32,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update code_offers set codes_revoked = codes_revoked + $3, rest_revoked_at = $4, updated_at = $4
         where client_id = $1 and id = $2",
        client.uuid(),
        batch.uuid(),
        count,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
