//! The record of a finished sign-in: one attempt row, one audit event, and the learner's last login. Records of sign-ins
//! that finish together are committed together, and each waits for that commit.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::store;
use crate::{
    db::Db,
    fault::Fault,
    ids::{AttemptId, ClientId, ConnectionId, EventId, LearnerId},
};

/// Records that wait while a commit is under way; more than this and sign-ins are told to wait.
const QUEUE: usize = 4096;
/// Records in one commit.
const BATCH: usize = 256;

/// One finished sign-in, as it is written.
#[derive(Debug, Clone)]
pub struct Record {
    pub client: ClientId,
    pub attempt: AttemptId,
    pub event: EventId,
    pub connection: ConnectionId,
    pub by_idp: bool,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub refusal: Option<RefusalRecord>,
    pub reference: String,
    /// Who signed in, or who was refused where that is known.
    pub learner: Option<LearnerId>,
    pub checks: Value,
    pub mapping_version: Option<i32>,
    pub mapping_outcome: Option<Value>,
    pub claims_sealed: Option<Vec<u8>>,
    pub claims_expire_at: Option<DateTime<Utc>>,
    /// The connection serves several clients, so that what its mapping did is for operators to read.
    pub is_shared: bool,
}

/// Why it was refused.
#[derive(Debug, Clone)]
pub struct RefusalRecord {
    pub code: &'static str,
    pub side: &'static str,
    pub explanation: String,
}

impl Record {
    /// Whether the learner's last login is now.
    pub fn is_sign_in(&self) -> bool {
        self.refusal.is_none() && self.learner.is_some()
    }
}

type Waiting = (Record, oneshot::Sender<bool>);

/// Takes records and commits them in groups.
pub struct Recorder(mpsc::Sender<Waiting>);

impl Recorder {
    /// Starts the one task that commits. It ends when the recorder is dropped.
    pub fn start(db: Db) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(commit_groups(db, receiver));
        Self(sender)
    }

    /// Writes a record and returns when it is committed.
    pub async fn write(&self, record: Record) -> Result<(), Fault> {
        let (done, committed) = oneshot::channel();
        self.0.try_send((record, done)).map_err(|_| Fault::Busy("sign-in records"))?;
        match committed.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Fault::Database(sqlx::Error::PoolTimedOut)),
        }
    }
}

async fn one_by_one(db: &Db, records: &[Record]) -> Vec<bool> {
    let mut written = Vec::with_capacity(records.len());
    for record in records {
        let outcome = store::insert_records(db, std::slice::from_ref(record)).await;
        if let Err(error) = &outcome {
            tracing::error!(error = %error, attempt.id = %record.attempt, "a sign-in record does not fit");
        }
        written.push(outcome.is_ok());
    }
    written
}

async fn commit_groups(db: Db, mut receiver: mpsc::Receiver<Waiting>) {
    let mut group = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut group, BATCH).await > 0 {
        let (records, waiting): (Vec<Record>, Vec<_>) = group.drain(..).unzip();
        let written = match store::insert_records(&db, &records).await {
            Ok(()) => vec![true; records.len()],
            Err(error) if error.is_passing() || records.len() == 1 => {
                tracing::error!(error = %error, records = records.len(), "sign-in records were not committed");
                vec![false; records.len()]
            }
            // One of them does not fit: it must not take those of other clients with it.
            Err(_) => one_by_one(&db, &records).await,
        };
        for (done, is_written) in waiting.into_iter().zip(written) {
            // Whoever waited may have gone away; the record stands all the same.
            let _gone = done.send(is_written);
        }
    }
}
