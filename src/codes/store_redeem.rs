//! SQL of redeeming: each statement is for one code and for hundreds alike. Every statement leads with the client.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Code, CodeState, Kind};
use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
};

struct Row {
    id: Uuid,
    key: String,
    state: String,
    offer_id: Uuid,
    kind: String,
    version: i64,
    active: bool,
    starts_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    access_days: Option<i32>,
    access_ends_at: Option<DateTime<Utc>>,
    email_domains: Vec<String>,
    max_redemptions: Option<i32>,
    times_redeemed: i32,
    sublicenses: Vec<Uuid>,
}

impl Row {
    fn code(self) -> Result<Code, Fault> {
        Ok(Code {
            id: self.id,
            key: self.key,
            state: CodeState::read(&self.state)?,
            offer: self.offer_id,
            kind: Kind::read(&self.kind)?,
            version: self.version,
            active: self.active,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            access_days: self.access_days,
            access_ends_at: self.access_ends_at,
            email_domains: self.email_domains,
            max_redemptions: self.max_redemptions,
            times_redeemed: self.times_redeemed,
            sublicenses: self.sublicenses.into_iter().map(SublicenseId::from).collect(),
        })
    }
}

/// The codes that read so, as they stand; nothing is locked.
pub(super) async fn find(conn: &mut PgConnection, client: ClientId, keys: &[String]) -> Result<Vec<Code>, Fault> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, c.key, c.offer_id,
                  case when c.state = 'unused' and c.id <= o.revoking_to then 'revoked' else c.state end as "state!",
                  o.kind, o.version, o.active, o.starts_at, o.expires_at, o.access_days,
                  o.access_ends_at, o.email_domains, o.max_redemptions, o.times_redeemed,
                  array(select s.sublicense_id from code_offer_sublicenses s
                        where s.client_id = o.client_id and s.offer_id = o.id order by 1) as "sublicenses!"
           from codes c join code_offers o on o.client_id = c.client_id and o.id = c.offer_id
           where c.client_id = $1 and c.key = any($2)"#,
        client.uuid(),
        keys,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Row::code).collect()
}

/// What of a code may have changed since it was found.
pub(super) struct Locked {
    pub id: Uuid,
    pub state: CodeState,
    pub version: i64,
    pub times_redeemed: i32,
}

/// Locks offers and codes until the transaction ends: by offer, and within it by code.
pub(super) async fn lock(conn: &mut PgConnection, client: ClientId, codes: &[Uuid]) -> Result<Vec<Locked>, Fault> {
    let rows = sqlx::query!(
        r#"select c.id, case when c.state = 'unused' and c.id <= o.revoking_to then 'revoked' else c.state end as "state!",
                  o.version, o.times_redeemed
           from code_offers o join codes c on c.client_id = o.client_id and c.offer_id = o.id
           where c.client_id = $1 and c.id = any($2) order by o.id, c.id for no key update of o, c"#,
        client.uuid(),
        codes,
    )
    .fetch_all(conn)
    .await?;
    let locked = |row: &str| CodeState::read(row);
    rows.into_iter()
        .map(|row| {
            let state = locked(&row.state)?;
            Ok(Locked { id: row.id, state, version: row.version, times_redeemed: row.times_redeemed })
        })
        .collect()
}

/// Which of these learners have redeemed which of these codes, redemptions that were taken back aside.
pub(super) async fn standing(
    conn: &mut PgConnection,
    client: ClientId,
    pairs: &[(Uuid, LearnerId)],
) -> Result<Vec<(Uuid, LearnerId)>, Fault> {
    let codes: Vec<Uuid> = pairs.iter().map(|(code, _)| *code).collect();
    let learners: Vec<Uuid> = pairs.iter().map(|(_, learner)| learner.uuid()).collect();
    let rows = sqlx::query!(
        "select r.code_id, r.learner_id
         from unnest($2::uuid[], $3::uuid[]) p (code_id, learner_id)
         join redemptions r on r.client_id = $1 and r.code_id = p.code_id and r.learner_id = p.learner_id
         where r.undone_at is null",
        client.uuid(),
        &codes,
        &learners,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.code_id, row.learner_id.into())).collect())
}

/// Which of these learners an identity provider vouches for: nobody asks them to confirm an address.
pub(super) async fn with_identity(
    conn: &mut PgConnection,
    client: ClientId,
    learners: &[Uuid],
) -> Result<Vec<LearnerId>, Fault> {
    let ids = sqlx::query_scalar!(
        "select distinct learner_id from identities where client_id = $1 and learner_id = any($2)",
        client.uuid(),
        learners,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(LearnerId::from).collect())
}

/// A redemption about to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRedemption {
    pub id: Uuid,
    pub code: Uuid,
    pub offer: Uuid,
    pub kind: Kind,
    pub learner: LearnerId,
}

/// Writes redemptions: the history, the codes' states, and each offer's count.
pub(super) async fn write(
    conn: &mut PgConnection,
    client: ClientId,
    redemptions: &[NewRedemption],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if redemptions.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = redemptions.iter().map(|new| new.id).collect();
    let codes: Vec<Uuid> = redemptions.iter().map(|new| new.code).collect();
    let offers: Vec<Uuid> = redemptions.iter().map(|new| new.offer).collect();
    let learners: Vec<Uuid> = redemptions.iter().map(|new| new.learner.uuid()).collect();
    sqlx::query!(
        "insert into redemptions (client_id, id, code_id, offer_id, learner_id, redeemed_at)
         select $1, t.id, t.code_id, t.offer_id, t.learner_id, $6
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[]) t (id, code_id, offer_id, learner_id)",
        client.uuid(),
        &ids,
        &codes,
        &offers,
        &learners,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update code_offers o set times_redeemed = o.times_redeemed + t.count
         from (select offer_id, count(*)::int as count from unnest($2::uuid[]) u (offer_id) group by 1) t
         where o.client_id = $1 and o.id = t.offer_id",
        client.uuid(),
        &offers,
    )
    .execute(&mut *conn)
    .await?;
    let single: Vec<&NewRedemption> = redemptions.iter().filter(|new| new.kind == Kind::Redemption).collect();
    if single.is_empty() {
        return Ok(());
    }
    let codes: Vec<Uuid> = single.iter().map(|new| new.code).collect();
    let learners: Vec<Uuid> = single.iter().map(|new| new.learner.uuid()).collect();
    sqlx::query!(
        "update codes c set state = 'redeemed', learner_id = t.learner_id, redeemed_at = $4
         from unnest($2::uuid[], $3::uuid[]) t (id, learner_id) where c.client_id = $1 and c.id = t.id",
        client.uuid(),
        &codes,
        &learners,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Remembers codes that wait for their learner's verified address.
pub(super) async fn insert_waiting(
    conn: &mut PgConnection,
    client: ClientId,
    waiting: &[(Uuid, LearnerId)],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if waiting.is_empty() {
        return Ok(());
    }
    let codes: Vec<Uuid> = waiting.iter().map(|(code, _)| *code).collect();
    let learners: Vec<Uuid> = waiting.iter().map(|(_, learner)| learner.uuid()).collect();
    sqlx::query!(
        "insert into waiting_codes (client_id, learner_id, code_id, created_at)
         select $1, t.learner_id, t.code_id, $4 from unnest($2::uuid[], $3::uuid[]) t (learner_id, code_id)
         on conflict on constraint waiting_codes_pkey do nothing",
        client.uuid(),
        &learners,
        &codes,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the codes that wait for this learner; their texts.
pub(super) async fn take_waiting(
    conn: &mut PgConnection,
    client: ClientId,
    learner: LearnerId,
) -> Result<Vec<String>, Fault> {
    let texts = sqlx::query_scalar!(
        "with gone as (delete from waiting_codes where client_id = $1 and learner_id = $2 returning code_id)
         select c.text from gone join codes c on c.client_id = $1 and c.id = gone.code_id order by c.id",
        client.uuid(),
        learner.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(texts)
}
