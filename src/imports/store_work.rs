//! SQL of work on imports: a lease that one replica holds at a time, how far it has come, and what is removed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{ImportOptions, State};
use crate::{
    fault::Fault,
    ids::{ClientId, ImportId, SublicenseId},
};

/// An import that this replica is at.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub client: ClientId,
    pub id: ImportId,
    pub state: State,
    pub options: ImportOptions,
    pub next_row: i32,
    pub author: Option<String>,
    pub reference: Option<String>,
}

/// Claims the import that has waited longest, for as long as the lease. A lease that has lapsed is anybody's.
pub(super) async fn claim(
    conn: &mut PgConnection,
    worker: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<(ClientId, ImportId)>, Fault> {
    let row = sqlx::query!(
        "update imports set lease_by = $1, lease_until = $3, worked_at = $2
         where (client_id, id) = (
             select client_id, id from imports
             where state in ('checking', 'running', 'undoing')
               and (lease_until is null or lease_until <= $2 or lease_by = $1)
             order by worked_at limit 1 for update skip locked)
         returning client_id, id",
        worker,
        now,
        until,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.client_id.into(), row.id.into())))
}

/// The import as it is now, locked until the transaction ends; `None` when the lease is no longer this worker's.
pub(super) async fn hold(
    conn: &mut PgConnection,
    client: ClientId,
    id: ImportId,
    worker: Uuid,
) -> Result<Option<Job>, Fault> {
    let row = sqlx::query!(
        "select state, options, next_row, author, reference from imports
         where client_id = $1 and id = $2 and lease_by = $3 and state in ('checking', 'running', 'undoing')
         for no key update",
        client.uuid(),
        id.uuid(),
        worker,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Job {
            client,
            id,
            state: row.state.parse()?,
            options: serde_json::from_value(row.options)?,
            next_row: row.next_row,
            author: row.author,
            reference: row.reference,
        })
    })
    .transpose()
}

/// Has the statements of this transaction planned with the tables as they are. A plan that a connection kept from when
/// they were empty may read the whole client for each row: then every index was as good as another.
pub(super) async fn plan_anew(conn: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query!("set local plan_cache_mode = force_custom_plan").execute(conn).await?;
    Ok(())
}

/// Notes that rows up to `next_row` are dealt with, and holds the lease for longer. In the transaction of the batch.
pub(super) async fn advance(
    conn: &mut PgConnection,
    job: &Job,
    next_row: i32,
    rows: i32,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update imports set next_row = $3, rows_done = rows_done + $4, worked_at = $5, lease_until = $6
         where client_id = $1 and id = $2",
        job.client.uuid(),
        job.id.uuid(),
        next_row,
        rows,
        now,
        until,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a finished step leaves behind.
pub(super) struct Finish {
    pub state: State,
    pub counts: Value,
    pub results: Value,
    pub failure: Option<&'static str>,
}

/// Ends what is under way.
pub(super) async fn finish(
    conn: &mut PgConnection,
    job: &Job,
    finish: &Finish,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update imports set state = $3, counts = $4, results = $5, failure = $6, worked_at = $7, next_row = 0,
                lease_by = null, lease_until = null,
                checked_at = case when $3 = 'ready' then $7 else checked_at end,
                finished_at = case when $3 = 'done' then $7 else finished_at end,
                undone_at = case when $3 = 'undone' then $7 else undone_at end
         where client_id = $1 and id = $2",
        job.client.uuid(),
        job.id.uuid(),
        finish.state.as_str(),
        finish.counts,
        finish.results,
        finish.failure,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets others have the import: it goes to the end of the queue.
pub(super) async fn release(
    conn: &mut PgConnection,
    client: ClientId,
    id: ImportId,
    worker: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update imports set lease_by = null, lease_until = null, worked_at = $4
         where client_id = $1 and id = $2 and lease_by = $3",
        client.uuid(),
        id.uuid(),
        worker,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Seats under one limit, as the dry run counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeatRow {
    pub target: ClientId,
    /// `None` for the client's own limit.
    pub sublicense: Option<SublicenseId>,
    pub free: i32,
    /// What every row needs that is good but for seats.
    pub needed: i32,
    /// What the rows need that found seats.
    pub fitting: i32,
}

fn scope(target: ClientId, sublicense: Option<SublicenseId>) -> Uuid {
    sublicense.map_or(target.uuid(), SublicenseId::uuid)
}

/// The seats counted so far.
pub(super) async fn seats(conn: &mut PgConnection, client: ClientId, import: ImportId) -> Result<Vec<SeatRow>, Fault> {
    let rows = sqlx::query!(
        "select target_id, scope_id, free, needed, fitting from import_seats where client_id = $1 and import_id = $2",
        client.uuid(),
        import.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let seat = |target: Uuid, scope: Uuid, free: i32, needed: i32, fitting: i32| SeatRow {
        target: target.into(),
        sublicense: (scope != target).then(|| scope.into()),
        free,
        needed,
        fitting,
    };
    Ok(rows.into_iter().map(|row| seat(row.target_id, row.scope_id, row.free, row.needed, row.fitting)).collect())
}

/// Writes the seats counted so far.
pub(super) async fn put_seats(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
    rows: &[SeatRow],
) -> Result<(), Fault> {
    let targets: Vec<Uuid> = rows.iter().map(|row| row.target.uuid()).collect();
    let scopes: Vec<Uuid> = rows.iter().map(|row| scope(row.target, row.sublicense)).collect();
    let free: Vec<i32> = rows.iter().map(|row| row.free).collect();
    let needed: Vec<i32> = rows.iter().map(|row| row.needed).collect();
    let fitting: Vec<i32> = rows.iter().map(|row| row.fitting).collect();
    sqlx::query!(
        "insert into import_seats (client_id, import_id, target_id, scope_id, free, needed, fitting)
         select $1, $2, s.* from unnest($3::uuid[], $4::uuid[], $5::int[], $6::int[], $7::int[]) as s
         on conflict on constraint import_seats_pkey
         do update set free = excluded.free, needed = excluded.needed, fitting = excluded.fitting",
        client.uuid(),
        import.uuid(),
        &targets,
        &scopes,
        &free,
        &needed,
        &fitting,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes imports whose file never came to its end; says how many.
pub(super) async fn remove_unfinished(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "delete from imports where (client_id, id) in (
             select client_id, id from imports where state = 'receiving' and lease_until <= $1
             order by worked_at limit $2 for update skip locked)",
        now,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// An import whose rows have served their time.
pub(super) async fn next_old(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<Option<(ClientId, ImportId)>, Fault> {
    let row = sqlx::query!(
        "select client_id, id from imports
         where rows_removed_at is null and created_at < $1 and state in ('ready', 'done', 'failed', 'undone')
         order by created_at limit 1 for update skip locked",
        before,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.client_id.into(), row.id.into())))
}

/// Removes some of an import's rows; says how many.
pub(super) async fn remove_rows(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
    limit: i64,
) -> Result<u64, Fault> {
    let done = sqlx::query!(
        "delete from import_rows where client_id = $1 and import_id = $2 and row_number in (
             select row_number from import_rows where client_id = $1 and import_id = $2 order by row_number limit $3)",
        client.uuid(),
        import.uuid(),
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Notes that an import has no rows any more; one that was never confirmed cannot be now.
pub(super) async fn mark_rows_removed(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update imports set rows_removed_at = $3, file_name = null,
                failure = case when state = 'ready' then 'imports.expired' else failure end,
                state = case when state = 'ready' then 'failed' else state end
         where client_id = $1 and id = $2",
        client.uuid(),
        import.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
