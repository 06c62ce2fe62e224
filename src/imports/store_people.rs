//! SQL of the learners that rows mean: found, made and changed many at once. Every statement leads with the client.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use super::plan::{Fields, Held, Person};
use crate::{
    fault::Fault,
    ids::{ClientId, InviteId, LearnerId, SublicenseId},
};

// Lists are looked up one by one (`cross join lateral`): while thousands of rows are being written, PostgreSQL knows
// little of them, and may read the whole client for a list.

/// The learners whom these addresses or external ids may mean: an address counts where it is proved, or was written
/// down by an import.
pub(super) async fn found(
    conn: &mut PgConnection,
    client: ClientId,
    email_keys: &[String],
    external_ids: &[String],
) -> Result<Vec<LearnerId>, Fault> {
    let rows = sqlx::query_scalar!(
        r#"select l.id as "id!" from unnest($2::text[]) as k (email_key) cross join lateral (
             select id from learners
             where client_id = $1 and email_key = k.email_key and (email_verified or is_unclaimed) offset 0) l
           union
           select l.id from unnest($3::text[]) as k (external_id) cross join lateral (
             select id from learners where client_id = $1 and external_id = k.external_id and status <> 'moved' offset 0) l"#,
        client.uuid(),
        email_keys,
        external_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(LearnerId::from).collect())
}

/// Locks learners until the transaction ends, in the order of all who lock several.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId, learners: &[LearnerId]) -> Result<(), Fault> {
    let mut ids = uuids(learners);
    ids.sort_unstable();
    sqlx::query!(
        "select l.id from unnest($2::uuid[]) as k (id) cross join lateral (
           select id from learners where client_id = $1 and learners.id = k.id for no key update) l",
        client.uuid(),
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

fn uuids(learners: &[LearnerId]) -> Vec<Uuid> {
    learners.iter().map(|learner| learner.uuid()).collect()
}

/// These learners, with what they hold and what they are blocked from.
pub(super) async fn load(
    conn: &mut PgConnection,
    client: ClientId,
    learners: &[LearnerId],
    now: DateTime<Utc>,
) -> Result<Vec<Person>, Fault> {
    if learners.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"select l.id, l.email_key, l.email_verified, l.is_unclaimed, l.status = 'suspended' as "is_suspended!",
                  l.first_name, l.last_name, l.locale, l.external_id, l.attributes,
             coalesce((select jsonb_agg(jsonb_build_object('sublicense', g.sublicense_id, 'source', g.source,
                'source_ref', g.source_ref, 'role', g.role, 'ends_at', g.ends_at)) from access_grants g
                where g.client_id = l.client_id and g.learner_id = l.id and (g.ends_at is null or g.ends_at > $3)), '[]')
                as "held!",
             array(select b.sublicense_id from blocks b where b.client_id = l.client_id and b.learner_id = l.id) as "blocked!"
           from unnest($2::uuid[]) as k (id) cross join lateral (
             select client_id, id, email_key, email_verified, is_unclaimed, status, first_name, last_name, locale,
                    external_id, attributes
             from learners where client_id = $1 and learners.id = k.id offset 0) l"#,
        client.uuid(),
        &uuids(learners),
        now,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let held: Vec<StoredGrant> = serde_json::from_value(row.held)?;
            Ok(Person {
                id: row.id.into(),
                email_key: row.email_key,
                email_verified: row.email_verified,
                is_unclaimed: row.is_unclaimed,
                is_suspended: row.is_suspended,
                profile: Fields {
                    first_name: row.first_name,
                    last_name: row.last_name,
                    locale: row.locale,
                    external_id: row.external_id,
                    attributes: match row.attributes {
                        Value::Object(map) => map,
                        _ => Map::new(),
                    },
                },
                held: held.into_iter().map(Held::from).collect(),
                blocked: row.blocked.into_iter().map(SublicenseId::from).collect(),
            })
        })
        .collect()
}

#[derive(serde::Deserialize)]
struct StoredGrant {
    sublicense: Uuid,
    source: crate::access::Source,
    source_ref: String,
    role: crate::claims::Role,
    ends_at: Option<DateTime<Utc>>,
}

impl From<StoredGrant> for Held {
    fn from(row: StoredGrant) -> Self {
        Self {
            sublicense: row.sublicense.into(),
            source: row.source,
            source_ref: row.source_ref,
            role: row.role,
            ends_at: row.ends_at,
        }
    }
}

/// A learner about to be made.
#[derive(Debug, Clone)]
pub(super) struct NewPerson {
    pub id: LearnerId,
    pub sub: Uuid,
    pub email: String,
    pub email_key: String,
    pub fields: Fields,
}

/// Makes learners whom nobody can sign in as until their address is proved. Give them in the order of their addresses;
/// says how many were made: fewer, when another import has just made one of them.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    new: &[NewPerson],
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let ids: Vec<Uuid> = new.iter().map(|person| person.id.uuid()).collect();
    let subs: Vec<Uuid> = new.iter().map(|person| person.sub).collect();
    let emails: Vec<String> = new.iter().map(|person| person.email.clone()).collect();
    let keys: Vec<String> = new.iter().map(|person| person.email_key.clone()).collect();
    let columns = FieldColumns::of(new.iter().map(|person| &person.fields));
    let done = sqlx::query!(
        "insert into learners (client_id, id, sub, email, email_key, is_unclaimed, first_name, last_name, locale,
                               external_id, attributes, created_at, updated_at)
         select $1, n.id, n.sub, n.email, n.email_key, true, n.first_name, n.last_name, n.locale, n.external_id,
                n.attributes, $11, $11
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                     $10::jsonb[])
              as n (id, sub, email, email_key, first_name, last_name, locale, external_id, attributes)
         on conflict (client_id, email_key) where is_unclaimed and not email_verified do nothing",
        client.uuid(),
        &ids,
        &subs,
        &emails,
        &keys,
        &columns.first_names,
        &columns.last_names,
        &columns.locales as &[Option<String>],
        &columns.external_ids as &[Option<String>],
        &columns.attributes,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Fields by column.
struct FieldColumns {
    first_names: Vec<String>,
    last_names: Vec<String>,
    locales: Vec<Option<String>>,
    external_ids: Vec<Option<String>>,
    attributes: Vec<Value>,
}

impl FieldColumns {
    fn of<'a>(fields: impl Iterator<Item = &'a Fields>) -> Self {
        let mut columns = Self {
            first_names: Vec::new(),
            last_names: Vec::new(),
            locales: Vec::new(),
            external_ids: Vec::new(),
            attributes: Vec::new(),
        };
        for field in fields {
            columns.first_names.push(field.first_name.clone());
            columns.last_names.push(field.last_name.clone());
            columns.locales.push(field.locale.clone());
            columns.external_ids.push(field.external_id.clone());
            columns.attributes.push(Value::Object(field.attributes.clone()));
        }
        columns
    }
}

/// Writes the fields of learners who are there.
pub(super) async fn update(
    conn: &mut PgConnection,
    client: ClientId,
    changes: &[(LearnerId, &Fields)],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changes.iter().map(|(learner, _)| learner.uuid()).collect();
    let columns = FieldColumns::of(changes.iter().map(|(_, fields)| *fields));
    sqlx::query!(
        "update learners l set first_name = n.first_name, last_name = n.last_name, locale = n.locale,
                external_id = n.external_id, attributes = n.attributes, version = l.version + 1, updated_at = $8
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
              as n (id, first_name, last_name, locale, external_id, attributes)
         where l.client_id = $1 and l.id = n.id",
        client.uuid(),
        &ids,
        &columns.first_names,
        &columns.last_names,
        &columns.locales as &[Option<String>],
        &columns.external_ids as &[Option<String>],
        &columns.attributes,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A learner and a sublicense.
pub(super) type Pair = (LearnerId, SublicenseId);

fn columns(pairs: &[Pair]) -> (Vec<Uuid>, Vec<Uuid>) {
    pairs.iter().map(|(learner, sublicense)| (learner.uuid(), sublicense.uuid())).unzip()
}

/// Blocks learners from sublicenses.
pub(super) async fn block(
    conn: &mut PgConnection,
    client: ClientId,
    pairs: &[Pair],
    by: &str,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if pairs.is_empty() {
        return Ok(());
    }
    let (learners, sublicenses) = columns(pairs);
    sqlx::query!(
        "insert into blocks (client_id, learner_id, sublicense_id, created_at, created_by)
         select $1, p.learner, p.sublicense, $4, $5 from unnest($2::uuid[], $3::uuid[]) as p (learner, sublicense)
         on conflict on constraint blocks_pkey do nothing",
        client.uuid(),
        &learners,
        &sublicenses,
        now,
        by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Clears blocks.
pub(super) async fn unblock(conn: &mut PgConnection, client: ClientId, pairs: &[Pair]) -> Result<(), Fault> {
    if pairs.is_empty() {
        return Ok(());
    }
    let (learners, sublicenses) = columns(pairs);
    sqlx::query!(
        "delete from blocks where client_id = $1 and (learner_id, sublicense_id) in
            (select p.learner, p.sublicense from unnest($2::uuid[], $3::uuid[]) as p (learner, sublicense))",
        client.uuid(),
        &learners,
        &sublicenses,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The open invites of these addresses.
pub(super) async fn open_invites(
    conn: &mut PgConnection,
    client: ClientId,
    email_keys: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<(String, InviteId)>, Fault> {
    let rows = sqlx::query!(
        "select i.email_key, i.id from unnest($2::text[]) as k (email_key) cross join lateral (
           select email_key, id from invites where client_id = $1 and email_key = k.email_key
             and status in ('pending', 'sent', 'bounced') and expires_at > $3 offset 0) i",
        client.uuid(),
        email_keys,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.email_key, row.id.into())).collect())
}
