//! Confirming what a dry run found, and taking an import back: both only say what is to be done, a worker does it.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    model::{Choice, Import, RowChoice, SeatNeed, State},
    store::{self, Asked, Stored},
};
use crate::{
    access,
    admin::Author,
    audit,
    fault::Fault,
    ids::{ClientId, ImportId},
};

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("there is nothing here")]
    NotFound,
    /// It is not in the state from which this goes.
    #[error("the import is {0:?}")]
    WrongState(State),
    #[error("{0} rows are not good")]
    BadRows(i32),
    /// There are fewer seats than the rows need.
    #[error("seats are short")]
    SeatsShort(Vec<SeatNeed>),
    #[error("this client has as many imports under way as it may")]
    TooManyAtOnce,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// One import, for whoever may see it: one across clients is shown to operators only.
pub async fn load(
    conn: &mut PgConnection,
    client: ClientId,
    id: ImportId,
    is_operator: bool,
) -> Result<Import, ImportError> {
    match store::find(conn, client, id).await? {
        Some(Stored { import, across_clients }) if is_operator || !across_clients => Ok(import),
        _ => Err(ImportError::NotFound),
    }
}

/// Lets the rows be done that the choice names. Call it inside a transaction.
pub async fn confirm(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: ImportId,
    is_operator: bool,
    choice: Choice,
) -> Result<Import, ImportError> {
    store::lock(conn, client, id).await?;
    let import = load(conn, client, id, is_operator).await?;
    if import.state != State::Ready {
        return Err(ImportError::WrongState(import.state));
    }
    let bad = import.counts.iter().filter(|(outcome, _)| outcome.is_bad()).map(|(_, count)| count).sum();
    if choice.rows == RowChoice::All && bad > 0 {
        return Err(ImportError::BadRows(bad));
    }
    if !choice.only_what_fits {
        let short = short(conn, &import, author).await?;
        if !short.is_empty() {
            return Err(ImportError::SeatsShort(short));
        }
    }
    let by = author.name();
    store::mark_confirmed(conn, client, id, choice, &Asked { by: &by, reference: author.reference }, author.now)
        .await?;
    let to_do: i32 = import.counts.iter().filter(|(outcome, _)| outcome.is_to_do()).map(|(_, count)| count).sum();
    let facts = json!({ "import": id, "choice": choice, "rows": to_do });
    author.record(conn, client, "import.confirmed", id.to_string(), facts.clone(), None).await?;
    audit::announce(conn, author.entropy, client, "import.confirmed", facts, author.now).await?;
    load(conn, client, id, is_operator).await
}

/// The limits under which there are too few seats now, which may be others than when it was checked.
async fn short(conn: &mut PgConnection, import: &Import, author: Author<'_>) -> Result<Vec<SeatNeed>, Fault> {
    let mut short = Vec::new();
    let mut clients: Vec<ClientId> = import.seats.iter().map(|seat| seat.client).collect();
    clients.dedup();
    for client in clients {
        for room in access::room(conn, client, author.now).await? {
            let is_same = |seat: &&SeatNeed| seat.client == client && seat.sublicense == room.sublicense;
            if let Some(seat) = import.seats.iter().find(is_same).filter(|seat| seat.needed > room.free) {
                short.push(SeatNeed { free: room.free, is_short: true, ..seat.clone() });
            }
        }
    }
    Ok(short)
}

/// Lets the invites be revoked that the import made and nobody has accepted. Call it inside a transaction.
pub async fn undo(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: ImportId,
    is_operator: bool,
) -> Result<Import, ImportError> {
    store::lock(conn, client, id).await?;
    let import = load(conn, client, id, is_operator).await?;
    let was_run = import.confirmed_at.is_some() && import.rows_removed_at.is_none();
    if !was_run || !matches!(import.state, State::Done | State::Failed) {
        return Err(ImportError::WrongState(import.state));
    }
    let by = author.name();
    store::mark_undoing(conn, client, id, &Asked { by: &by, reference: author.reference }, author.now).await?;
    let facts = json!({ "import": id });
    author.record(conn, client, "import.undo_asked", id.to_string(), facts, None).await?;
    load(conn, client, id, is_operator).await
}
