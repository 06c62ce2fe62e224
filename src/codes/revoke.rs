//! Revoking a code or the rest of a batch, restoring one that was used or revoked wrongly, and undoing one use of a
//! registration code. History is kept.
//!
//! The rest of a batch is revoked at once, however large it is: the batch says up to which code. Up to 100,000 codes are
//! marked so in the same transaction; more are marked by a job, chunk by chunk, each a transaction.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    error::CodeError,
    fill::AT_ONCE,
    model::{CodeState, Kind},
    store, store_batch, store_redeem, store_redemptions,
    store_undo::{self as undo, Redemption},
    view::{CodeView, RedemptionView},
};
use crate::{
    access::{By, Ending, Ledger},
    admin::Author,
    app::App,
    audit,
    fault::Fault,
    ids::{BatchId, ClientId, CodeId, LearnerId, RedemptionId, RegistrationCodeId},
};

/// Codes of one statement, and of one turn of the job: short enough for its time limit, however large the batch.
const PART: i64 = 20_000;

/// Revokes a code that is not redeemed; one that is revoked stays so. Call it inside a transaction.
pub async fn revoke(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    code: CodeId,
) -> Result<CodeView, CodeError> {
    match lock(conn, client, code).await? {
        CodeState::Redeemed => return Err(CodeError::Redeemed),
        CodeState::Revoked => {}
        CodeState::Unused => {
            undo::set_revoked(conn, client, code, true).await?;
            tell(conn, author, client, "code.revoked", code, None).await?;
        }
    }
    store::find_code(conn, client, code).await?.ok_or(CodeError::NotFound)
}

/// Revokes every unused code of a batch; how many. Call it inside a transaction.
pub async fn revoke_rest(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    batch: BatchId,
) -> Result<i32, CodeError> {
    // What is still to be generated first, and then the batch: the order in which the generating job locks them.
    store_batch::forget_fill(conn, client, batch).await?;
    let offer = store::lock(conn, client, Kind::Redemption, batch.uuid()).await?.ok_or(CodeError::NotFound)?;
    let revoked = (offer.codes_total - offer.codes_revoked - offer.times_redeemed).max(0);
    undo::begin_revoking(conn, client, batch, revoked, author.now).await?;
    if revoked <= AT_ONCE && !offer.is_revoking {
        while undo::revoke_some(conn, client, batch, PART).await? {}
    }
    let facts = json!({ "codes": revoked });
    author.record(conn, client, "redemption_batch.revoked", batch.to_string(), facts.clone(), None).await?;
    let facts = json!({ "batch": batch, "codes": revoked });
    audit::announce(conn, author.entropy, client, "redemption_batch.revoked", facts, author.now).await?;
    Ok(revoked)
}

/// One turn of the job: some codes of a batch whose rest was revoked. Whether there was one.
pub(super) async fn revoke_due(app: &App) -> Result<bool, Fault> {
    let mut transaction = app.begin().await?;
    let Some((client, batch)) = undo::claim_revoking(&mut transaction).await? else { return Ok(false) };
    undo::revoke_some(&mut transaction, client, batch, PART).await?;
    app.commit(transaction).await?;
    Ok(true)
}

/// Takes one use of a registration code back: the code can be redeemed once more, and with `ends_access` the learner
/// loses what it gave them. One that was taken back stays so. Call it inside a transaction.
pub async fn undo_redemption(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    code: RegistrationCodeId,
    id: RedemptionId,
    ends_access: bool,
) -> Result<RedemptionView, CodeError> {
    let found = store_redemptions::find(conn, client, code, id).await?.ok_or(CodeError::NotFound)?;
    let learner = found.learner;
    let mut ledger = Ledger::open_held(conn, client, &[learner], author.now).await?;
    store_redeem::lock(conn, client, &[code.uuid()]).await?;
    // Read again under the locks: it may be taken back, or another learner's, since.
    let found = store_redemptions::find(conn, client, code, id).await?.ok_or(CodeError::NotFound)?;
    if found.undone_at.is_some() {
        return Ok(found);
    }
    if found.learner != learner {
        return Err(Fault::Busy("a redemption that changes hands").into());
    }
    if ends_access {
        let source = Some((Kind::Registration.source(), code.to_string()));
        let by = By { actor: author.actor, reference: author.reference.map(str::to_owned) };
        ledger.end(&Ending { learner, sublicense: None, source, reason: "undone", by });
        ledger.write(conn, author.entropy).await?;
    }
    let redemption = Redemption { id: id.uuid(), code: code.uuid(), offer: code.uuid(), kind: Kind::Registration };
    undo::undo(conn, client, &[redemption], ("undone", true), author.now).await?;
    let facts = json!({ "code": code, "redemption": id, "learner": learner, "access_ended": ends_access });
    author.record(conn, client, "redemption.undone", id.to_string(), facts.clone(), None).await?;
    audit::announce(conn, author.entropy, client, "redemption.undone", facts, author.now).await?;
    store_redemptions::find(conn, client, code, id).await?.ok_or(CodeError::NotFound)
}

/// Makes a redeemed or revoked code unused again. The learner who had redeemed it loses what it gave them, and the seat
/// if nothing else holds it. Call it inside a transaction.
pub async fn restore(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    code: CodeId,
) -> Result<CodeView, CodeError> {
    let found = undo::of_code(conn, client, code).await?;
    if let Some((redemption, learner)) = found {
        take_back(conn, author, client, code, redemption, learner).await?;
    } else {
        match lock(conn, client, code).await? {
            CodeState::Unused => {}
            CodeState::Revoked => {
                undo::set_revoked(conn, client, code, false).await?;
                tell(conn, author, client, "code.restored", code, None).await?;
            }
            // Redeemed in this very moment: trying again finds who it was.
            CodeState::Redeemed => return Err(Fault::Busy("a code that is being redeemed").into()),
        }
    }
    store::find_code(conn, client, code).await?.ok_or(CodeError::NotFound)
}

/// Learner, seats, then the code: the order of all locks.
async fn take_back(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    code: CodeId,
    redemption: Redemption,
    learner: LearnerId,
) -> Result<(), CodeError> {
    let by = By { actor: author.actor, reference: author.reference.map(str::to_owned) };
    let mut ledger = Ledger::open_held(conn, client, &[learner], author.now).await?;
    lock(conn, client, code).await?;
    // Read again under the locks: somebody else may have restored it, and it may be another's since.
    let now_found = undo::of_code(conn, client, code).await?;
    if now_found.is_none_or(|(now, owner)| now.id != redemption.id || owner != learner) {
        return Err(Fault::Busy("a code that is being restored").into());
    }
    let source = Some((redemption.kind.source(), redemption.kind.show(redemption.code)));
    ledger.end(&Ending { learner, sublicense: None, source, reason: "restored", by });
    ledger.write(conn, author.entropy).await?;
    undo::undo(conn, client, &[redemption], ("restored", true), author.now).await?;
    tell(conn, author, client, "code.restored", code, Some(learner)).await?;
    Ok(())
}

async fn lock(conn: &mut PgConnection, client: ClientId, code: CodeId) -> Result<CodeState, CodeError> {
    let locked = store_redeem::lock(conn, client, &[code.uuid()]).await?;
    // A registration code is no redemption code, whatever its id.
    let is_single = store::find_code(conn, client, code).await?.is_some();
    if is_single && undo::is_revoking(conn, client, code).await? {
        return Err(CodeError::Revoking);
    }
    locked.first().filter(|_| is_single).map(|row| row.state).ok_or(CodeError::NotFound)
}

async fn tell(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    action: &'static str,
    code: CodeId,
    learner: Option<LearnerId>,
) -> Result<(), Fault> {
    let facts = json!({ "code": code, "learner": learner });
    author.record(conn, client, action, code.to_string(), facts.clone(), None).await?;
    audit::announce(conn, author.entropy, client, action, facts, author.now).await
}
