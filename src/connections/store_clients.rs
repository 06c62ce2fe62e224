//! SQL of the clients that a connection signs people in to: its owner, or those of its list.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// A client that a name leads to.
pub struct Named {
    pub name: String,
    pub client: ClientId,
    pub slug: String,
}

/// The clients that ids or slugs name; what names none is left out.
pub async fn named(conn: &mut PgConnection, names: &[String]) -> Result<Vec<Named>, Fault> {
    let ids: Vec<Uuid> = names.iter().map(|name| name.parse().map_or(Uuid::nil(), ClientId::uuid)).collect();
    Ok(sqlx::query_as!(
        Named,
        r#"select w.name as "name!", s.client_id as "client: ClientId", s.slug
           from unnest($1::text[], $2::uuid[]) as w (name, id)
           join slugs s on s.slug = w.name or s.client_id = w.id"#,
        names,
        &ids,
    )
    .fetch_all(conn)
    .await?)
}

/// The clients that a connection serves, each with whether it is one of a list.
pub async fn served(
    conn: &mut PgConnection,
    owner: ClientId,
    id: ConnectionId,
) -> Result<Vec<(ClientId, bool)>, Fault> {
    let rows = sqlx::query!(
        r#"select client_id as "client: ClientId", position is not null as "is_listed!"
           from connection_clients where owner_id = $1 and connection_id = $2 order by position"#,
        owner.uuid(),
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.client, row.is_listed)).collect())
}

/// Whether a connection serves the clients of a list.
pub async fn is_shared(conn: &mut PgConnection, owner: ClientId, id: ConnectionId) -> Result<bool, Fault> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
            select from connection_clients where owner_id = $1 and connection_id = $2 and position is not null
        ) as "is_shared!""#,
        owner.uuid(),
        id.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

/// Writes whom a connection serves from now on: `listed`, or its owner alone where nothing is listed. What was served
/// before and is not any more was taken away by [`unserve`].
pub async fn serve(
    conn: &mut PgConnection,
    owner: ClientId,
    id: ConnectionId,
    listed: &[ClientId],
) -> Result<(), Fault> {
    let is_own = listed.is_empty();
    let clients: Vec<Uuid> = if is_own { vec![owner.uuid()] } else { listed.iter().map(|one| one.uuid()).collect() };
    sqlx::query!(
        "insert into connection_clients (client_id, connection_id, owner_id, position)
         select c.id, $2, $1, case when not $4 then c.place end from unnest($3::uuid[]) with ordinality as c (id, place)
         on conflict on constraint connection_clients_pkey do update set position = excluded.position",
        owner.uuid(),
        id.uuid(),
        &clients,
        is_own,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a client away from a connection, with the identities that the connection had there.
pub async fn unserve(conn: &mut PgConnection, client: ClientId, id: ConnectionId) -> Result<(), Fault> {
    sqlx::query!(
        "delete from connection_clients where client_id = $1 and connection_id = $2",
        client.uuid(),
        id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the access that a connection gave in one client, and the sessions of whoever signs in by it there; says how many
/// grants and how many learners. What granted it is gone, so that nothing else could end it later.
pub async fn end_access(
    conn: &mut PgConnection,
    client: ClientId,
    id: ConnectionId,
    why: &'static str,
    now: DateTime<Utc>,
) -> Result<(u64, u64), Fault> {
    let source_ref = id.to_string();
    let learners = sqlx::query!(
        "update learners set session_epoch = session_epoch + 1, version = version + 1, updated_at = $4
         where client_id = $1 and id in
            (select learner_id from access_grants where client_id = $1 and source = 'sso' and source_ref = $2
               and (ends_at is null or ends_at > $4)
             union all
             select learner_id from identities where client_id = $1 and connection_id = $3)",
        client.uuid(),
        source_ref,
        id.uuid(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    let grants = sqlx::query!(
        "update access_grants set ends_at = greatest(starts_at, $3), end_reason = $4
         where client_id = $1 and source = 'sso' and source_ref = $2 and (ends_at is null or ends_at > $3)",
        client.uuid(),
        source_ref,
        now,
        why,
    )
    .execute(conn)
    .await?;
    Ok((grants.rows_affected(), learners.rows_affected()))
}
