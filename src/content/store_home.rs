//! The one query of the learner's home: the learner, what they hold now, and the content that is theirs.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::{PgExecutor, types::Json};

use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
    sessions::IdpSession,
};

/// A learner's home as PostgreSQL holds it now.
#[derive(Debug)]
pub(super) struct Home {
    pub first_name: String,
    pub last_name: String,
    pub email: Option<String>,
    /// Sessions of another epoch are dead.
    pub session_epoch: i32,
    pub is_active: bool,
    /// Whether the connection that the session hangs on is active; sessions without one are judged by the client.
    pub is_way_open: bool,
    /// Whether the address still waits for its proof.
    pub is_provisional: bool,
    pub client_version: i64,
    pub held: Json<Vec<Held>>,
    pub content: Json<Vec<Shown>>,
}

/// A sublicense that the learner may see now.
#[derive(Debug, Deserialize)]
pub(super) struct Held {
    pub name: String,
    pub is_manager: bool,
    /// The earlier of the last grant's and the sublicense's end.
    pub ends_at: Option<DateTime<Utc>>,
}

/// A content item that the learner may see now.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    pub title: String,
    pub description: String,
    pub url: String,
    /// Through which of the held sublicenses; none where the whole client sees it.
    pub through: Option<Vec<String>>,
}

/// Reads the home; nothing where there is no such learner.
pub(super) async fn find(
    conn: impl PgExecutor<'_>,
    client: ClientId,
    learner: LearnerId,
    idp: Option<&IdpSession>,
    now: DateTime<Utc>,
) -> Result<Option<Home>, Fault> {
    let home = sqlx::query_as!(
        Home,
        r#"with held as materialized (
            select s.id, s.name, s.is_default, bool_or(g.role = 'manager') as is_manager,
                   least(case when bool_and(g.ends_at is not null) then max(g.ends_at) end, s.ends_at) as ends_at
            from access_grants g
            join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id
            where g.client_id = $1 and g.learner_id = $2 and g.starts_at <= $3
              and (g.ends_at is null or g.ends_at > $3) and (s.ends_at is null or s.ends_at > $3)
            group by s.id, s.name, s.is_default, s.ends_at
        )
        select l.first_name, l.last_name, l.email, l.session_epoch, l.status = 'active' as "is_active!",
               ($5::uuid is null or exists (select from connections n where n.client_id = $4 and n.id = $5 and n.status = 'active')) as "is_way_open!",
               exists (select from provisional_passwords p where p.client_id = l.client_id and p.learner_id = l.id) as "is_provisional!",
               c.version as client_version,
               coalesce((
                   select json_agg(json_build_object('name', h.name, 'is_manager', h.is_manager, 'ends_at', h.ends_at)
                                   order by h.is_default desc, h.name)
                   from held h
               ), '[]') as "held!: Json<Vec<Held>>",
               coalesce((
                   select json_agg(json_build_object('title', i.title, 'description', i.description, 'url', i.url,
                                                     'through', t.names) order by i.title, i.id)
                   from content_items i
                   left join lateral (
                       select json_agg(h.name order by h.name) as names
                       from content_sublicenses cs join held h on h.id = cs.sublicense_id
                       where i.audience = 'sublicenses' and cs.client_id = i.client_id and cs.content_id = i.id
                   ) t on true
                   where i.client_id = $1 and exists (select from held)
                     and (i.audience = 'client' or t.names is not null)
               ), '[]') as "content!: Json<Vec<Shown>>"
        from learners l join clients c on c.id = l.client_id
        where l.client_id = $1 and l.id = $2"#,
        client.uuid(),
        learner.uuid(),
        now,
        idp.map(|idp| idp.owner.uuid()),
        idp.map(|idp| idp.connection.uuid()),
    )
    .fetch_optional(conn)
    .await?;
    Ok(home)
}
