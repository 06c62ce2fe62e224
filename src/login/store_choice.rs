//! SQL of the clients that a shared connection may choose.

use sqlx::PgConnection;

use crate::{
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// A client of a connection's list, and what names it.
pub struct Listed {
    pub client: ClientId,
    pub slug: String,
    pub sku: Option<String>,
}

/// The connection's version now, and those of its list that one of the names may lead to. A sku beyond ASCII is left to
/// the caller, whose rules of case are not PostgreSQL's. `None` where the connection is gone.
pub async fn listed_among(
    conn: &mut PgConnection,
    owner: ClientId,
    connection: ConnectionId,
    names: &[String],
) -> Result<Option<(i64, Vec<Listed>)>, Fault> {
    let rows = sqlx::query!(
        r#"select n.version, l.client_id as "client?: ClientId", l.slug as "slug?", l.sku
           from connections n
           left join lateral (
               select m.client_id, s.slug, c.sku
               from connection_clients m
               join clients c on c.id = m.client_id
               join slugs s on s.client_id = m.client_id
               where m.owner_id = n.client_id and m.connection_id = n.id and m.position is not null
                 and (s.slug = any($3) or lower(c.sku) = any($3) or octet_length(c.sku) > char_length(c.sku))
               order by m.position) l on true
           where n.client_id = $1 and n.id = $2"#,
        owner.uuid(),
        connection.uuid(),
        names,
    )
    .fetch_all(conn)
    .await?;
    let Some(version) = rows.first().map(|row| row.version) else { return Ok(None) };
    let listed = rows.into_iter().filter_map(|row| Some(Listed { client: row.client?, slug: row.slug?, sku: row.sku }));
    Ok(Some((version, listed.collect())))
}
