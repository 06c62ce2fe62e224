//! Lists of learners, and searching them. A page is cut out of one ordered index at a time; what else was asked is held
//! against those rows. So a page costs what its rows cost, whatever the client's size, and may hold fewer rows than
//! asked for: the end is where no cursor is given.
//!
//! A search goes through two stages: first those of whom something begins with the text, in the order of what does;
//! then, for three letters and more, those who contain each word somewhere, oldest first.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    model::{LearnerRecord, RecordStatus},
    store_find::{self as store, Candidate, Filter},
};
use crate::{
    admin::Invalid,
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// The longest text that is searched for.
const MAX_TEXT: usize = 100;
/// Words beyond this many are taken as one.
const MAX_WORDS: usize = 3;
/// Rows that one page looks at before it is handed out with what it has.
const BUDGET: i64 = 6_000;
/// Rows in one statement where not each is shown.
const BATCH: i64 = 1_500;
/// A stretch that is read to see how common something is.
const STRETCH: i64 = 3_000;
/// So many in one stretch are found sooner by reading on than by the index of letters.
const COMMON: usize = 5;

/// What a caller asks of the list.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub limit: u16,
    pub cursor: Option<String>,
    /// Searched for in names, address and external id.
    pub text: Option<String>,
    pub status: Option<RecordStatus>,
    pub verified: Option<bool>,
    pub email_key: Option<String>,
    pub sublicense: Option<SublicenseId>,
    pub source: Option<&'static str>,
}

/// A page of learners.
#[derive(Debug)]
pub struct Found {
    pub learners: Vec<LearnerRecord>,
    pub next_cursor: Option<String>,
}

/// Why nothing was looked for.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("{0}")]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    Plain(Uuid),
    Beginning(String, Uuid),
    Containing(Uuid),
}

impl Position {
    fn write(&self) -> String {
        let (kind, id, value) = match self {
            Self::Plain(id) => (None, id, ""),
            Self::Beginning(value, id) => (Some(b'b'), id, value.as_str()),
            Self::Containing(id) => (Some(b'c'), id, ""),
        };
        let mut bytes = id.as_bytes().to_vec();
        bytes.extend(kind);
        bytes.extend_from_slice(value.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, rest) = bytes.split_at_checked(16)?;
        let id = Uuid::from_slice(id).ok()?;
        match rest.split_first() {
            None => Some(Self::Plain(id)),
            Some((b'b', value)) => {
                let value = String::from_utf8(value.to_vec()).ok().filter(|value| !value.contains('\0'))?;
                Some(Self::Beginning(value, id))
            }
            Some((b'c', [])) => Some(Self::Containing(id)),
            Some(_) => None,
        }
    }
}

/// A text to search for, in the one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text {
    /// What something has to begin with, and the first text beyond all that do.
    from: String,
    to: String,
    /// Patterns that all have to be contained; none for fewer than three letters.
    patterns: Option<[String; 3]>,
}

impl Text {
    fn new(folded: &str) -> Self {
        let from = folded.split_whitespace().collect::<Vec<_>>().join(" ");
        let to = format!("{from}{}", char::MAX);
        let words: Vec<&str> = from.splitn(MAX_WORDS, ' ').collect();
        let patterns = words.iter().any(|word| has_three_letters(word)).then(|| {
            let first = words.first().copied().unwrap_or_default();
            [0, 1, 2].map(|index| pattern(words.get(index).copied().unwrap_or(first)))
        });
        Self { from, to, patterns }
    }
}

/// Whether the index of letters knows anything of the word: it leaves out signs.
fn has_three_letters(word: &str) -> bool {
    word.split(|letter: char| !letter.is_alphanumeric()).any(|run| run.chars().count() >= 3)
}

/// `LIKE` for a word: anywhere, or at the beginning of one where it is short.
fn pattern(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    if word.chars().count() >= 3 { format!("%{escaped}%") } else { format!("% {escaped}%") }
}

/// One page of a client's learners.
pub async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    query: &Query,
    now: DateTime<Utc>,
) -> Result<Found, FindError> {
    let text = match &query.text {
        Some(text) if text.trim().is_empty() || text.chars().count() > MAX_TEXT => {
            return Err(Invalid::field("api.query", "/q", "search for 1 to 100 characters").into());
        }
        Some(text) => Some(Text::new(&store::folded(conn, text).await?)),
        None => None,
    };
    let foreign = || Invalid::field("page.cursor", "/cursor", "give a next_cursor of this very list");
    let start = match (&query.cursor, &text) {
        (None, None) => Position::Plain(Uuid::nil()),
        (None, Some(_)) => Position::Beginning(String::new(), Uuid::nil()),
        (Some(cursor), text) => match (Position::read(cursor).ok_or_else(foreign)?, text) {
            (position @ Position::Plain(_), None) => position,
            (position @ Position::Beginning(..), Some(_)) => position,
            (position @ Position::Containing(_), Some(text)) if text.patterns.is_some() => position,
            _ => return Err(foreign().into()),
        },
    };
    let filter = Filter {
        status: query.status,
        verified: query.verified,
        email_key: query.email_key.clone(),
        sublicense: query.sublicense,
        source: query.source,
    };
    let search = Search { client, text, filter, now };
    Ok(search.page(conn, start, usize::from(query.limit)).await?)
}

struct Search {
    client: ClientId,
    text: Option<Text>,
    filter: Filter,
    now: DateTime<Utc>,
}

/// Rows of one statement, and where to go on.
struct Batch {
    candidates: Vec<Candidate>,
    next: Option<Position>,
    /// Rows that were looked at for them.
    cost: i64,
}

impl Search {
    async fn page(&self, conn: &mut PgConnection, start: Position, limit: usize) -> Result<Found, Fault> {
        let mut learners: Vec<LearnerRecord> = Vec::with_capacity(limit);
        let mut position = start;
        let mut budget = BUDGET;
        loop {
            let batch = self.batch(conn, &position, limit - learners.len()).await?;
            let ids: Vec<Uuid> =
                batch.candidates.iter().filter(|found| !found.is_repeated).map(|found| found.id).collect();
            let rows = store::matching(conn, self.client, &ids, &self.filter, self.now).await?;
            let mut rows: HashMap<Uuid, LearnerRecord> = rows.into_iter().map(|row| (row.id.uuid(), row)).collect();
            for candidate in batch.candidates {
                if learners.len() == limit {
                    return Ok(Found { learners, next_cursor: Some(position.write()) });
                }
                if !candidate.is_repeated
                    && let Some(row) = rows.remove(&candidate.id)
                {
                    learners.push(row);
                }
                position = after(&position, candidate);
            }
            let Some(next) = batch.next else { return Ok(Found { learners, next_cursor: None }) };
            position = next;
            budget -= batch.cost;
            if learners.len() == limit || budget <= 0 {
                return Ok(Found { learners, next_cursor: Some(position.write()) });
            }
        }
    }

    /// Whether rows may have to be left out.
    fn is_filtered(&self) -> bool {
        let Filter { status, verified, email_key, sublicense, source } = &self.filter;
        status.is_some() || verified.is_some() || email_key.is_some() || sublicense.is_some() || source.is_some()
    }

    async fn batch(&self, conn: &mut PgConnection, position: &Position, wanted: usize) -> Result<Batch, Fault> {
        // One more than is shown tells whether that was the end.
        let wanted = i64::try_from(wanted).unwrap_or(0) + 1;
        let count = if self.is_filtered() { (wanted * 8).min(BATCH) } else { wanted + 8 };
        let candidates = match (position, &self.text) {
            (Position::Beginning(value, id), Some(text)) => {
                let range = (text.from.as_str(), text.to.as_str());
                store::by_beginning(conn, self.client, range, (value, *id), count).await?
            }
            (Position::Containing(id), Some(text)) => return self.containing(conn, text, *id, count).await,
            (Position::Plain(id) | Position::Beginning(_, id) | Position::Containing(id), _) => {
                self.plain(conn, *id, count).await?
            }
        };
        let found = i64::try_from(candidates.len()).unwrap_or(i64::MAX);
        let next = match candidates.last() {
            Some(last) if found >= count => Some(after(position, last.clone())),
            _ => self.next_stage(position),
        };
        Ok(Batch { candidates, next, cost: count })
    }

    /// The narrowest index that what was asked has.
    async fn plain(&self, conn: &mut PgConnection, id: Uuid, count: i64) -> Result<Vec<Candidate>, Fault> {
        let client = self.client;
        match &self.filter {
            Filter { email_key: Some(key), .. } => store::by_email(conn, client, key, id, count).await,
            Filter { status: Some(status @ (RecordStatus::Suspended | RecordStatus::Moved)), .. } => {
                store::not_active(conn, client, *status, id, count).await
            }
            Filter { source: Some(source), sublicense: None, .. } => {
                store::by_source(conn, client, source, id, count).await
            }
            Filter { sublicense: Some(sublicense), .. } => {
                store::by_sublicense(conn, client, *sublicense, id, count).await
            }
            Filter { verified: Some(verified), .. } => store::by_verified(conn, client, *verified, id, count).await,
            _ => store::all(conn, client, id, count).await,
        }
    }

    /// Those who contain the text: read in order where many do, by the index of letters where few do.
    async fn containing(&self, conn: &mut PgConnection, text: &Text, id: Uuid, count: i64) -> Result<Batch, Fault> {
        let Some(patterns) = &text.patterns else { return Ok(Batch { candidates: Vec::new(), next: None, cost: 0 }) };
        let (found, end) = store::containing_within(conn, self.client, patterns, &text.from, id, STRETCH).await?;
        let Some(end) = end else { return Ok(Batch { candidates: found, next: None, cost: STRETCH }) };
        if found.len() >= COMMON {
            return Ok(Batch { candidates: found, next: Some(Position::Containing(end)), cost: STRETCH });
        }
        let found = store::containing(conn, self.client, patterns, &text.from, id, count).await?;
        let is_full = i64::try_from(found.len()).is_ok_and(|found| found >= count);
        let next = found.last().filter(|_| is_full).map(|last| Position::Containing(last.id));
        Ok(Batch { candidates: found, next, cost: STRETCH })
    }

    /// What begins with the text is followed by what contains it.
    fn next_stage(&self, position: &Position) -> Option<Position> {
        let contains = self.text.as_ref().is_some_and(|text| text.patterns.is_some());
        (matches!(position, Position::Beginning(..)) && contains).then_some(Position::Containing(Uuid::nil()))
    }
}

fn after(position: &Position, candidate: Candidate) -> Position {
    match position {
        Position::Plain(_) => Position::Plain(candidate.id),
        Position::Beginning(..) => Position::Beginning(candidate.value, candidate.id),
        Position::Containing(_) => Position::Containing(candidate.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_from_its_cursor_and_nothing_else_does() {
        let id = Uuid::from_u128(7);
        for position in [Position::Plain(id), Position::Beginning("zoë ".into(), id), Position::Containing(Uuid::nil())]
        {
            assert_eq!(Position::read(&position.write()), Some(position));
        }
        for bytes in [&b""[..], b"short", &[0; 15], &[120; 17], &[99; 18]] {
            assert_eq!(Position::read(&URL_SAFE_NO_PAD.encode(bytes)), None, "{bytes:?}");
        }
        assert_eq!(Position::read("not base64!"), None);
    }

    #[test]
    fn short_words_are_found_at_the_beginning_of_one_and_long_ones_anywhere() {
        let text = Text::new("  an  schmid ");
        assert_eq!(text.from, "an schmid");
        assert_eq!(text.patterns, Some(["% an%".into(), "%schmid%".into(), "% an%".into()]));
        assert_eq!(Text::new("an").patterns, None);
        assert_eq!(Text::new("a b c def g").patterns.map(|patterns| patterns[2].clone()), Some("%c def g%".into()));
        assert_eq!(Text::new("%%% a.b.c").patterns, None);
    }

    #[test]
    fn signs_of_a_pattern_are_letters_like_others() {
        assert_eq!(pattern("50%"), "%50\\%%");
        assert_eq!(pattern("a_b\\"), "%a\\_b\\\\%");
    }
}
