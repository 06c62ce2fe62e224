//! A file as it arrives: parsed, looked at row by row, and put in the database in pieces, so that memory does not grow
//! with it. What needs the database's knowledge of people is the dry run's.

use std::collections::HashMap;

use chrono::Duration;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    cells,
    columns::{self, Column},
    model::{FileFacts, Import, ImportOptions, RowData},
    parse::{FileError, Parser, RawRow},
    problem::Flaw,
    store,
    store_rows::{CopyRows, NewRow},
    store_targets,
};
use crate::{
    admin::{self, Author},
    app::App,
    audit,
    crypto::{Sha256, sha256},
    fault::Fault,
    ids::{ClientId, ImportId},
    learners::EmailAddress,
};

/// A file may take so long to arrive.
const PATIENCE: Duration = Duration::hours(1);
/// Rows, or bytes, that are written at once.
const PIECE_ROWS: usize = 2000;
const PIECE_BYTES: usize = 512 << 10;
/// Clients that one file may name.
const MOST_CLIENTS: usize = 1000;

/// Why an upload came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the file has more than {0} bytes")]
    TooLarge(usize),
    #[error("this client has as many imports under way as it may")]
    TooManyAtOnce,
    #[error("the file took too long to arrive")]
    TooLate,
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Who uploads, and for which client.
#[derive(Debug, Clone, Copy)]
pub struct Uploader {
    pub client: ClientId,
    /// Only an operator's file may name other clients.
    pub is_operator: bool,
}

/// A file that is arriving.
pub struct Upload {
    app: App,
    who: Uploader,
    id: ImportId,
    slug: String,
    parser: Parser,
    columns: Option<Vec<Column>>,
    facts: FileFacts,
    rows: CopyRows,
    total: u32,
    bytes: usize,
    hash: Sha256,
    seen: HashMap<[u8; 16], u32>,
    named: HashMap<String, Option<ClientId>>,
    across_clients: bool,
}

impl Upload {
    /// Makes the import that the file belongs to.
    pub async fn begin(app: &App, author: Author<'_>, who: Uploader) -> Result<Self, UploadError> {
        let now = author.now;
        let id: ImportId = app.entropy.id(now);
        let name = author.name();
        let new = store::NewImport {
            id,
            by: &name,
            reference: author.reference,
            lease_by: Uuid::nil(),
            lease_until: now + PATIENCE,
        };
        let mut tx = app.begin().await?;
        store::insert(&mut tx, who.client, &new, &ImportOptions::default(), now).await?;
        app.commit(tx).await?;
        // Counted with itself, after it can be seen: of two that meet at the limit both may be refused, and none too many passes.
        let mut conn = app.acquire().await?;
        let at_work = store::count_at_work(&mut conn, who.client).await?;
        if at_work > i64::from(app.settings.imports.at_once_per_client) {
            drop(conn);
            delete(app, who.client, id).await?;
            return Err(UploadError::TooManyAtOnce);
        }
        let slug = store_targets::slug(&mut conn, who.client).await?.unwrap_or_default();
        Ok(Self {
            app: app.clone(),
            who,
            id,
            slug,
            parser: Parser::default(),
            columns: None,
            facts: FileFacts::default(),
            rows: CopyRows::new(who.client, id),
            total: 0,
            bytes: 0,
            hash: Sha256::default(),
            seen: HashMap::new(),
            named: HashMap::new(),
            across_clients: false,
        })
    }

    /// Takes the next bytes.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        let most = self.app.settings.imports.max_bytes;
        if self.bytes > most {
            return Err(UploadError::TooLarge(most));
        }
        self.hash.update(bytes);
        let rows = self.parser.push(bytes)?;
        self.take(rows).await
    }

    /// The last row, now that no more bytes come.
    pub async fn end(&mut self) -> Result<(), UploadError> {
        let rows = self.parser.finish()?;
        self.take(rows).await?;
        if self.columns.is_none() {
            return Err(FileError::Empty.into());
        }
        self.write().await
    }

    async fn write(&mut self) -> Result<(), UploadError> {
        let mut tx = self.app.begin().await?;
        self.rows.write(&mut tx).await?;
        Ok(self.app.commit(tx).await?)
    }

    /// The hash of the file, and of what was said beside it.
    pub fn hash(&mut self, options: &ImportOptions, file_name: Option<&str>) -> Result<[u8; 32], Fault> {
        let file = std::mem::take(&mut self.hash).finish();
        let beside = serde_json::to_vec(&(options, file_name))?;
        Ok(sha256(&[file.as_slice(), &beside].concat()))
    }

    /// Hands the file over to the dry run. Call it inside a transaction.
    pub async fn hand_over(
        &self,
        conn: &mut PgConnection,
        author: Author<'_>,
        options: &ImportOptions,
        file_name: Option<&str>,
    ) -> Result<Import, UploadError> {
        let arrived = store::Arrived {
            file_name,
            options,
            file: &self.facts,
            across_clients: self.across_clients,
            rows_total: i32::try_from(self.total).unwrap_or(i32::MAX),
        };
        if !store::mark_arrived(conn, self.who.client, self.id, &arrived, author.now).await? {
            return Err(UploadError::TooLate);
        }
        let facts = serde_json::json!({ "import": self.id, "rows": self.total, "columns": self.facts.columns });
        author.record(conn, self.who.client, "import.created", self.id.to_string(), facts.clone(), None).await?;
        audit::announce(conn, author.entropy, self.who.client, "import.created", facts, author.now).await?;
        let stored = store::find(conn, self.who.client, self.id).await?;
        Ok(stored.ok_or_else(|| Fault::Corrupt("an import that was just written is gone".into()))?.import)
    }

    /// Removes what has arrived: the file is not good, or its request was answered before.
    pub async fn abandon(self) {
        // What stays is removed by the clean-up once its time is over.
        if let Err(fault) = delete(&self.app, self.who.client, self.id).await {
            tracing::warn!(error = %fault, "an abandoned upload stays for the clean-up");
        }
    }

    async fn take(&mut self, rows: Vec<RawRow>) -> Result<(), UploadError> {
        for row in rows {
            let Some(columns) = &self.columns else {
                let (columns, facts) = columns::read(&row.cells, self.parser.delimiter())?;
                self.columns = Some(columns);
                self.facts = facts;
                continue;
            };
            if self.total >= self.app.settings.imports.max_rows {
                return Err(FileError::TooManyRows(self.app.settings.imports.max_rows).into());
            }
            self.total += 1;
            let (data, mut found) = cells::read(columns, &row.cells);
            let target = self.target(data.client.as_deref()).await?;
            if let Err(flaw) = target {
                found.get_or_insert(flaw.at("client"));
            }
            let target = target.ok();
            self.across_clients |= target.is_some_and(|target| target != self.who.client);
            let duplicate_of = match (target, &found) {
                (Some(target), None) => self.earlier(target, &data, row.number),
                _ => None,
            };
            let new = NewRow { number: row.number, target, data: &data, found: found.as_ref(), duplicate_of };
            self.rows.push(&new)?;
            if self.rows.count() >= PIECE_ROWS || self.rows.bytes() >= PIECE_BYTES {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// The client that a cell names.
    async fn target(&mut self, name: Option<&str>) -> Result<Result<ClientId, Flaw>, Fault> {
        let own = self.who.client;
        let Some(name) = name else { return Ok(Ok(own)) };
        let name = name.to_lowercase();
        if name == self.slug || name == own.to_string() {
            return Ok(Ok(own));
        }
        // To a client's own token, another client and one that never was are the same.
        if !self.who.is_operator {
            return Ok(Err(Flaw::NoSuchClient));
        }
        if !self.named.contains_key(&name) {
            if self.named.len() >= MOST_CLIENTS {
                return Ok(Err(Flaw::TooManyClients));
            }
            let found = admin::find_client(&self.app.db, &name).await?;
            self.named.insert(name.clone(), found);
        }
        Ok(self.named.get(&name).copied().flatten().ok_or(Flaw::NoSuchClient))
    }

    /// The earlier row that is the same person, by address or external id; else this row is the first from now on.
    fn earlier(&mut self, target: ClientId, data: &RowData, number: u32) -> Option<u32> {
        let address = data.email.as_deref().and_then(EmailAddress::parse);
        let keys = [("e", address.as_ref().map(EmailAddress::key)), ("x", data.external_id.as_deref())];
        let keys: Vec<[u8; 16]> = keys
            .into_iter()
            .filter_map(|(kind, value)| {
                let hash = sha256(format!("{target}{kind}{}", value?).as_bytes());
                hash.first_chunk::<16>().copied()
            })
            .collect();
        if let Some(earlier) = keys.iter().find_map(|key| self.seen.get(key)) {
            return Some(*earlier);
        }
        self.seen.extend(keys.into_iter().map(|key| (key, number)));
        None
    }
}

async fn delete(app: &App, client: ClientId, id: ImportId) -> Result<(), Fault> {
    let mut tx = app.begin().await?;
    store::delete(&mut tx, client, id).await?;
    app.commit(tx).await
}
