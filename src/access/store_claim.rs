//! SQL of records that imports made and nobody has claimed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// The unclaimed record of an address.
pub(super) struct Unclaimed {
    pub id: LearnerId,
    pub is_suspended: bool,
}

/// Finds and locks it.
pub(super) async fn lock_unclaimed(
    conn: &mut PgConnection,
    client: ClientId,
    email_key: &str,
) -> Result<Option<Unclaimed>, Fault> {
    let row = sqlx::query!(
        r#"select id, status = 'suspended' as "is_suspended!" from learners
           where client_id = $1 and email_key = $2 and is_unclaimed and not email_verified for update"#,
        client.uuid(),
        email_key,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Unclaimed { id: row.id.into(), is_suspended: row.is_suspended }))
}

/// Gives the learner what the record knows and they do not say themselves.
pub(super) async fn fill_in(
    conn: &mut PgConnection,
    client: ClientId,
    from: LearnerId,
    to: LearnerId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update learners l set
           external_id = coalesce(l.external_id, r.external_id), attributes = r.attributes || l.attributes,
           first_name = case when l.first_name = '' then r.first_name else l.first_name end,
           last_name = case when l.last_name = '' then r.last_name else l.last_name end,
           locale = coalesce(l.locale, r.locale), version = l.version + 1, updated_at = $4
         from learners r where l.client_id = $1 and l.id = $3 and r.client_id = $1 and r.id = $2",
        client.uuid(),
        from.uuid(),
        to.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An admin's removals hold for the person, whichever record they are written on.
pub(super) async fn move_blocks(
    conn: &mut PgConnection,
    client: ClientId,
    from: LearnerId,
    to: LearnerId,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into blocks (client_id, learner_id, sublicense_id, created_at, created_by)
         select client_id, $3, sublicense_id, created_at, created_by from blocks where client_id = $1 and learner_id = $2
         on conflict on constraint blocks_pkey do nothing",
        client.uuid(),
        from.uuid(),
        to.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
