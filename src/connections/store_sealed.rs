//! SQL of what is sealed of connections, read and written for a new sealing key. The version stays: what a replica has
//! cached opens as long as the old key is on its ring.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{facts::secret_place, keys};
use crate::{
    crypto::{SealedPage, SealedQuery, SealedValue},
    fault::Fault,
    ids::{ClientId, ConnectionId, KeyId},
};

/// The client secrets and private keys of some connections.
pub async fn page(conn: &mut PgConnection, query: &SealedQuery) -> Result<SealedPage, Fault> {
    let rows = sqlx::query!(
        r#"with page as (
               select client_id, id, secret_sealed from connections where (client_id, id) > ($1, $2)
               order by client_id, id limit $3)
           select client_id as "client!: ClientId", id as "connection!: ConnectionId", null::uuid as "key: KeyId",
                  case when $4::bytea is null or substring(secret_sealed from 2 for 1) = $4
                       then substring(secret_sealed for 2) else secret_sealed end as sealed
           from page
           union all
           select p.client_id, p.id, k.id,
                  case when $4::bytea is null or substring(k.private_key_sealed from 2 for 1) = $4
                       then substring(k.private_key_sealed for 2) else k.private_key_sealed end
           from page p join connection_keys k on k.client_id = p.client_id and k.connection_id = p.id
           order by 1, 2, 3 nulls first"#,
        query.after.0,
        query.after.1,
        query.limit,
        query.number(),
    )
    .fetch_all(conn)
    .await?;
    let mut page = SealedPage::default();
    for row in rows {
        page.last = Some((row.client.uuid(), row.connection.uuid()));
        page.rows += usize::from(row.key.is_none());
        let Some(sealed) = row.sealed else { continue };
        let place = match row.key {
            None => secret_place(row.client, row.connection),
            Some(key) => keys::place(row.connection, key),
        };
        let (client, below) = (row.client, row.key.map(KeyId::uuid));
        page.values.push(SealedValue { client, row: row.connection.uuid(), below, place, sealed });
    }
    Ok(page)
}

/// Writes values sealed anew over those that are still as they were read; says how many.
pub async fn seal_anew(conn: &mut PgConnection, values: &[(SealedValue, Vec<u8>)]) -> Result<u64, Fault> {
    let (keys, secrets): (Vec<_>, Vec<_>) = values.iter().partition(|(value, _)| value.below.is_some());
    let column = |of: fn(&SealedValue) -> Uuid, values: &[&(SealedValue, Vec<u8>)]| -> Vec<Uuid> {
        values.iter().map(|(value, _)| of(value)).collect()
    };
    let written = sqlx::query!(
        "update connections c set secret_sealed = v.anew
         from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[]) as v (client_id, id, before, anew)
         where c.client_id = v.client_id and c.id = v.id and c.secret_sealed = v.before",
        &column(|value| value.client.uuid(), &secrets),
        &column(|value| value.row, &secrets),
        &secrets.iter().map(|(value, _)| value.sealed.clone()).collect::<Vec<_>>(),
        &secrets.iter().map(|(_, anew)| anew.clone()).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let keys_written = sqlx::query!(
        "update connection_keys k set private_key_sealed = v.anew
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::bytea[])
              as v (client_id, connection_id, id, before, anew)
         where k.client_id = v.client_id and k.connection_id = v.connection_id and k.id = v.id
               and k.private_key_sealed = v.before",
        &column(|value| value.client.uuid(), &keys),
        &column(|value| value.row, &keys),
        &column(|value| value.below.unwrap_or_default(), &keys),
        &keys.iter().map(|(value, _)| value.sealed.clone()).collect::<Vec<_>>(),
        &keys.iter().map(|(_, anew)| anew.clone()).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(written + keys_written)
}
