//! SQL of an import's rows: a file goes in by COPY, batches come out in order.

use std::fmt::Write;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    model::{ImportRow, Outcome, RowData},
    problem::{Found, RowProblem},
};
use crate::{
    fault::Fault,
    ids::{ClientId, ImportId, LearnerId},
};

/// A row as it arrives.
pub(super) struct NewRow<'a> {
    pub number: u32,
    pub target: Option<ClientId>,
    pub data: &'a RowData,
    pub found: Option<&'a Found>,
    pub duplicate_of: Option<u32>,
}

/// Rows in the text format of COPY.
pub(super) struct CopyRows {
    prefix: String,
    text: String,
    count: usize,
}

impl CopyRows {
    pub fn new(client: ClientId, import: ImportId) -> Self {
        Self { prefix: format!("{}\t{}\t", client.uuid(), import.uuid()), text: String::new(), count: 0 }
    }

    pub fn push(&mut self, row: &NewRow<'_>) -> Result<(), Fault> {
        let outcome = match (row.found, row.duplicate_of) {
            (Some(_), _) => Some(Outcome::Invalid.as_str()),
            (None, Some(_)) => Some(Outcome::Duplicate.as_str()),
            (None, None) => None,
        };
        self.text.push_str(&self.prefix);
        let _infallible = write!(self.text, "{}", row.number);
        self.field(row.target.map(|target| target.uuid().to_string()).as_deref());
        self.field(Some(&serde_json::to_string(row.data)?));
        self.field(outcome);
        self.field(row.found.map(|found| found.flaw.code()));
        self.field(row.found.and_then(|found| found.column.as_deref()));
        self.field(row.duplicate_of.map(|number| number.to_string()).as_deref());
        self.text.push('\n');
        self.count += 1;
        Ok(())
    }

    fn field(&mut self, value: Option<&str>) {
        self.text.push('\t');
        let Some(value) = value else {
            self.text.push_str("\\N");
            return;
        };
        for letter in value.chars() {
            match letter {
                '\\' => self.text.push_str("\\\\"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                letter => self.text.push(letter),
            }
        }
    }

    /// Rows that wait to be written.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes that wait to be written.
    pub const fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Writes what waits.
    pub async fn write(&mut self, conn: &mut PgConnection) -> Result<(), Fault> {
        if self.count == 0 {
            return Ok(());
        }
        let mut copy = conn
            .copy_in_raw(
                "copy import_rows (client_id, import_id, row_number, target_id, data, outcome, problem, problem_at, duplicate_of)
                 from stdin",
            )
            .await?;
        copy.send(self.text.as_bytes()).await?;
        copy.finish().await?;
        self.text.clear();
        self.count = 0;
        Ok(())
    }
}

/// A row that is to be checked or done.
#[derive(Debug)]
pub(super) struct WorkRow {
    pub number: i32,
    pub target: Option<ClientId>,
    pub data: RowData,
    pub outcome: Option<Outcome>,
    pub invite: Option<Uuid>,
}

/// The next rows after `after`, in order.
pub(super) async fn next(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
    after: i32,
    limit: i64,
) -> Result<Vec<WorkRow>, Fault> {
    let rows = sqlx::query!(
        "select row_number, target_id, data, outcome, invite_id from import_rows
         where client_id = $1 and import_id = $2 and row_number > $3 order by row_number limit $4",
        client.uuid(),
        import.uuid(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(WorkRow {
                number: row.row_number,
                target: row.target_id.map(ClientId::from),
                data: serde_json::from_value(row.data)?,
                outcome: row.outcome.map(|word| word.parse()).transpose()?,
                invite: row.invite_id,
            })
        })
        .collect()
}

/// What was found of a row, or became of it.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub number: i32,
    pub outcome: Outcome,
    pub found: Option<Found>,
    pub learner: Option<LearnerId>,
    pub invite: Option<Uuid>,
}

/// Verdicts by column.
struct Columns {
    numbers: Vec<i32>,
    outcomes: Vec<String>,
    problems: Vec<Option<String>>,
    places: Vec<Option<String>>,
    learners: Vec<Option<Uuid>>,
    invites: Vec<Option<Uuid>>,
}

impl Columns {
    fn of(verdicts: &[Verdict]) -> Self {
        let found = |verdict: &Verdict| verdict.found.as_ref().map(|found| found.flaw.code().to_owned());
        let place = |verdict: &Verdict| verdict.found.as_ref().and_then(|found| found.column.clone());
        Self {
            numbers: verdicts.iter().map(|verdict| verdict.number).collect(),
            outcomes: verdicts.iter().map(|verdict| verdict.outcome.as_str().to_owned()).collect(),
            problems: verdicts.iter().map(found).collect(),
            places: verdicts.iter().map(place).collect(),
            learners: verdicts.iter().map(|verdict| verdict.learner.map(LearnerId::uuid)).collect(),
            invites: verdicts.iter().map(|verdict| verdict.invite).collect(),
        }
    }
}

/// Writes what the dry run says. A row's place is looked up one by one: of a file that has just come PostgreSQL knows
/// nothing, and would compare each row of it with each verdict. Only the holder of the lease writes rows, so that no
/// place changes meanwhile.
pub(super) async fn mark_checked(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
    verdicts: &[Verdict],
) -> Result<(), Fault> {
    let columns = Columns::of(verdicts);
    sqlx::query!(
        "update import_rows r set outcome = v.outcome, problem = v.problem, problem_at = v.place, learner_id = v.learner
         from unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::uuid[]) as v (number, outcome, problem, place, learner)
         cross join lateral (select ctid from import_rows
           where client_id = $1 and import_id = $2 and row_number = v.number offset 0) found
         where r.ctid = found.ctid",
        client.uuid(),
        import.uuid(),
        &columns.numbers,
        &columns.outcomes,
        &columns.problems as &[Option<String>],
        &columns.places as &[Option<String>],
        &columns.learners as &[Option<Uuid>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what became of rows; what the dry run said stays.
pub(super) async fn mark_done(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
    verdicts: &[Verdict],
) -> Result<(), Fault> {
    let columns = Columns::of(verdicts);
    sqlx::query!(
        "update import_rows r set result = v.outcome, problem = coalesce(v.problem, r.problem),
                problem_at = coalesce(v.place, r.problem_at), learner_id = coalesce(v.learner, r.learner_id),
                invite_id = v.invite
         from unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::uuid[])
                as v (number, outcome, problem, place, learner, invite)
         cross join lateral (select ctid from import_rows
           where client_id = $1 and import_id = $2 and row_number = v.number offset 0) found
         where r.ctid = found.ctid",
        client.uuid(),
        import.uuid(),
        &columns.numbers,
        &columns.outcomes,
        &columns.problems as &[Option<String>],
        &columns.places as &[Option<String>],
        &columns.learners as &[Option<Uuid>],
        &columns.invites as &[Option<Uuid>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Which rows to show.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Filter {
    pub outcome: Option<Outcome>,
    pub result: Option<Outcome>,
}

/// Rows after `after`, in the order of the file.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
    filter: Filter,
    after: i32,
    limit: i64,
) -> Result<Vec<ImportRow>, Fault> {
    let rows = sqlx::query!(
        "select row_number, data, outcome, problem, problem_at, duplicate_of, result, learner_id, invite_id from import_rows
         where client_id = $1 and import_id = $2 and row_number > $3 and ($4::text is null or outcome = $4)
           and ($5::text is null or result = $5)
         order by row_number limit $6",
        client.uuid(),
        import.uuid(),
        after,
        filter.outcome.map(Outcome::as_str),
        filter.result.map(Outcome::as_str),
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ImportRow {
                row: row.row_number,
                outcome: row.outcome.map(|word| word.parse()).transpose()?,
                problem: row.problem.map(|code| RowProblem::read(code, row.problem_at)),
                duplicate_of: row.duplicate_of,
                result: row.result.map(|word| word.parse()).transpose()?,
                learner: row.learner_id.map(LearnerId::from),
                invite: row.invite_id.map(crate::ids::InviteId::from).map(|id| id.to_string()),
                data: serde_json::from_value(row.data)?,
            })
        })
        .collect()
}

/// Rows by what the dry run says, and by what became of them.
pub(super) async fn count(
    conn: &mut PgConnection,
    client: ClientId,
    import: ImportId,
) -> Result<(Value, Value), Fault> {
    let row = sqlx::query!(
        r#"select
             coalesce((select jsonb_object_agg(o.outcome, o.count) from (
                select outcome, count(*) from import_rows
                where client_id = $1 and import_id = $2 and outcome is not null group by outcome) o), '{}') as "counts!",
             coalesce((select jsonb_object_agg(r.result, r.count) from (
                select result, count(*) from import_rows
                where client_id = $1 and import_id = $2 and result is not null group by result) r), '{}') as "results!""#,
        client.uuid(),
        import.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok((row.counts, row.results))
}
