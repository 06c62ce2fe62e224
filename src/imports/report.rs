//! The result of an import as CSV: the file's own cells, with what became of each row beside them. Sent page by page, so
//! that memory does not grow with it.

use super::{
    columns::TEMPLATE,
    model::{ImportRow, Outcome},
    store_rows::{self, Filter},
};
use crate::{
    app::App,
    fault::Fault,
    http::csv::{BOM, Rows},
    ids::{ClientId, ImportId},
};

const PAGE: i64 = 1000;

const COLUMNS: &[&str] = &[
    "row",
    "outcome",
    "problem",
    "column",
    "what_to_do",
    "duplicate_of",
    "result",
    "learner",
    "invite",
    "email",
    "first_name",
    "last_name",
    "external_id",
    "language",
    "client",
    "sublicenses",
    "role",
    "send_invite",
    "action",
    "attributes",
];

/// The template, with a row that shows how to fill it in.
pub fn template() -> Vec<u8> {
    let mut rows = Rows::default();
    rows.row(TEMPLATE.iter().map(|(name, _)| *name));
    rows.row(TEMPLATE.iter().map(|(_, example)| *example));
    [BOM.as_bytes(), &rows.into_bytes()].concat()
}

/// Where a report has come to.
pub struct Report {
    app: App,
    client: ClientId,
    import: ImportId,
    filter: Filter,
    next: Option<i32>,
}

impl Report {
    pub(super) fn new(app: &App, client: ClientId, import: ImportId, filter: Filter) -> Self {
        Self { app: app.clone(), client, import, filter, next: Some(0) }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let Some(after) = self.next else { return Ok(None) };
        let mut conn = self.app.acquire().await?;
        let found = store_rows::list(&mut conn, self.client, self.import, self.filter, after, PAGE).await?;
        drop(conn);
        let is_last = i64::try_from(found.len()).is_ok_and(|count| count < PAGE);
        self.next = found.last().map(|row| row.row).filter(|_| !is_last);
        let mut rows = Rows::default();
        if after == 0 {
            rows.row(COLUMNS.iter().copied());
        }
        for row in &found {
            write(&mut rows, row);
        }
        let bytes = rows.into_bytes();
        Ok(Some(if after == 0 { [BOM.as_bytes(), &bytes].concat() } else { bytes }))
    }
}

fn write(rows: &mut Rows, row: &ImportRow) {
    let number = |value: i32| value.to_string();
    let word = |value: Option<Outcome>| value.map(Outcome::as_str).unwrap_or_default().to_owned();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let problem = row.problem.as_ref();
    let data = &row.data;
    let attributes: Vec<String> = data.attributes.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let yes_or_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let cells = [
        number(row.row),
        word(row.outcome),
        problem.map(|problem| problem.code.clone()).unwrap_or_default(),
        problem.and_then(|problem| problem.column.clone()).unwrap_or_default(),
        problem.map(|problem| problem.detail.to_owned()).unwrap_or_default(),
        row.duplicate_of.map(number).unwrap_or_default(),
        word(row.result),
        row.learner.map(|learner| learner.to_string()).unwrap_or_default(),
        text(&row.invite),
        text(&data.email),
        text(&data.first_name),
        text(&data.last_name),
        text(&data.external_id),
        text(&data.language),
        text(&data.client),
        data.sublicenses.join("|"),
        data.role.map(|role| role.as_str().to_owned()).unwrap_or_default(),
        data.send_invite.map(yes_or_no).unwrap_or_default(),
        data.action.map(|action| action.as_str().to_owned()).unwrap_or_default(),
        attributes.join("; "),
    ];
    rows.row(cells.iter().map(String::as_str));
}
