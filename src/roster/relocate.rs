//! Moving a learner to another client: a new record there, known to the learning platform by the same `sub`; here,
//! identities, sessions and access end and the record stays as history.

use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{
    access_model::NewAccess,
    create::{check_access, insert},
    edit::{RosterError, lock_present},
    grant,
    model::MovedTo,
    store_move,
};
use crate::{
    access::{self, Ending},
    accounts,
    admin::Author,
    audit::{self, Values},
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// Where to, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Relocation {
    /// The id or slug of the other client.
    pub client: String,
    /// What the learner may see there; all of it, or nobody is moved.
    #[serde(default)]
    pub access: Vec<NewAccess>,
}

/// Moves a learner; the new record's id. Call it inside a transaction, for a caller who may write learners of both
/// clients. That the address is proved is known of the person, and goes along; an account stays with its owner, whose
/// next sign-in at the other client finds the new record by the proved address.
pub async fn relocate(
    conn: &mut PgConnection,
    author: Author<'_>,
    from: ClientId,
    learner: LearnerId,
    to: ClientId,
    access: &[NewAccess],
) -> Result<LearnerId, RosterError> {
    check_access(access, author.now)?;
    let held = lock_present(conn, from, learner).await?;
    if from == to {
        return Err(RosterError::SameClient);
    }
    let sub = store_move::sub(conn, from, learner).await?;
    let mut fresh = held.clone();
    fresh.id = author.entropy.id(author.now);
    (fresh.created_at, fresh.updated_at) = (author.now, author.now);
    insert(conn, to, &fresh, sub).await?;

    let ending = Ending { learner, sublicense: None, source: None, reason: "moved", by: grant::by(author) };
    access::end(conn, author.entropy, from, &[ending], author.now).await?;
    accounts::leave(conn, from, learner, author.now).await?;
    store_move::retire(conn, from, learner, author.now).await?;
    let moved_to = MovedTo { client: to, learner: fresh.id, moved_at: author.now };
    store_move::note_move(conn, from, learner, moved_to).await?;

    let facts = json!({ "learner": learner, "to_client": to, "to_learner": fresh.id });
    author.record(conn, from, "learner.moved", learner.to_string(), facts.clone(), None).await?;
    audit::announce(conn, author.entropy, from, "learner.moved", facts, author.now).await?;
    let facts = json!({ "learner": fresh.id, "how": "moved" });
    let after = serde_json::to_value(&fresh).map_err(Fault::from)?;
    let values = Values { learner: Some(fresh.id), before: json!(null), after };
    author.record(conn, to, "learner.created", fresh.id.to_string(), facts.clone(), Some(values)).await?;
    audit::announce(conn, author.entropy, to, "learner.created", facts, author.now).await?;
    grant::give(conn, author, to, fresh.id, access, "/access").await?;
    Ok(fresh.id)
}
