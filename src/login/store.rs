//! SQL of the sign-in's path: one read for where everything stands, and the grouped records.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{reason::Reason, record::Record};
use crate::{
    access::Grant,
    db::Db,
    fault::Fault,
    ids::{AttemptId, ClientId, ConnectionId, SublicenseId},
    learners::store::IdentityKey,
    learners::{Learner, LearnerStatus, Profile},
};

/// Where connection, chosen client and learner stand, read at once.
pub struct Standing {
    pub connection_status: String,
    pub connection_version: i64,
    pub client_status: String,
    pub client_version: i64,
    pub license_ends_at: Option<DateTime<Utc>>,
    pub verified_domains: Vec<String>,
    pub learner: Option<Learner>,
    pub grants: Vec<Grant>,
    pub blocked: Vec<SublicenseId>,
    /// An invite of the learner's own verified address is open.
    pub is_invited: bool,
}

/// Reads the standing of an identity in a client. `None` where the connection is gone, or does not serve the client.
pub async fn standing(
    conn: &mut PgConnection,
    client: ClientId,
    key: IdentityKey<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Standing>, Fault> {
    let row = sqlx::query!(
        r#"select n.status as connection_status, n.version as connection_version,
                  c.status as client_status, c.version as client_version, c.license_ends_at,
                  array(select d.domain from email_domains d where d.client_id = m.client_id and d.verified_at is not null) as "verified_domains!",
                  l.id as "learner_id?", l.status as "learner_status?", l.session_epoch as "session_epoch?",
                  l.email, l.email_key, l.email_verified as "email_verified?", l.first_name as "first_name?", l.last_name as "last_name?",
                  l.locale, l.external_id, l.attributes as "attributes?",
                  (select jsonb_agg(jsonb_build_object(
                        'sublicense', 'sub_' || replace(g.sublicense_id::text, '-', ''), 'source', g.source, 'source_ref', g.source_ref,
                        'role', g.role, 'starts_at', g.starts_at, 'ends_at', g.ends_at, 'end_reason', g.end_reason))
                   from access_grants g where g.client_id = m.client_id and g.learner_id = l.id) as grants,
                  array(select b.sublicense_id from blocks b where b.client_id = m.client_id and b.learner_id = l.id) as "blocked!",
                  exists (select from invites v where v.client_id = l.client_id and v.email_key = l.email_key and l.email_verified
                          and v.status in ('pending', 'sent', 'bounced') and v.expires_at > $5) as "is_invited!"
           from connection_clients m
           join connections n on n.client_id = m.owner_id and n.id = m.connection_id
           join clients c on c.id = m.client_id
           left join identities i on i.client_id = m.client_id and i.connection_id = m.connection_id and i.issuer = $3 and i.subject = $4
           left join learners l on l.client_id = i.client_id and l.id = i.learner_id
           where m.client_id = $1 and m.connection_id = $2"#,
        client.uuid(),
        key.connection.uuid(),
        key.issuer,
        key.subject,
        now,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let learner = row.learner_id.map(|id| Learner {
        id: id.into(),
        status: LearnerStatus::from_word(row.learner_status.as_deref().unwrap_or_default()),
        session_epoch: row.session_epoch.unwrap_or_default(),
        profile: Profile {
            email: row.email,
            email_key: row.email_key,
            email_verified: row.email_verified.unwrap_or_default(),
            first_name: row.first_name.unwrap_or_default(),
            last_name: row.last_name.unwrap_or_default(),
            locale: row.locale,
            external_id: row.external_id,
            attributes: match row.attributes {
                Some(Value::Object(map)) => map,
                _ => serde_json::Map::new(),
            },
        },
    });
    Ok(Some(Standing {
        connection_status: row.connection_status,
        connection_version: row.connection_version,
        client_status: row.client_status,
        client_version: row.client_version,
        license_ends_at: row.license_ends_at,
        verified_domains: row.verified_domains,
        learner,
        grants: row.grants.map(serde_json::from_value).transpose()?.unwrap_or_default(),
        blocked: row.blocked.into_iter().map(SublicenseId::from).collect(),
        is_invited: row.is_invited,
    }))
}

/// What a start needs to know of a connection, read fresh.
pub struct Door {
    pub status: String,
    pub version: i64,
    /// Of the client that was asked about; `None` where the connection does not serve it.
    pub client_status: Option<String>,
}

impl Door {
    /// Why nobody may sign in by it, to this client where one is asked about.
    pub fn check(&self, client: Option<ClientId>) -> Result<(), Reason> {
        match (client, self.client_status.as_deref()) {
            (None, _) | (Some(_), Some("active")) if self.status == "active" => Ok(()),
            (Some(_), Some(status)) if status != "active" => Err(Reason::client_disabled()),
            _ => Err(Reason::connection_closed()),
        }
    }
}

/// Whether a connection is open now, and to one client where one is asked about.
pub async fn door(
    db: &Db,
    owner: ClientId,
    connection: ConnectionId,
    client: Option<ClientId>,
) -> Result<Option<Door>, Fault> {
    let door = sqlx::query_as!(
        Door,
        r#"select n.status, n.version, c.status as "client_status?"
           from connections n
           left join (connection_clients m join clients c on c.id = m.client_id)
             on m.client_id = $3 and m.connection_id = n.id
           where n.client_id = $1 and n.id = $2"#,
        owner.uuid(),
        connection.uuid(),
        client.map(ClientId::uuid),
    )
    .fetch_optional(db)
    .await?;
    Ok(door)
}

/// The version of a connection, whatever its status.
pub async fn version(db: &Db, client: ClientId, connection: ConnectionId) -> Result<Option<i64>, Fault> {
    let version = sqlx::query_scalar!(
        "select version from connections where client_id = $1 and id = $2",
        client.uuid(),
        connection.uuid()
    );
    Ok(version.fetch_optional(db).await?)
}

/// The grants and blocks of one learner, read again under the learner's lock.
pub async fn access_of(
    conn: &mut PgConnection,
    client: ClientId,
    learner: crate::ids::LearnerId,
) -> Result<(Vec<Grant>, Vec<SublicenseId>), Fault> {
    let row = sqlx::query!(
        r#"select (select jsonb_agg(jsonb_build_object(
                        'sublicense', 'sub_' || replace(g.sublicense_id::text, '-', ''), 'source', g.source, 'source_ref', g.source_ref,
                        'role', g.role, 'starts_at', g.starts_at, 'ends_at', g.ends_at, 'end_reason', g.end_reason))
                   from access_grants g where g.client_id = $1 and g.learner_id = $2) as grants,
                  array(select b.sublicense_id from blocks b where b.client_id = $1 and b.learner_id = $2) as "blocked!""#,
        client.uuid(),
        learner.uuid(),
    )
    .fetch_one(conn)
    .await?;
    let grants = row.grants.map(serde_json::from_value).transpose()?.unwrap_or_default();
    Ok((grants, row.blocked.into_iter().map(SublicenseId::from).collect()))
}

/// Whether the connection still serves the client; if so, it does until the transaction ends.
pub async fn hold_served(conn: &mut PgConnection, client: ClientId, connection: ConnectionId) -> Result<bool, Fault> {
    let held = sqlx::query_scalar!(
        "select connection_id from connection_clients where client_id = $1 and connection_id = $2 for key share",
        client.uuid(),
        connection.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(held.is_some())
}

/// Remembers an unsolicited assertion of the owner's connection; false when it was used before.
pub async fn use_assertion(
    conn: &mut PgConnection,
    client: ClientId,
    connection: ConnectionId,
    digest: &[u8],
    expires_at: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query!(
        "insert into used_assertions (client_id, connection_id, digest, expires_at) values ($1, $2, $3, $4)
         on conflict on constraint used_assertions_pkey do nothing",
        client.uuid(),
        connection.uuid(),
        digest,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a group of records in one transaction of its own.
pub async fn insert_records(db: &Db, records: &[Record]) -> Result<(), Fault> {
    let mut tx = db.begin().await?;
    insert_attempts(&mut tx, records).await?;
    insert_events(&mut tx, records).await?;
    touch_learners(&mut tx, records).await?;
    tx.commit().await?;
    Ok(())
}

fn column<'r, T>(records: &'r [Record], pick: impl Fn(&'r Record) -> T) -> Vec<T> {
    records.iter().map(pick).collect()
}

pub(super) async fn insert_attempts(conn: &mut PgConnection, records: &[Record]) -> Result<(), Fault> {
    sqlx::query!(
        r#"insert into attempts (client_id, id, connection_id, initiated_by, started_at, finished_at, outcome, code, fix_side, explanation,
                                 reference, learner_id, checks, mapping_version, mapping_outcome, claims_sealed, claims_expire_at, is_shared)
           select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[], $8::text[],
                                $9::text[], $10::text[], $11::text[], $12::uuid[], $13::jsonb[], $14::int[], $15::jsonb[], $16::bytea[], $17::timestamptz[],
                                $18::bool[])"#,
        &column(records, |r| r.client.uuid()),
        &column(records, |r| r.attempt.uuid()),
        &column(records, |r| r.connection.uuid()),
        &column(records, |r| if r.by_idp { "idp" } else { "sp" }.to_owned()),
        &column(records, |r| r.started_at),
        &column(records, |r| r.finished_at),
        &column(records, |r| if r.refusal.is_none() { "succeeded" } else { "refused" }.to_owned()),
        &column(records, |r| r.refusal.as_ref().map(|refusal| refusal.code.to_owned())) as &[Option<String>],
        &column(records, |r| r.refusal.as_ref().map(|refusal| refusal.side.to_owned())) as &[Option<String>],
        &column(records, |r| r.refusal.as_ref().map(|refusal| refusal.explanation.clone())) as &[Option<String>],
        &column(records, |r| r.reference.clone()),
        &column(records, |r| r.learner.map(|learner| learner.uuid())) as &[Option<Uuid>],
        &column(records, |r| r.checks.clone()),
        &column(records, |r| r.mapping_version) as &[Option<i32>],
        &column(records, |r| r.mapping_outcome.clone()) as &[Option<Value>],
        &column(records, |r| r.claims_sealed.clone()) as &[Option<Vec<u8>>],
        &column(records, |r| r.claims_expire_at) as &[Option<DateTime<Utc>>],
        &column(records, |r| r.is_shared),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn insert_events(conn: &mut PgConnection, records: &[Record]) -> Result<(), Fault> {
    sqlx::query!(
        "insert into audit_events (client_id, id, at, action, actor_kind, actor_id, target, reason, reference)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])",
        &column(records, |r| r.client.uuid()),
        &column(records, |r| r.event.uuid()),
        &column(records, |r| r.finished_at),
        &column(records, |r| if r.refusal.is_none() { "sign_in.succeeded" } else { "sign_in.refused" }.to_owned()),
        &column(records, |_| "idp".to_owned()),
        &column(records, |r| r.connection.to_string()),
        &column(records, |r| r.learner.map_or_else(|| r.attempt.to_string(), |learner| learner.to_string())),
        &column(records, |r| r.refusal.as_ref().map(|refusal| refusal.code.to_owned())) as &[Option<String>],
        &column(records, |r| r.reference.clone()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Learners whom somebody else is writing to are passed over: their last login is that writer's to tell, and nobody
/// waits in a circle.
async fn touch_learners(conn: &mut PgConnection, records: &[Record]) -> Result<(), Fault> {
    let signed_in: Vec<&Record> = records.iter().filter(|record| record.is_sign_in()).collect();
    if signed_in.is_empty() {
        return Ok(());
    }
    let clients: Vec<Uuid> = signed_in.iter().map(|record| record.client.uuid()).collect();
    let learners: Vec<Uuid> =
        signed_in.iter().filter_map(|record| record.learner).map(|learner| learner.uuid()).collect();
    let times: Vec<DateTime<Utc>> = signed_in.iter().map(|record| record.finished_at).collect();
    sqlx::query!(
        "with told as (
            select client_id, id, max(at) as at from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as told (client_id, id, at) group by 1, 2
         ), free as (
            select l.client_id, l.id, told.at from told join learners l on l.client_id = told.client_id and l.id = told.id
            order by 1, 2 for no key update of l skip locked
         )
         update learners l set last_login_at = free.at from free where l.client_id = free.client_id and l.id = free.id",
        &clients,
        &learners,
        &times,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The sealed claims of an attempt of this connection, and whose it is: the owner's, or a client's that the connection
/// serves. Without `with_shared`, attempts of when the connection served several clients are none: their claims may be
/// other clients' people's. The inner `None` where it has none any more.
pub async fn sealed_claims(
    conn: &mut PgConnection,
    owner: ClientId,
    connection: ConnectionId,
    attempt: AttemptId,
    with_shared: bool,
) -> Result<Option<(ClientId, Option<Vec<u8>>)>, Fault> {
    let found = sqlx::query!(
        r#"select client_id as "client: ClientId", claims_sealed from attempts
           where client_id in (select $1 union all
                               select client_id from connection_clients where owner_id = $1 and connection_id = $3)
             and id = $2 and connection_id = $3 and ($4 or not is_shared)"#,
        owner.uuid(),
        attempt.uuid(),
        connection.uuid(),
        with_shared,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|row| (row.client, row.claims_sealed)))
}
