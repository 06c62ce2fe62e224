//! Lists by cursor: `limit` and `cursor` in, `items` and `next_cursor` out. A cursor is opaque to callers and names the
//! last row of the page before, so that a page costs one index range whatever its number.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Problem;

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

/// What a caller asks of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items in the page: 1 to 200, 50 where absent.
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page as `store.rs` asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many to show.
    pub limit: u16,
    /// The last row of the page before.
    pub after: Option<Uuid>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` to read on; null at the end.
    pub next_cursor: Option<String>,
}

impl PageQuery {
    /// Checks what was asked.
    pub fn page(&self) -> Result<Page, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::field("page.limit", "/limit", "limit is 1 to 200"));
        }
        let after = self.cursor.as_deref().map(decode).transpose()?;
        Ok(Page { limit, after })
    }
}

impl Page {
    /// One more than is shown, so that the end is known without another query.
    pub fn fetch(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts the surplus row and names the last one shown.
    pub fn list<R, T>(self, mut rows: Vec<R>, key: impl Fn(&R) -> Uuid, show: impl Fn(R) -> T) -> List<T> {
        let more = rows.len() > usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let next_cursor = rows.last().filter(|_| more).map(|row| URL_SAFE_NO_PAD.encode(key(row).as_bytes()));
        List { items: rows.into_iter().map(show).collect(), next_cursor }
    }
}

fn decode(text: &str) -> Result<Uuid, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes
        .map(Uuid::from_bytes)
        .ok_or_else(|| Problem::field("page.cursor", "/cursor", "give a next_cursor of this very list"))
}
