//! SQL of the links that wait sealed in the outbox, read and written for a new sealing key.

use sqlx::PgConnection;

use super::queue::link_place;
use crate::{
    crypto::{SealedPage, SealedQuery, SealedValue},
    fault::Fault,
    ids::{ClientId, MailId},
};

/// The links of some mails.
pub async fn page(conn: &mut PgConnection, query: &SealedQuery) -> Result<SealedPage, Fault> {
    let rows = sqlx::query!(
        r#"select client_id as "client: ClientId", id as "id: MailId",
                  case when $4::bytea is null or substring(link_sealed from 2 for 1) = $4
                       then substring(link_sealed for 2) else link_sealed end as sealed
           from mails where (client_id, id) > ($1, $2) order by client_id, id limit $3"#,
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
        let place = link_place(row.client, row.id);
        Some(SealedValue { client: row.client, row: row.id.uuid(), below: None, place, sealed: row.sealed? })
    });
    Ok(SealedPage { values: values.collect(), rows: count, last })
}

/// Writes links sealed anew over those that are still as they were read; says how many.
pub async fn seal_anew(conn: &mut PgConnection, values: &[(SealedValue, Vec<u8>)]) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "update mails m set link_sealed = v.anew
         from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[]) as v (client_id, id, before, anew)
         where m.client_id = v.client_id and m.id = v.id and m.link_sealed = v.before",
        &values.iter().map(|(value, _)| value.client.uuid()).collect::<Vec<_>>(),
        &values.iter().map(|(value, _)| value.row).collect::<Vec<_>>(),
        &values.iter().map(|(value, _)| value.sealed.clone()).collect::<Vec<_>>(),
        &values.iter().map(|(_, anew)| anew.clone()).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
