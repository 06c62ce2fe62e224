//! SQL of the claims that are kept sealed with attempts, read and written for a new sealing key.

use sqlx::PgConnection;

use super::journey::claims_place;
use crate::{
    crypto::{SealedPage, SealedQuery, SealedValue},
    fault::Fault,
    ids::{AttemptId, ClientId},
};

/// The claims of some attempts.
pub async fn page(conn: &mut PgConnection, query: &SealedQuery) -> Result<SealedPage, Fault> {
    let rows = sqlx::query!(
        r#"select client_id as "client: ClientId", id as "id: AttemptId",
                  case when $4::bytea is null or substring(claims_sealed from 2 for 1) = $4
                       then substring(claims_sealed for 2) else claims_sealed end as sealed
           from attempts where (client_id, id) > ($1, $2) order by client_id, id limit $3"#,
        query.after.0,
        query.after.1,
        query.limit,
        query.number(),
    )
    .fetch_all(conn)
    .await?;
    let last = rows.last().map(|row| (row.client.uuid(), row.id.uuid()));
    let count = rows.len();
    let values = rows.into_iter().filter_map(|row| {
        let place = claims_place(row.client, row.id);
        Some(SealedValue { client: row.client, row: row.id.uuid(), below: None, place, sealed: row.sealed? })
    });
    Ok(SealedPage { values: values.collect(), rows: count, last })
}

/// Writes claims sealed anew over those that are still as they were read; says how many.
pub async fn seal_anew(conn: &mut PgConnection, values: &[(SealedValue, Vec<u8>)]) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "update attempts a set claims_sealed = v.anew
         from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[]) as v (client_id, id, before, anew)
         where a.client_id = v.client_id and a.id = v.id and a.claims_sealed = v.before",
        &values.iter().map(|(value, _)| value.client.uuid()).collect::<Vec<_>>(),
        &values.iter().map(|(value, _)| value.row).collect::<Vec<_>>(),
        &values.iter().map(|(value, _)| value.sealed.clone()).collect::<Vec<_>>(),
        &values.iter().map(|(_, anew)| anew.clone()).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
