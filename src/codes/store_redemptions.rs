//! SQL of the uses of a registration code, as an admin reads them. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::RedemptionView;
use crate::{
    fault::Fault,
    http::paging::Page,
    ids::{ClientId, RedemptionId, RegistrationCodeId},
};

struct RedemptionRow {
    id: Uuid,
    learner_id: Uuid,
    redeemed_at: DateTime<Utc>,
    undone_at: Option<DateTime<Utc>>,
    undone_why: Option<String>,
}

impl From<RedemptionRow> for RedemptionView {
    fn from(row: RedemptionRow) -> Self {
        Self {
            id: row.id.into(),
            learner: row.learner_id.into(),
            redeemed_at: row.redeemed_at,
            undone_at: row.undone_at,
            undone_why: row.undone_why,
        }
    }
}

/// One page of a registration code's redemptions, oldest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    client: ClientId,
    code: RegistrationCodeId,
    page: Page,
) -> Result<Vec<RedemptionView>, Fault> {
    let rows = sqlx::query_as!(
        RedemptionRow,
        "select id, learner_id, redeemed_at, undone_at, undone_why from redemptions
         where client_id = $1 and offer_id = $2 and id > $3 order by id limit $4",
        client.uuid(),
        code.uuid(),
        page.after.unwrap_or(Uuid::nil()),
        page.fetch(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(RedemptionView::from).collect())
}

/// One redemption of a registration code, whether it stands or not.
pub(super) async fn find(
    conn: &mut PgConnection,
    client: ClientId,
    code: RegistrationCodeId,
    id: RedemptionId,
) -> Result<Option<RedemptionView>, Fault> {
    let row = sqlx::query_as!(
        RedemptionRow,
        "select r.id, r.learner_id, r.redeemed_at, r.undone_at, r.undone_why
         from redemptions r join code_offers o on o.client_id = r.client_id and o.id = r.offer_id
         where r.client_id = $1 and r.id = $3 and r.offer_id = $2 and o.kind = 'registration'",
        client.uuid(),
        code.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(RedemptionView::from))
}
