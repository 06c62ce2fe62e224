//! SQL that reads what decides about invites: five statements, whatever their number.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::{PgConnection, types::Json};

use super::{
    judge::{Part, Person, Scene, Sends, Standing, Terms},
    model::{InviteStatus, NewInvite, SEND_WINDOW},
    store::read_role,
};
use crate::{
    claims::Role,
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// Reads everything that decides about these wishes.
pub(super) async fn read(
    conn: &mut PgConnection,
    client: ClientId,
    invites: &[NewInvite],
    now: DateTime<Utc>,
) -> Result<Scene, Fault> {
    let keys: Vec<String> = invites.iter().map(|invite| invite.email.key().to_owned()).collect();
    Ok(Scene {
        terms: terms(conn, client).await?,
        parts: parts(conn, client).await?,
        open: open(conn, client, &keys).await?,
        people: people(conn, client, &keys, now).await?,
        sends: sends(conn, client, &keys, now).await?,
    })
}

async fn terms(conn: &mut PgConnection, client: ClientId) -> Result<Terms, Fault> {
    let row = sqlx::query!(
        r#"select c.status = 'active' as "is_active!", c.license_ends_at, c.invite_ttl_days
           from clients c where c.id = $1"#,
        client.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(Terms { is_active: row.is_active, license_ends_at: row.license_ends_at, invite_ttl_days: row.invite_ttl_days })
}

async fn parts(conn: &mut PgConnection, client: ClientId) -> Result<Vec<Part>, Fault> {
    let rows = sqlx::query!(
        "select id, name, ends_at from sublicenses where client_id = $1 order by is_default desc, name",
        client.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| Part { id: row.id.into(), name: row.name, ends_at: row.ends_at }).collect())
}

async fn open(conn: &mut PgConnection, client: ClientId, keys: &[String]) -> Result<HashMap<String, Standing>, Fault> {
    let rows = sqlx::query!(
        r#"select i.id, i.email_key, i.status, i.role, i.expires_at, i.times_sent,
                  array(select s.sublicense_id from invite_sublicenses s
                        where s.client_id = i.client_id and s.invite_id = i.id order by 1) as "sublicenses!"
           from invites i
           where i.client_id = $1 and i.email_key = any($2) and i.status in ('pending', 'sent', 'bounced')"#,
        client.uuid(),
        keys,
    )
    .fetch_all(conn)
    .await?;
    let standing = rows.into_iter().map(|row| {
        let standing = Standing {
            id: row.id.into(),
            status: InviteStatus::read(&row.status)?,
            role: read_role(&row.role),
            sublicenses: row.sublicenses.into_iter().map(SublicenseId::from).collect(),
            expires_at: row.expires_at,
            times_sent: row.times_sent,
        };
        Ok((row.email_key, standing))
    });
    standing.collect()
}

#[derive(Debug, Deserialize)]
struct Held {
    sublicense: uuid::Uuid,
    is_manager: bool,
}

async fn people(
    conn: &mut PgConnection,
    client: ClientId,
    keys: &[String],
    now: DateTime<Utc>,
) -> Result<HashMap<String, Person>, Fault> {
    let rows = sqlx::query!(
        r#"select l.id, l.email_key as "email_key!", l.status = 'active' as "is_active!",
                  array(select b.sublicense_id from blocks b
                        where b.client_id = l.client_id and b.learner_id = l.id) as "blocked!",
                  coalesce((
                      select jsonb_agg(jsonb_build_object('sublicense', h.sublicense_id, 'is_manager', h.is_manager))
                      from (select g.sublicense_id, bool_or(g.role = 'manager') as is_manager
                            from access_grants g
                            join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id
                            where g.client_id = l.client_id and g.learner_id = l.id and g.starts_at <= $3
                              and (g.ends_at is null or g.ends_at > $3) and (s.ends_at is null or s.ends_at > $3)
                            group by g.sublicense_id) h
                  ), '[]') as "held!: Json<Vec<Held>>"
           from learners l where l.client_id = $1 and l.email_key = any($2) and l.email_verified"#,
        client.uuid(),
        keys,
        now,
    )
    .fetch_all(conn)
    .await?;
    let role = |is_manager: bool| if is_manager { Role::Manager } else { Role::Learner };
    let person = rows.into_iter().map(|row| {
        let person = Person {
            id: row.id.into(),
            is_active: row.is_active,
            blocked: row.blocked.into_iter().map(SublicenseId::from).collect(),
            held: row.held.0.into_iter().map(|held| (held.sublicense.into(), role(held.is_manager))).collect(),
        };
        (row.email_key, person)
    });
    Ok(person.collect())
}

async fn sends(
    conn: &mut PgConnection,
    client: ClientId,
    keys: &[String],
    now: DateTime<Utc>,
) -> Result<HashMap<String, Sends>, Fault> {
    let rows = sqlx::query!(
        r#"select i.email_key, count(*) as "count!", min(l.made_at) as "oldest!"
           from invites i join invite_links l on l.client_id = i.client_id and l.invite_id = i.id
           where i.client_id = $1 and i.email_key = any($2) and l.client_id = $1 and l.made_at > $3 and not l.is_reminder
           group by i.email_key"#,
        client.uuid(),
        keys,
        now - SEND_WINDOW,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.email_key, Sends { count: row.count, oldest: row.oldest })).collect())
}
