//! SQL of rings and of walks over sealed values.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Announced, Part, Pass};
use crate::{
    crypto::{KeyName, SealError},
    fault::Fault,
    ids::ReplicaId,
};

/// Writes what a replica says of its ring.
pub async fn announce(conn: &mut PgConnection, said: &Announced) -> Result<(), Fault> {
    let ring: Vec<String> = said.ring.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "insert into replica_rings (replica, ring, seals, seen_at) values ($1, $2, $3, $4)
         on conflict (replica) do update set ring = excluded.ring, seals = excluded.seals, seen_at = excluded.seen_at",
        said.replica.uuid(),
        &ring,
        said.seals.to_string(),
        said.seen_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The replicas that were heard of since then.
pub async fn live(conn: &mut PgConnection, since: DateTime<Utc>) -> Result<Vec<Announced>, Fault> {
    let rows = sqlx::query!(
        r#"select replica as "replica: ReplicaId", ring, seals, seen_at from replica_rings
           where seen_at >= $1 order by replica"#,
        since,
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| {
        let ring: Result<Vec<KeyName>, SealError> = row.ring.iter().map(|name| name.parse()).collect();
        Ok(Announced { replica: row.replica, ring: ring?, seals: row.seals.parse()?, seen_at: row.seen_at })
    });
    read.collect()
}

/// Removes what a replica said.
pub async fn leave(conn: &mut PgConnection, replica: ReplicaId) -> Result<(), Fault> {
    sqlx::query!("delete from replica_rings where replica = $1", replica.uuid()).execute(conn).await?;
    Ok(())
}

/// Removes what was said before then.
pub async fn forget(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<(), Fault> {
    sqlx::query!("delete from replica_rings where seen_at < $1", before).execute(conn).await?;
    Ok(())
}

/// Begins the walk over a part, from its first row; one to the same key that has not come to its end goes on. Says
/// whether it begins.
pub async fn begin(conn: &mut PgConnection, part: Part, key: KeyName, now: DateTime<Utc>) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "insert into reseals (part, key, after_client, after_row, started_at) values ($1, $2, $3, $3, $4)
         on conflict (part) do update
         set key = excluded.key, after_client = excluded.after_client, after_row = excluded.after_row, passed = 0,
             resealed = 0, unopened = 0, started_at = excluded.started_at, finished_at = null
         where reseals.key <> excluded.key or reseals.finished_at is not null",
        part.as_str(),
        key.to_string(),
        Uuid::nil(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The walks of the latest rotation.
pub async fn passes(conn: &mut PgConnection) -> Result<Vec<Pass>, Fault> {
    let rows = sqlx::query!(
        "select part, key, passed, resealed, unopened, started_at, finished_at from reseals order by part",
    )
    .fetch_all(conn)
    .await?;
    let read = rows.into_iter().map(|row| {
        Ok(Pass {
            part: Part::parse(&row.part).ok_or_else(|| Fault::Corrupt("a part of a rotation".into()))?,
            key: row.key.parse()?,
            passed: row.passed.unsigned_abs(),
            resealed: row.resealed.unsigned_abs(),
            unopened: row.unopened.unsigned_abs(),
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    });
    read.collect()
}

/// A walk to this key that has not come to its end and that nobody is at, locked, with where it is.
pub async fn claim(conn: &mut PgConnection, key: KeyName) -> Result<Option<(Part, (Uuid, Uuid))>, Fault> {
    let row = sqlx::query!(
        "select part, after_client, after_row from reseals where key = $1 and finished_at is null
         order by part limit 1 for update skip locked",
        key.to_string(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let part = Part::parse(&row.part).ok_or_else(|| Fault::Corrupt("a part of a rotation".into()))?;
    Ok(Some((part, (row.after_client, row.after_row))))
}

/// What came of some rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    pub passed: u64,
    pub resealed: u64,
    pub unopened: u64,
}

/// Writes how far a walk came; without a last row it has come to its end.
pub async fn advance(
    conn: &mut PgConnection,
    part: Part,
    last: Option<(Uuid, Uuid)>,
    step: Step,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query!(
        "update reseals set after_client = coalesce($2, after_client), after_row = coalesce($3, after_row),
                passed = passed + $4, resealed = resealed + $5, unopened = unopened + $6,
                finished_at = case when $2::uuid is null then $7::timestamptz end
         where part = $1",
        part.as_str(),
        last.map(|(client, _)| client),
        last.map(|(_, row)| row),
        count(step.passed),
        count(step.resealed),
        count(step.unopened),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
