//! Making and changing registration codes and batches, and appending to a batch.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    error::CodeError,
    fill::{self, Look},
    intake::Intake,
    model::Kind,
    store, store_batch,
    terms::{Terms, TermsChange},
    text::{self, CodeText, Malformed, OWN_LENGTH},
    view::{
        NewRedemptionBatch, NewRegistrationCode, RedemptionBatchChange, RegistrationCodeChange, Report, StoredOffer,
    },
};
use crate::{
    admin::{Author, Invalid, difference},
    audit::Values,
    clients,
    ids::{BatchId, ClientId, EventId, RegistrationCodeId, SublicenseId},
};

/// Codes that one batch may have.
pub(super) const MOST_CODES: i32 = 1_000_000;
/// Letters and digits of a registration code that is drawn.
const DRAWN_LENGTH: usize = 12;

/// Makes a registration code. Call it inside a transaction.
pub(super) async fn create_registration(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    new: NewRegistrationCode,
) -> Result<StoredOffer, CodeError> {
    let NewRegistrationCode(mut change) = new;
    let code = match change.code.take() {
        None => draw(conn, author, client).await?,
        Some(own) => text::own(&own, OWN_LENGTH).map_err(|wrong| match wrong {
            Malformed::Form => {
                Invalid::field("codes.malformed", "/code", "a code has 8 to 64 letters, digits and dashes")
            }
            Malformed::Reserved => Invalid::field("codes.reserved", "/code", "this word is a path; choose another"),
        })?,
    };
    let mut offer = create(conn, author, client, Kind::Registration, change.terms()).await?;
    store::insert_code(conn, client, offer.id, code.key(), code.as_str()).await?;
    offer.code = Some(code.as_str().to_owned());
    let id = RegistrationCodeId::from(offer.id).to_string();
    author.record(conn, client, "registration_code.created", id, json!({}), None).await?;
    Ok(offer)
}

async fn draw(conn: &mut PgConnection, author: Author<'_>, client: ClientId) -> Result<CodeText, CodeError> {
    loop {
        let code = text::draw(author.entropy, "", DRAWN_LENGTH);
        if store_batch::taken(conn, client, &[code.key().to_owned()]).await?.is_empty() {
            return Ok(code);
        }
    }
}

/// Makes a batch, with the codes that are generated for it or sent with it. Call it inside a transaction.
pub(super) async fn create_batch(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    new: NewRedemptionBatch,
) -> Result<(StoredOffer, Option<Report>), CodeError> {
    let NewRedemptionBatch(mut change) = new;
    let (count, codes) = (change.count.take(), change.codes.take());
    let offer = create(conn, author, client, Kind::Redemption, change.terms()).await?;
    let batch = BatchId::from(offer.id);
    let report = add(conn, author, client, &offer, count, codes).await?;
    let offer = load(conn, client, Kind::Redemption, offer.id).await?;
    let facts = json!({ "codes": offer.codes_total + offer.codes_to_come });
    author.record(conn, client, "redemption_batch.created", batch.to_string(), facts, None).await?;
    Ok((offer, report))
}

/// Adds generated codes or codes that were sent. Call it inside a transaction.
pub(super) async fn append(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    batch: BatchId,
    count: Option<i32>,
    codes: Option<Vec<String>>,
) -> Result<(StoredOffer, Option<Report>), CodeError> {
    if count.is_none() && codes.is_none() {
        return Err(Invalid::field("api.required", "/count", "say how many, or send codes").into());
    }
    // Not locked: redemptions of the batch go on while codes are stored.
    let before = load(conn, client, Kind::Redemption, batch.uuid()).await?;
    let report = add(conn, author, client, &before, count, codes).await?;
    Ok((appended(conn, author, client, &before).await?, report))
}

/// The batch after codes were added to it, with the event of that.
pub(super) async fn appended(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    before: &StoredOffer,
) -> Result<StoredOffer, CodeError> {
    let offer = load(conn, client, Kind::Redemption, before.id).await?;
    if offer.is_revoking {
        return Err(CodeError::Revoking);
    }
    let codes = offer.codes_total + offer.codes_to_come;
    if codes > MOST_CODES {
        return Err(too_many("/codes").into());
    }
    let facts = json!({ "codes": codes - before.codes_total - before.codes_to_come });
    let id = BatchId::from(offer.id).to_string();
    author.record(conn, client, "redemption_batch.appended", id, facts, None).await?;
    Ok(offer)
}

fn too_many(pointer: &str) -> Invalid {
    Invalid::field("codes.too_many", pointer, "a batch has at most 1000000 codes; make another batch")
}

async fn add(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    offer: &StoredOffer,
    count: Option<i32>,
    codes: Option<Vec<String>>,
) -> Result<Option<Report>, CodeError> {
    let batch = BatchId::from(offer.id);
    match (count, codes) {
        (Some(_), Some(_)) => {
            Err(Invalid::field("codes.count_and_codes", "/count", "say how many, or send codes, not both").into())
        }
        (None, None) => Ok(None),
        (Some(count), None) => {
            if count < 1 {
                return Err(Invalid::field("api.invalid", "/count", "generate at least one code").into());
            }
            if i64::from(offer.codes_total) + i64::from(offer.codes_to_come) + i64::from(count) > i64::from(MOST_CODES)
            {
                return Err(too_many("/count").into());
            }
            let look = Look { prefix: &offer.terms.prefix, length: offer.terms.length };
            fill::generate(conn, author.entropy, client, batch, look, count, author.now).await?;
            Ok(None)
        }
        (None, Some(codes)) => {
            let mut intake = Intake::new(author.entropy, client, batch, author.now);
            for code in codes {
                intake.line(conn, &code).await?;
            }
            intake.finish(conn).await.map(Some)
        }
    }
}

/// Changes a registration code; a change that changes nothing leaves no trace. Call it inside a transaction.
pub(super) async fn update_registration(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: RegistrationCodeId,
    change: RegistrationCodeChange,
) -> Result<StoredOffer, CodeError> {
    if change.code.is_some() {
        let detail = "a code is not changed once made; turn it off and make another";
        return Err(Invalid::field("codes.code_immutable", "/code", detail).into());
    }
    let action = "registration_code.updated";
    update(conn, author, client, Kind::Registration, id.uuid(), change.terms(), action).await
}

/// Changes a batch; a change that changes nothing leaves no trace. Call it inside a transaction.
pub(super) async fn update_batch(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    id: BatchId,
    change: RedemptionBatchChange,
) -> Result<StoredOffer, CodeError> {
    if change.count.is_some() || change.codes.is_some() {
        let pointer = if change.count.is_some() { "/count" } else { "/codes" };
        return Err(Invalid::field("codes.append", pointer, "append to the batch instead").into());
    }
    let action = "redemption_batch.updated";
    update(conn, author, client, Kind::Redemption, id.uuid(), change.terms(), action).await
}

async fn create(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    kind: Kind,
    mut change: TermsChange,
) -> Result<StoredOffer, CodeError> {
    change.check()?;
    let mut invalid = Invalid::default();
    for (pointer, is_missing) in [("/label", change.label.is_none()), ("/sublicenses", change.sublicenses.is_none())] {
        if is_missing {
            invalid.push("api.required", pointer, "this field is required");
        }
    }
    invalid.finish()?;
    let sublicenses = named(conn, client, change.sublicenses.as_deref()).await?;
    let mut terms = Terms::default();
    change.apply(&mut terms, sublicenses)?;
    let offer = StoredOffer {
        id: author.entropy.id::<EventId>(author.now).uuid(),
        terms,
        times_redeemed: 0,
        code: None,
        codes_total: 0,
        codes_revoked: 0,
        codes_to_come: 0,
        is_revoking: false,
        created_at: author.now,
        updated_at: author.now,
    };
    store::insert(conn, client, kind, &offer).await?;
    Ok(offer)
}

async fn update(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    kind: Kind,
    id: Uuid,
    mut change: TermsChange,
    action: &'static str,
) -> Result<StoredOffer, CodeError> {
    change.check()?;
    let before = store::lock(conn, client, kind, id).await?.ok_or(CodeError::NotFound)?;
    let sublicenses = named(conn, client, change.sublicenses.as_deref()).await?;
    let mut after = before.clone();
    change.apply(&mut after.terms, sublicenses)?;
    let Some(difference) = difference(&before.terms, &after.terms)? else { return Ok(before) };
    after.updated_at = author.now;
    store::update(conn, client, &after).await?;
    let facts = json!({ "fields": difference.fields });
    let values = Values { learner: None, before: difference.before, after: difference.after };
    author.record(conn, client, action, kind.show_offer(id), facts, Some(values)).await?;
    Ok(after)
}

async fn load(conn: &mut PgConnection, client: ClientId, kind: Kind, id: Uuid) -> Result<StoredOffer, CodeError> {
    store::find(conn, client, kind, id).await?.ok_or(CodeError::NotFound)
}

async fn named(
    conn: &mut PgConnection,
    client: ClientId,
    names: Option<&[String]>,
) -> Result<Option<Vec<SublicenseId>>, CodeError> {
    let Some(names) = names else { return Ok(None) };
    Ok(Some(clients::sublicenses_named(conn, client, names).await??))
}
