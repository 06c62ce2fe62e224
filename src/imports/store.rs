//! SQL of imports. Every statement leads with the client.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Choice, FileFacts, Import, ImportOptions, Outcome, SeatNeed};
use crate::{
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, ImportId},
};

/// A row of `imports` as statements return it.
struct Row {
    id: Uuid,
    state: String,
    file_name: Option<String>,
    options: Value,
    file: Value,
    across_clients: bool,
    rows_total: i32,
    rows_done: i32,
    counts: Option<Value>,
    results: Option<Value>,
    choice: Option<Value>,
    failure: Option<String>,
    created_at: DateTime<Utc>,
    created_by: String,
    checked_at: Option<DateTime<Utc>>,
    confirmed_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    undone_at: Option<DateTime<Utc>>,
    rows_removed_at: Option<DateTime<Utc>>,
}

/// An import, and whether only an operator may see it.
pub(super) struct Stored {
    pub import: Import,
    pub across_clients: bool,
}

fn counts(value: Option<Value>) -> Result<BTreeMap<Outcome, i32>, Fault> {
    Ok(value.map(serde_json::from_value).transpose()?.unwrap_or_default())
}

impl Row {
    fn read(self) -> Result<Stored, Fault> {
        let import = Import {
            id: self.id.into(),
            state: self.state.parse()?,
            file_name: self.file_name,
            options: serde_json::from_value(self.options)?,
            file: serde_json::from_value(self.file)?,
            rows_total: self.rows_total,
            rows_done: self.rows_done,
            counts: counts(self.counts)?,
            results: counts(self.results)?,
            seats: Vec::new(),
            confirmed: self.choice.map(serde_json::from_value).transpose()?,
            failure: self.failure,
            created_at: self.created_at,
            created_by: self.created_by,
            checked_at: self.checked_at,
            confirmed_at: self.confirmed_at,
            finished_at: self.finished_at,
            undone_at: self.undone_at,
            rows_removed_at: self.rows_removed_at,
        };
        Ok(Stored { import, across_clients: self.across_clients })
    }
}

/// The columns of an import, from where the filter says.
macro_rules! imports {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select i.id, i.state, i.file_name, i.options, i.file, i.across_clients, i.rows_total, i.rows_done, i.counts,
                    i.results, i.choice, i.failure, i.created_at, i.created_by, i.checked_at, i.confirmed_at,
                    i.finished_at, i.undone_at, i.rows_removed_at
             from imports i " + $rest,
            $($argument),*
        )
    };
}

/// What a new import begins with.
pub(super) struct NewImport<'a> {
    pub id: ImportId,
    pub by: &'a str,
    pub reference: Option<&'a str>,
    /// Until then the file may take to arrive.
    pub lease_by: Uuid,
    pub lease_until: DateTime<Utc>,
}

/// Writes a new import whose file is about to arrive.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    new: &NewImport<'_>,
    options: &ImportOptions,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into imports (client_id, id, state, options, file, created_at, created_by, author, reference, worked_at,
                              lease_by, lease_until)
         values ($1, $2, 'receiving', $3, $4, $5, $6, $6, $7, $5, $8, $9)",
        client.uuid(),
        new.id.uuid(),
        serde_json::to_value(options)?,
        serde_json::to_value(FileFacts::default())?,
        now,
        new.by,
        new.reference,
        new.lease_by,
        new.lease_until,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many imports of the client are under way.
pub(super) async fn count_at_work(conn: &mut PgConnection, client: ClientId) -> Result<i64, Fault> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from imports
           where client_id = $1 and state in ('receiving', 'checking', 'running', 'undoing')"#,
        client.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

/// Removes an import whose file did not arrive whole, with its rows.
pub(super) async fn delete(conn: &mut PgConnection, client: ClientId, id: ImportId) -> Result<(), Fault> {
    sqlx::query!(
        "delete from imports where client_id = $1 and id = $2 and state = 'receiving'",
        client.uuid(),
        id.uuid()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is known at the end of a file.
pub(super) struct Arrived<'a> {
    pub file_name: Option<&'a str>,
    pub options: &'a ImportOptions,
    pub file: &'a FileFacts,
    pub across_clients: bool,
    pub rows_total: i32,
}

/// The file is here: the dry run may begin. False when the import is gone, because the file took too long.
pub(super) async fn mark_arrived(
    conn: &mut PgConnection,
    client: ClientId,
    id: ImportId,
    arrived: &Arrived<'_>,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "update imports set state = 'checking', file_name = $3, options = $4, file = $5, across_clients = $6,
                rows_total = $7, worked_at = $8, lease_by = null, lease_until = null
         where client_id = $1 and id = $2 and state = 'receiving'",
        client.uuid(),
        id.uuid(),
        arrived.file_name,
        serde_json::to_value(arrived.options)?,
        serde_json::to_value(arrived.file)?,
        arrived.across_clients,
        arrived.rows_total,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One import.
pub(super) async fn find(conn: &mut PgConnection, client: ClientId, id: ImportId) -> Result<Option<Stored>, Fault> {
    let row =
        imports!("where i.client_id = $1 and i.id = $2", client.uuid(), id.uuid()).fetch_optional(&mut *conn).await?;
    let Some(mut stored) = row.map(Row::read).transpose()? else { return Ok(None) };
    stored.import.seats = seats(conn, client, id).await?;
    Ok(Some(stored))
}

/// Locks an import until the transaction ends; says whether it is there.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId, id: ImportId) -> Result<bool, Fault> {
    let found = sqlx::query_scalar!(
        "select 1 from imports where client_id = $1 and id = $2 for no key update",
        client.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// One page of a client's imports, oldest first; those across clients are shown to operators.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: ClientId,
    is_operator: bool,
    page: Page,
) -> Result<Vec<Import>, Fault> {
    let rows = imports!(
        "where i.client_id = $1 and i.id > $2 and ($3 or not i.across_clients) and i.state <> 'receiving'
         order by i.id limit $4",
        client.uuid(),
        page.after.unwrap_or(Uuid::nil()),
        is_operator,
        page.fetch(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.read().map(|stored| stored.import)).collect()
}

/// Seats needed against seats free.
async fn seats(conn: &mut PgConnection, client: ClientId, id: ImportId) -> Result<Vec<SeatNeed>, Fault> {
    let rows = sqlx::query!(
        "select target_id, scope_id, free, needed from import_seats
         where client_id = $1 and import_id = $2 and needed > 0 order by target_id, scope_id",
        client.uuid(),
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let need = |row_target: Uuid, scope: Uuid, needed: i32, free: i32| SeatNeed {
        client: row_target.into(),
        sublicense: (scope != row_target).then(|| scope.into()),
        needed,
        free,
        is_short: needed > free,
    };
    Ok(rows.into_iter().map(|row| need(row.target_id, row.scope_id, row.needed, row.free)).collect())
}

/// Who asks for what comes next.
pub(super) struct Asked<'a> {
    pub by: &'a str,
    pub reference: Option<&'a str>,
}

/// What was checked is to be done. Call it under [`lock`].
pub(super) async fn mark_confirmed(
    conn: &mut PgConnection,
    client: ClientId,
    id: ImportId,
    choice: Choice,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update imports set state = 'running', choice = $3, author = $4, reference = $5, confirmed_at = $6, worked_at = $6,
                next_row = 0, rows_done = 0
         where client_id = $1 and id = $2",
        client.uuid(),
        id.uuid(),
        serde_json::to_value(choice)?,
        asked.by,
        asked.reference,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Pending invites are to be revoked. Call it under [`lock`].
pub(super) async fn mark_undoing(
    conn: &mut PgConnection,
    client: ClientId,
    id: ImportId,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    sqlx::query!(
        "update imports set state = 'undoing', failure = null, author = $3, reference = $4, worked_at = $5, next_row = 0,
                rows_done = 0
         where client_id = $1 and id = $2",
        client.uuid(),
        id.uuid(),
        asked.by,
        asked.reference,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
