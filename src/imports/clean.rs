//! Removing what has served its time: files that never came to their end, and the rows of old imports, which are
//! personal. The numbers stay.

use chrono::{DateTime, Duration, Utc};

use super::store_work as store;
use crate::{app::App, fault::Fault};

/// Rows in one statement.
const BATCH: i64 = 5000;
/// Batches in one turn; what is left waits for the next.
const BATCHES: usize = 20;

/// Removes some of it; says how many rows.
pub async fn clean(app: &App, now: DateTime<Utc>) -> Result<u64, Fault> {
    let before = now - Duration::days(app.settings.imports.rows_days.into());
    let mut tx = app.begin().await?;
    let mut removed = store::remove_unfinished(&mut tx, now, 10).await?;
    app.commit(tx).await?;
    for _ in 0..BATCHES {
        let mut tx = app.begin().await?;
        let Some((client, import)) = store::next_old(&mut tx, before).await? else { break };
        let rows = store::remove_rows(&mut tx, client, import, BATCH).await?;
        if i64::try_from(rows).is_ok_and(|rows| rows < BATCH) {
            store::mark_rows_removed(&mut tx, client, import, now).await?;
        }
        app.commit(tx).await?;
        removed += rows;
    }
    Ok(removed)
}
