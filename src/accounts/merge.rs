//! Two records of one person become one: the provisional learner's access moves to the learner who has the address, and
//! the record goes. Other domains are told within the same transaction, by functions that `app.rs` composes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;
use sqlx::PgConnection;

use super::{store_proofs, trail::Occasion};
use crate::{
    access::{self, By},
    app::App,
    audit,
    clients::ClientFacts,
    fault::Fault,
    ids::LearnerId,
    learners::{self, EmailAddress},
};

/// One learner's record is about to become part of another's. Both are locked; the one that goes still has its grants.
/// Whoever keeps rows that refer to it hands them over now.
pub struct Merging {
    pub client: Arc<ClientFacts>,
    pub from: LearnerId,
    pub to: LearnerId,
    pub by: By,
    pub now: DateTime<Utc>,
}

/// A learner has proved an address just now, and is locked. What waited for that goes on.
pub struct AddressProved {
    pub client: Arc<ClientFacts>,
    pub learner: LearnerId,
    pub email: EmailAddress,
    pub by: By,
    pub now: DateTime<Utc>,
}

/// Whom a proof concerns besides. Composed in `app.rs`; both run in the proof's own transaction.
pub struct ProofListeners {
    pub merging: for<'a> fn(&'a App, &'a mut PgConnection, &'a Merging) -> BoxFuture<'a, Result<(), Fault>>,
    pub address_proved:
        for<'a> fn(&'a App, &'a mut PgConnection, &'a AddressProved) -> BoxFuture<'a, Result<(), Fault>>,
}

/// Merges `from` into `to`.
pub(super) async fn merge(
    conn: &mut PgConnection,
    app: &App,
    merging: &Merging,
    occasion: &Occasion<'_>,
) -> Result<(), Fault> {
    let Merging { client, from, to, by, now } = merging;
    (app.proofs.merging)(app, conn, merging).await?;
    access::move_grants(conn, &app.entropy, client.id, *from, *to, by, *now).await?;
    store_proofs::hand_over(conn, client.id, *from, *to).await?;
    audit::hand_over_values(conn, client.id, *from, Some(*to)).await?;
    learners::store_local::remove(conn, client.id, *from).await?;
    occasion.tell(conn, "learner.merged", *to, json!({ "learner": to, "from": from }), None).await
}
