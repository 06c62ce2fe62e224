//! A POST that is repeated with its `Idempotency-Key` changes nothing twice. The key is taken and its answer remembered
//! in the transaction of the change, so that neither can be without the other.
//!
//! ```text
//! begin → Once::claim → Fresh(ticket): the change → Ticket::reply → commit → the reply
//!                     → Replay(reply): the reply of before, marked `Idempotency-Replayed: true`
//! ```

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::store_idempotency::{self as store, KeyRow};
use crate::{crypto, fault::Fault, http::Problem, ids::TokenId};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a request says of its own repetition: the key, the route, and the hash of the body.
#[derive(Debug, Clone)]
pub struct Once {
    pub(super) key: Option<String>,
    pub(super) route: String,
    pub(super) body_hash: [u8; 32],
}

/// Whether the change is to be made, or was made before.
#[must_use]
pub enum Claim {
    Fresh(Ticket),
    Replay(Reply),
}

/// The right to answer a request for the first time. It is used up by the answer.
#[must_use = "a claimed key must get its answer in the same transaction"]
pub struct Ticket(Option<KeyRow>);

/// The answer to a POST, fresh or of before.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    body: Value,
    is_replay: bool,
}

impl Once {
    /// The same for a body that was read as a stream: its hash is known only at its end.
    #[must_use]
    pub fn of_stream(self, body_hash: [u8; 32]) -> Self {
        Self { body_hash, ..self }
    }

    /// Takes the key inside the transaction of the change.
    pub async fn claim(&self, conn: &mut PgConnection, token: TokenId, now: DateTime<Utc>) -> Result<Claim, Problem> {
        let Some(key) = &self.key else { return Ok(Claim::Fresh(Ticket(None))) };
        let row = KeyRow { token, route: self.route.clone(), key: key.clone(), body_hash: self.body_hash };
        let Some(remembered) = store::claim(conn, &row, now).await? else {
            return Ok(Claim::Fresh(Ticket(Some(row))));
        };
        if !crypto::same(&remembered.body_hash, &self.body_hash) {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency.mismatch",
                "This Idempotency-Key was used with another body. Use a new key for a new request.",
            ));
        }
        let status = u16::try_from(remembered.status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or_else(|| Fault::Corrupt("an idempotency key without an answer".into()))?;
        Ok(Claim::Replay(Reply { status, body: remembered.response, is_replay: true }))
    }
}

impl Ticket {
    /// Answers, and remembers the answer.
    pub async fn reply(
        self,
        conn: &mut PgConnection,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Reply, Fault> {
        self.reply_with_secret(conn, status, body, body).await
    }

    /// Answers with something that is shown this once; `remembered` is the same without it.
    pub async fn reply_with_secret(
        self,
        conn: &mut PgConnection,
        status: StatusCode,
        shown: &impl Serialize,
        remembered: &impl Serialize,
    ) -> Result<Reply, Fault> {
        if let Some(row) = self.0 {
            store::remember(conn, &row, status.as_u16(), &serde_json::to_value(remembered)?).await?;
        }
        Ok(Reply { status, body: serde_json::to_value(shown)?, is_replay: false })
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Forgets keys of more than a day ago, at most `limit` of them; says how many. For the clean-up job.
pub async fn forget_old(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64, Fault> {
    store::remove_old(conn, now, limit).await
}
