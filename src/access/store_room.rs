//! SQL of how many seats are free, for reports; nothing is locked.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// Seats under one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// `None` for the client's own limit.
    pub sublicense: Option<SublicenseId>,
    pub limit: i32,
    /// Neither used nor reserved; below nought where a limit was lowered under use.
    pub free: i32,
}

/// How many seats are free now under each limit that is set.
pub async fn room(conn: &mut PgConnection, client: ClientId, now: DateTime<Utc>) -> Result<Vec<Room>, Fault> {
    let rows = sqlx::query!(
        r#"with limits as (
             select id as scope_id, seat_limit from clients where id = $1 and seat_limit is not null
             union all
             select id, seat_limit from sublicenses where client_id = $1 and seat_limit is not null
           )
           select l.scope_id as "scope!", l.seat_limit as "limit!",
             (select count(distinct g.learner_id)::int
              from access_grants g join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id
              where g.client_id = $1 and (l.scope_id = $1 or g.sublicense_id = l.scope_id)
                and (g.ends_at is null or g.ends_at > $2) and (s.ends_at is null or s.ends_at > $2)) as "used!",
             (select count(*)::int from seat_reservations r
              where r.client_id = $1 and r.scope_id = l.scope_id and r.expires_at > $2) as "reserved!"
           from limits l"#,
        client.uuid(),
        now,
    )
    .fetch_all(conn)
    .await?;
    let room = |scope: uuid::Uuid, limit: i32, taken: i32| Room {
        sublicense: (scope != client.uuid()).then(|| scope.into()),
        limit,
        free: limit - taken,
    };
    Ok(rows.into_iter().map(|row| room(row.scope, row.limit, row.used + row.reserved)).collect())
}
