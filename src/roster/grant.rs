//! Access by an admin's own hand: one grant for each learner and sublicense, beside what other sources grant.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    access_model::{AccessChange, NewAccess},
    edit::{RosterError, lock_present},
    store,
};
use crate::{
    access::{self, Answer, By, Ending, Ledger, Offer, Source},
    admin::{Author, Invalid},
    audit, clients,
    ids::{ClientId, LearnerId, SublicenseId},
};

/// What within its source grants it: there is one grant of this kind.
const BY_HAND: &str = "admin";

pub(super) fn by(author: Author<'_>) -> By {
    By { actor: author.actor, reference: author.reference.map(str::to_owned) }
}

/// Grants access, all of it or nothing; what the learner has of other sources stays. Call it inside a transaction.
pub async fn grant(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    new: &NewAccess,
) -> Result<(), RosterError> {
    let mut invalid = Invalid::default();
    new.check("", author.now, &mut invalid);
    invalid.finish()?;
    lock_present(conn, client, learner).await?;
    give(conn, author, client, learner, std::slice::from_ref(new), "").await
}

/// The same for several sublicenses; `pointer` leads to their list, or to the one grant.
pub(super) async fn give(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    access: &[NewAccess],
    pointer: &str,
) -> Result<(), RosterError> {
    let mut named = Vec::with_capacity(access.len());
    for (index, new) in access.iter().enumerate() {
        let missing = || {
            let pointer =
                if pointer.is_empty() { "/sublicense".to_owned() } else { format!("{pointer}/{index}/sublicense") };
            Invalid::field("sublicense.unknown", pointer, "this client has no such sublicense")
        };
        let found = clients::sublicense_named(conn, client, &new.sublicense).await?.ok_or_else(missing)?;
        if named.contains(&found) {
            return Err(Invalid::field("api.invalid", pointer, "name each sublicense once").into());
        }
        named.push(found);
    }
    if named.is_empty() {
        return Ok(());
    }
    for (new, sublicense) in access.iter().zip(&named) {
        if new.clear_block && store::delete_block(conn, client, learner, *sublicense).await? {
            tell_unblocked(conn, author, client, learner, *sublicense).await?;
        }
    }
    let mut ledger = Ledger::open(conn, client, &[learner], &named, author.now).await?;
    for (new, sublicense) in access.iter().zip(named) {
        set(&mut ledger, &offer(author, learner, new, sublicense))?;
    }
    Ok(ledger.write(conn, author.entropy).await?)
}

/// Changes role or end of what an admin granted and still runs.
pub async fn change_access(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    sublicense: &str,
    change: AccessChange,
) -> Result<(), RosterError> {
    let mut invalid = Invalid::default();
    change.check(author.now, &mut invalid);
    invalid.finish()?;
    lock_present(conn, client, learner).await?;
    let sublicense = clients::sublicense_named(conn, client, sublicense).await?.ok_or(RosterError::NotFound)?;
    let grants = store::grants(conn, client, learner).await?;
    let is_meant = |grant: &&access::Grant| {
        grant.sublicense == sublicense
            && grant.source == Source::Admin
            && grant.source_ref == BY_HAND
            && grant.ends_at.is_none_or(|end| author.now < end)
    };
    let held = grants.iter().find(is_meant).ok_or(RosterError::NotByHand)?;
    let ends_at = change.ends_at.unwrap_or(held.ends_at);
    let role = change.role.unwrap_or(held.role);
    if (role, ends_at) == (held.role, held.ends_at) {
        return Ok(());
    }
    let mut ledger = Ledger::open(conn, client, &[learner], &[sublicense], author.now).await?;
    let offer = Offer {
        learner,
        source: Source::Admin,
        source_ref: BY_HAND.to_owned(),
        role,
        sublicenses: vec![sublicense],
        starts_at: Some(held.starts_at),
        ends_at,
        access_days: None,
        reservation: None,
        overrides_block: false,
        by: by(author),
    };
    set(&mut ledger, &offer)?;
    Ok(ledger.write(conn, author.entropy).await?)
}

/// Ends a learner's access to a sublicense, whatever granted it. Other than a block, it keeps nothing from granting it
/// again.
pub async fn end_access(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    sublicense: &str,
) -> Result<(), RosterError> {
    lock_present(conn, client, learner).await?;
    let sublicense = clients::sublicense_named(conn, client, sublicense).await?.ok_or(RosterError::NotFound)?;
    let ending = Ending { learner, sublicense: Some(sublicense), source: None, reason: "admin", by: by(author) };
    let ended = access::end(conn, author.entropy, client, &[ending], author.now).await?;
    if ended.iter().all(Vec::is_empty) { Err(RosterError::NotFound) } else { Ok(()) }
}

fn offer(author: Author<'_>, learner: LearnerId, new: &NewAccess, sublicense: SublicenseId) -> Offer {
    Offer {
        learner,
        source: Source::Admin,
        source_ref: BY_HAND.to_owned(),
        role: new.role,
        sublicenses: vec![sublicense],
        starts_at: new.starts_at,
        ends_at: new.ends_at,
        access_days: new.access_days,
        reservation: None,
        overrides_block: false,
        by: by(author),
    }
}

/// An admin means exactly what they write, beside whatever the learner has; a seat has to be there all the same.
fn set(ledger: &mut Ledger, offer: &Offer) -> Result<(), RosterError> {
    match ledger.look(offer) {
        Answer::Changed { .. } | Answer::Nothing => {
            ledger.set(offer);
            Ok(())
        }
        Answer::Full(full) => Err(RosterError::SeatsFull(full)),
        Answer::Blocked(_) => Err(RosterError::Blocked),
        Answer::Ended(_) => Err(RosterError::Ended),
        Answer::NoLearner => Err(RosterError::NotFound),
    }
}

pub(super) async fn tell_unblocked(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    learner: LearnerId,
    sublicense: SublicenseId,
) -> Result<(), RosterError> {
    let facts = json!({ "learner": learner, "sublicense": sublicense });
    author.record(conn, client, "learner.unblocked", learner.to_string(), facts.clone(), None).await?;
    audit::announce(conn, author.entropy, client, "learner.unblocked", facts, author.now).await?;
    Ok(())
}
