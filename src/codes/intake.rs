//! Taking in codes that an admin brings, line by line: valid ones are stored, and of each other one it is said why not.
//! What is kept in memory are the keys of one request.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use chrono::{DateTime, Duration, Utc};
use sqlx::PgConnection;

use super::{
    error::CodeError,
    fill::ids,
    store_batch as store,
    text::{self, CodeText},
    view::{LineOutcome, Report, ReportLine},
};
use crate::{
    admin::Invalid,
    entropy::Entropy,
    ids::{BatchId, ClientId, CodeId},
};

/// Lines that one request may bring; more are appended by the next.
pub(super) const MOST_LINES: i32 = 100_000;
/// Fewest letters and digits of a code that is brought.
const FEWEST: usize = 6;
/// Codes of one COPY.
const CHUNK: usize = 10_000;
/// Lines that a report lists.
const LISTED: usize = 10_000;

/// Codes on their way into a batch.
pub(super) struct Intake<'a> {
    entropy: &'a Entropy,
    client: ClientId,
    batch: BatchId,
    now: DateTime<Utc>,
    /// The moment in the ids of the last chunk.
    at: DateTime<Utc>,
    seen: HashMap<String, i32>,
    chunk: Vec<(i32, CodeText)>,
    line: i32,
    report: Report,
}

impl<'a> Intake<'a> {
    pub fn new(entropy: &'a Entropy, client: ClientId, batch: BatchId, now: DateTime<Utc>) -> Self {
        let (seen, chunk, report) = (HashMap::new(), Vec::new(), Report::default());
        Self { entropy, client, batch, now, at: now, seen, chunk, line: 0, report }
    }

    /// Reads one code.
    pub async fn line(&mut self, conn: &mut PgConnection, typed: &str) -> Result<(), CodeError> {
        self.line += 1;
        if self.line > MOST_LINES {
            let detail = "at most 100000 lines in one request; append the others with the next";
            return Err(Invalid::field("codes.too_many", "/codes", detail).into());
        }
        let line = self.line;
        let Ok(code) = text::own(typed, FEWEST) else {
            self.report.malformed += 1;
            self.note(line, LineOutcome::Malformed, None);
            return Ok(());
        };
        match self.seen.entry(code.key().to_owned()) {
            Entry::Occupied(first) => {
                let first = *first.get();
                self.report.duplicate += 1;
                self.note(line, LineOutcome::Duplicate, Some(first));
            }
            Entry::Vacant(place) => {
                place.insert(line);
                self.chunk.push((line, code));
            }
        }
        if self.chunk.len() >= CHUNK { self.store(conn).await } else { Ok(()) }
    }

    /// Stores what is left and counts it; what became of every line.
    pub async fn finish(mut self, conn: &mut PgConnection) -> Result<Report, CodeError> {
        self.store(conn).await?;
        if self.report.valid > 0 {
            store::add_total(conn, self.client, self.batch, self.report.valid, self.now).await?;
        }
        self.report.lines.sort_by_key(|line| line.line);
        self.report.lines.truncate(LISTED);
        Ok(self.report)
    }

    async fn store(&mut self, conn: &mut PgConnection) -> Result<(), CodeError> {
        let chunk = std::mem::take(&mut self.chunk);
        let keys: Vec<String> = chunk.iter().map(|(_, code)| code.key().to_owned()).collect();
        let taken: HashSet<String> = store::taken(conn, self.client, &keys).await?.into_iter().collect();
        let mut free: Vec<CodeText> = Vec::with_capacity(chunk.len());
        for (line, code) in chunk {
            if taken.contains(code.key()) {
                self.report.in_use += 1;
                self.note(line, LineOutcome::InUse, None);
            } else {
                free.push(code);
            }
        }
        // They are listed as they came: within a chunk by sorted ids, and a later chunk by a later moment.
        self.at += Duration::milliseconds(1);
        let codes: Vec<(CodeId, CodeText)> = ids(self.entropy, free.len(), self.at).into_iter().zip(free).collect();
        store::copy_in(conn, self.client, self.batch, &codes).await?;
        self.report.valid += i32::try_from(codes.len()).unwrap_or(i32::MAX);
        Ok(())
    }

    fn note(&mut self, line: i32, outcome: LineOutcome, same_as: Option<i32>) {
        // Twice as many as are listed: those of a chunk come after later lines.
        if self.report.lines.len() < 2 * LISTED {
            self.report.lines.push(ReportLine { line, outcome, same_as });
        }
    }
}
