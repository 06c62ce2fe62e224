//! SQL of grants and blocks. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Source;
use crate::{
    claims::Role,
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
};

/// A grant's key within its client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GrantKey {
    pub learner: LearnerId,
    pub sublicense: SublicenseId,
    pub source: Source,
    pub source_ref: String,
}

/// A grant about to be written.
#[derive(Debug, Clone)]
pub(super) struct GrantRow {
    pub role: Role,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
}

/// Locks learners until the transaction ends, in the order of their ids; who of them is there, and whether suspended.
pub(super) async fn lock_learners(
    conn: &mut PgConnection,
    client: ClientId,
    learners: &[LearnerId],
) -> Result<Vec<(LearnerId, String)>, Fault> {
    let mut ids: Vec<Uuid> = learners.iter().map(|id| id.uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    // One lookup for each, in their order, here and below: with a list, PostgreSQL may read the whole client, of whom it
    // knows little while thousands are being written.
    let rows = sqlx::query!(
        "select l.id, l.status from unnest($2::uuid[]) as k (id) cross join lateral (
           select id, status from learners where client_id = $1 and learners.id = k.id for no key update) l",
        client.uuid(),
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.status)).collect())
}

/// A grant that has not lapsed, as it is read.
pub(super) struct HeldRow {
    pub learner_id: Uuid,
    pub sublicense_id: Uuid,
    pub source: String,
    pub source_ref: String,
    pub role: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    pub sublicense_ends_at: Option<DateTime<Utc>>,
}

/// The grants of these learners that run or are yet to begin, of every sublicense.
pub(super) async fn held(
    conn: &mut PgConnection,
    client: ClientId,
    learners: &[LearnerId],
    now: DateTime<Utc>,
) -> Result<Vec<HeldRow>, Fault> {
    let mut ids: Vec<Uuid> = learners.iter().map(|id| id.uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query_as!(
        HeldRow,
        "select g.learner_id, g.sublicense_id, g.source, g.source_ref, g.role, g.starts_at, g.ends_at,
                s.ends_at as sublicense_ends_at
         from unnest($2::uuid[]) as k (id) cross join lateral (
           select a.client_id, a.learner_id, a.sublicense_id, a.source, a.source_ref, a.role, a.starts_at, a.ends_at
           from access_grants a where a.client_id = $1 and a.learner_id = k.id
             and (a.ends_at is null or a.ends_at > $3) offset 0) g
         join sublicenses s on s.client_id = g.client_id and s.id = g.sublicense_id",
        client.uuid(),
        &ids,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// From which sublicenses an admin removed these learners.
pub(super) async fn blocks(
    conn: &mut PgConnection,
    client: ClientId,
    learners: &[LearnerId],
) -> Result<Vec<(LearnerId, SublicenseId)>, Fault> {
    let mut ids: Vec<Uuid> = learners.iter().map(|id| id.uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query!(
        "select b.learner_id, b.sublicense_id from unnest($2::uuid[]) as k (id) cross join lateral (
           select learner_id, sublicense_id from blocks where client_id = $1 and learner_id = k.id offset 0) b",
        client.uuid(),
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.learner_id.into(), row.sublicense_id.into())).collect())
}

/// Writes grants. One that had ended under the same key runs again from where it first began, unless it is to begin later.
pub(super) async fn upsert_grants(
    conn: &mut PgConnection,
    client: ClientId,
    grants: &[(&GrantKey, &GrantRow)],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if grants.is_empty() {
        return Ok(());
    }
    let learners: Vec<Uuid> = grants.iter().map(|(key, _)| key.learner.uuid()).collect();
    let sublicenses: Vec<Uuid> = grants.iter().map(|(key, _)| key.sublicense.uuid()).collect();
    let sources: Vec<String> = grants.iter().map(|(key, _)| key.source.as_str().to_owned()).collect();
    let refs: Vec<String> = grants.iter().map(|(key, _)| key.source_ref.clone()).collect();
    let roles: Vec<String> = grants.iter().map(|(_, row)| row.role.as_str().to_owned()).collect();
    let starts: Vec<DateTime<Utc>> = grants.iter().map(|(_, row)| row.starts_at).collect();
    let ends: Vec<Option<DateTime<Utc>>> = grants.iter().map(|(_, row)| row.ends_at).collect();
    sqlx::query!(
        "insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, role, starts_at, ends_at, created_at)
         select $1, t.learner_id, t.sublicense_id, t.source, t.source_ref, t.role, t.starts_at, t.ends_at, $9
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
              t (learner_id, sublicense_id, source, source_ref, role, starts_at, ends_at)
         on conflict on constraint access_grants_pkey
         do update set role = excluded.role, ends_at = excluded.ends_at, end_reason = null,
            starts_at = case when excluded.starts_at > $9 then excluded.starts_at
                             else least(access_grants.starts_at, excluded.starts_at) end",
        client.uuid(),
        &learners,
        &sublicenses,
        &sources,
        &refs,
        &roles,
        &starts,
        &ends as &[Option<DateTime<Utc>>],
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends grants that have not ended, each with its reason.
pub(super) async fn end_grants(
    conn: &mut PgConnection,
    client: ClientId,
    grants: &[(&GrantKey, &'static str)],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if grants.is_empty() {
        return Ok(());
    }
    let learners: Vec<Uuid> = grants.iter().map(|(key, _)| key.learner.uuid()).collect();
    let sublicenses: Vec<Uuid> = grants.iter().map(|(key, _)| key.sublicense.uuid()).collect();
    let sources: Vec<String> = grants.iter().map(|(key, _)| key.source.as_str().to_owned()).collect();
    let refs: Vec<String> = grants.iter().map(|(key, _)| key.source_ref.clone()).collect();
    let reasons: Vec<String> = grants.iter().map(|(_, reason)| (*reason).to_owned()).collect();
    sqlx::query!(
        "update access_grants g set ends_at = greatest(g.starts_at, $7), end_reason = t.reason
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[])
              t (learner_id, sublicense_id, source, source_ref, reason)
         where g.client_id = $1 and g.learner_id = t.learner_id and g.sublicense_id = t.sublicense_id
           and g.source = t.source and g.source_ref = t.source_ref and (g.ends_at is null or g.ends_at > $7)",
        client.uuid(),
        &learners,
        &sublicenses,
        &sources,
        &refs,
        &reasons,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
