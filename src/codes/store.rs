//! SQL of offers and of codes as an admin reads and changes them. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    model::{CodeState, Kind},
    terms::Terms,
    view::{CodeView, StoredOffer},
};
use crate::{
    fault::Fault,
    http::paging::Page,
    ids::{BatchId, ClientId, CodeId, SublicenseId},
};

struct Row {
    id: Uuid,
    label: String,
    sublicenses: Vec<Uuid>,
    max_redemptions: Option<i32>,
    starts_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    access_days: Option<i32>,
    access_ends_at: Option<DateTime<Utc>>,
    email_domains: Vec<String>,
    active: bool,
    prefix: String,
    length: i32,
    times_redeemed: i32,
    code: Option<String>,
    codes_total: i32,
    codes_revoked: i32,
    codes_to_come: i32,
    is_revoking: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for StoredOffer {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            terms: Terms {
                label: row.label,
                sublicenses: row.sublicenses.into_iter().map(SublicenseId::from).collect(),
                max_redemptions: row.max_redemptions,
                starts_at: row.starts_at,
                expires_at: row.expires_at,
                access_days: row.access_days,
                access_ends_at: row.access_ends_at,
                email_domains: row.email_domains,
                active: row.active,
                prefix: row.prefix,
                length: row.length,
            },
            times_redeemed: row.times_redeemed,
            code: row.code,
            codes_total: row.codes_total,
            codes_revoked: row.codes_revoked,
            codes_to_come: row.codes_to_come,
            is_revoking: row.is_revoking,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// An offer with its sublicenses and, of a registration offer, its code; from where the filter says.
macro_rules! offers {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select o.id, o.label, o.max_redemptions, o.starts_at, o.expires_at, o.access_days, o.access_ends_at,
                      o.email_domains, o.active, o.prefix, o.length, o.times_redeemed, o.codes_total, o.codes_revoked,
                      o.created_at, o.updated_at, c.text as "code?", coalesce(f.remaining, 0) as "codes_to_come!",
                      o.revoking_to is not null as "is_revoking!",
                      array(select s.sublicense_id from code_offer_sublicenses s
                            where s.client_id = o.client_id and s.offer_id = o.id order by 1) as "sublicenses!"
               from code_offers o
               left join codes c on c.client_id = o.client_id and c.id = o.id
               left join code_fills f on f.client_id = o.client_id and f.offer_id = o.id "# + $rest,
            $($argument),*
        )
    };
}

/// One offer of a kind.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    kind: Kind,
    id: Uuid,
) -> Result<Option<StoredOffer>, Fault> {
    let row = offers!("where o.client_id = $1 and o.id = $2 and o.kind = $3", client.uuid(), id, kind.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(StoredOffer::from))
}

/// One page of a client's offers of a kind, oldest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: ClientId,
    kind: Kind,
    page: Page,
) -> Result<Vec<StoredOffer>, Fault> {
    let rows = offers!(
        "where o.client_id = $1 and o.kind = $2 and o.id > $3 order by o.id limit $4",
        client.uuid(),
        kind.as_str(),
        page.after.unwrap_or(Uuid::nil()),
        page.fetch(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(StoredOffer::from).collect())
}

/// Locks an offer until the transaction ends, and reads it as it is now.
pub(super) async fn lock(
    conn: &mut PgConnection,
    client: ClientId,
    kind: Kind,
    id: Uuid,
) -> Result<Option<StoredOffer>, Fault> {
    let locked = sqlx::query_scalar!(
        "select id from code_offers where client_id = $1 and id = $2 and kind = $3 for no key update",
        client.uuid(),
        id,
        kind.as_str(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    find(conn, client, kind, id).await
}

/// Stores a new offer.
pub(super) async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    kind: Kind,
    offer: &StoredOffer,
) -> Result<(), Fault> {
    let terms = &offer.terms;
    sqlx::query!(
        "insert into code_offers (client_id, id, kind, label, max_redemptions, starts_at, expires_at, access_days,
                                  access_ends_at, email_domains, active, prefix, length, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
        client.uuid(),
        offer.id,
        kind.as_str(),
        terms.label,
        terms.max_redemptions,
        terms.starts_at,
        terms.expires_at,
        terms.access_days,
        terms.access_ends_at,
        &terms.email_domains,
        terms.active,
        terms.prefix,
        terms.length,
        offer.created_at,
    )
    .execute(&mut *conn)
    .await?;
    set_sublicenses(conn, client, offer).await
}

/// Writes every term, and says by the version that they changed.
pub(super) async fn update(conn: &mut PgConnection, client: ClientId, offer: &StoredOffer) -> Result<(), Fault> {
    let terms = &offer.terms;
    sqlx::query!(
        "update code_offers set label = $3, max_redemptions = $4, starts_at = $5, expires_at = $6, access_days = $7,
             access_ends_at = $8, email_domains = $9, active = $10, prefix = $11, length = $12, updated_at = $13,
             version = version + 1
         where client_id = $1 and id = $2",
        client.uuid(),
        offer.id,
        terms.label,
        terms.max_redemptions,
        terms.starts_at,
        terms.expires_at,
        terms.access_days,
        terms.access_ends_at,
        &terms.email_domains,
        terms.active,
        terms.prefix,
        terms.length,
        offer.updated_at,
    )
    .execute(&mut *conn)
    .await?;
    set_sublicenses(conn, client, offer).await
}

async fn set_sublicenses(conn: &mut PgConnection, client: ClientId, offer: &StoredOffer) -> Result<(), Fault> {
    let ids: Vec<Uuid> = offer.terms.sublicenses.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "delete from code_offer_sublicenses where client_id = $1 and offer_id = $2 and sublicense_id <> all($3)",
        client.uuid(),
        offer.id,
        &ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into code_offer_sublicenses (client_id, offer_id, sublicense_id)
         select $1, $2, unnest($3::uuid[]) on conflict do nothing",
        client.uuid(),
        offer.id,
        &ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores the one code of a registration offer, which has the offer's id.
pub(super) async fn insert_code(
    conn: &mut PgConnection,
    client: ClientId,
    offer: Uuid,
    key: &str,
    text: &str,
) -> Result<(), Fault> {
    sqlx::query!(
        "insert into codes (client_id, id, offer_id, key, text) values ($1, $2, $2, $3, $4)",
        client.uuid(),
        offer,
        key,
        text,
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct CodeRow {
    id: Uuid,
    text: String,
    offer_id: Uuid,
    sublicenses: Vec<Uuid>,
    state: String,
    learner_id: Option<Uuid>,
    redeemed_at: Option<DateTime<Utc>>,
}

impl CodeRow {
    fn view(self) -> Result<CodeView, Fault> {
        Ok(CodeView {
            id: self.id.into(),
            code: self.text,
            batch: self.offer_id.into(),
            sublicenses: self.sublicenses.into_iter().map(SublicenseId::from).collect(),
            state: CodeState::read(&self.state)?,
            learner: self.learner_id.map(Into::into),
            redeemed_at: self.redeemed_at,
        })
    }
}

macro_rules! codes {
    ($rest:tt, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            CodeRow,
            r#"select c.id, c.text, c.offer_id, c.state, c.learner_id, c.redeemed_at,
                      array(select s.sublicense_id from code_offer_sublicenses s
                            where s.client_id = c.client_id and s.offer_id = c.offer_id order by 1) as "sublicenses!"
               from codes c "# + $rest,
            $($argument),*
        )
    };
}

/// One redemption code.
pub(super) async fn find_code(
    conn: &mut PgConnection,
    client: ClientId,
    code: CodeId,
) -> Result<Option<CodeView>, Fault> {
    let row = codes!(
        "join code_offers o on o.client_id = c.client_id and o.id = c.offer_id
         where c.client_id = $1 and c.id = $2 and o.kind = 'redemption'",
        client.uuid(),
        code.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(CodeRow::view).transpose()
}

/// One page of a batch's codes, oldest first.
pub(super) async fn list_codes(
    conn: &mut PgConnection,
    client: ClientId,
    batch: BatchId,
    state: Option<CodeState>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<CodeView>, Fault> {
    let (client, batch, after) = (client.uuid(), batch.uuid(), after.unwrap_or(Uuid::nil()));
    let rows = match state {
        None => {
            codes!(
                "where c.client_id = $1 and c.offer_id = $2 and c.id > $3 order by c.id limit $4",
                client,
                batch,
                after,
                limit
            )
            .fetch_all(conn)
            .await?
        }
        Some(CodeState::Unused) => codes!(
            "where c.client_id = $1 and c.offer_id = $2 and c.id > $3 and c.state = 'unused' order by c.id limit $4",
            client,
            batch,
            after,
            limit,
        )
        .fetch_all(conn)
        .await?,
        // Few among many: they have an index of their own.
        Some(state) => {
            codes!(
                "where c.client_id = $1 and c.offer_id = $2 and c.id > $3 and c.state <> 'unused' and c.state = $5
             order by c.id limit $4",
                client,
                batch,
                after,
                limit,
                state.as_str(),
            )
            .fetch_all(conn)
            .await?
        }
    };
    rows.into_iter().map(CodeRow::view).collect()
}
