//! One sign-in from its return to its end: what was checked, how far it came, and the record that is left of it.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use super::{
    attempt::Attempt,
    finish::Notes,
    identity::VerifiedIdentity,
    reason::Reason,
    record::{Record, RefusalRecord},
    trail::Trail,
};
use crate::{
    app::App,
    cache::{Allowance, Key},
    connections::ConnectionFacts,
    crypto::SealError,
    fault::Fault,
    http::Reference,
    ids::{AttemptId, ClientId, ConnectionId, EventId},
};

/// The longest explanation that a record keeps.
const EXPLANATION: usize = 2000;

/// A sign-in that has come back from its identity provider.
pub struct Journey {
    attempt: AttemptId,
    event: EventId,
    /// Whose record it is: the connection's owner's, until the claims have chosen a client.
    client: ClientId,
    /// Whose page shows how it ends.
    shown: ClientId,
    connection: ConnectionId,
    by_idp: bool,
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
    reference: Reference,
    pub trail: Trail,
}

/// Where the claims of an attempt are sealed for.
pub fn claims_place(client: ClientId, attempt: AttemptId) -> String {
    format!("attempts.claims:{client}:{attempt}")
}

impl Journey {
    /// Begins with the attempt that was taken, or with none where the IdP began it or nothing fitted.
    pub fn new(
        app: &App,
        connection: &ConnectionFacts,
        attempt: Option<&Attempt>,
        by_idp: bool,
        reference: Reference,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            attempt: attempt.map_or_else(|| app.entropy.id(now), |attempt| attempt.id),
            event: app.entropy.id(now),
            client: connection.owner,
            shown: attempt.and_then(|attempt| attempt.client).unwrap_or(connection.owner),
            connection: connection.id,
            by_idp,
            started_at: attempt.map_or(now, |attempt| attempt.started_at),
            now,
            reference,
            trail: Trail::new(),
        }
    }

    /// From here on it is this client's.
    pub const fn lead_to(&mut self, client: ClientId) {
        self.client = client;
        self.shown = client;
    }

    /// The record is this client's; the page stays where it began.
    pub const fn belongs_to(&mut self, client: ClientId) {
        self.client = client;
    }

    /// Whose page shows how it ends.
    pub const fn shown(&self) -> ClientId {
        self.shown
    }

    pub const fn client(&self) -> ClientId {
        self.client
    }

    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The record of its end.
    pub fn record(
        &self,
        app: &App,
        connection: &ConnectionFacts,
        identity: Option<&VerifiedIdentity>,
        notes: &Notes,
        refusal: Option<&Reason>,
    ) -> Record {
        let days = app.settings.login.claims_days;
        let sealed = identity.filter(|_| days > 0).and_then(|identity| self.seal(app, identity));
        Record {
            client: self.client,
            attempt: self.attempt,
            event: self.event,
            connection: self.connection,
            by_idp: self.by_idp,
            started_at: self.started_at,
            finished_at: self.now.max(self.started_at),
            refusal: refusal.map(|reason| RefusalRecord {
                code: reason.code,
                side: reason.side.as_str(),
                explanation: reason.explanation.chars().filter(|letter| *letter != '\0').take(EXPLANATION).collect(),
            }),
            reference: self.reference.to_string(),
            learner: notes.learner,
            checks: without_nul(serde_json::to_value(&self.trail).unwrap_or(Value::Null)),
            mapping_version: notes.outcome.is_some().then_some(connection.mapping_version),
            mapping_outcome: notes.outcome.clone().map(without_nul),
            claims_expire_at: sealed.is_some().then(|| self.now + Duration::days(i64::from(days))),
            claims_sealed: sealed,
            is_shared: connection.is_shared(),
        }
    }

    fn seal(&self, app: &App, identity: &VerifiedIdentity) -> Option<Vec<u8>> {
        let plain = serde_json::to_vec(&identity.recorded()).ok()?;
        Some(app.sealer.seal(&app.entropy, &claims_place(self.client, self.attempt), &plain))
    }

    /// Writes the record of a refusal. What nobody authenticated could be sent without end: past the configured rate it
    /// is counted and logged, and leaves no row.
    pub async fn write_refusal(
        &self,
        app: &App,
        connection: &ConnectionFacts,
        identity: Option<&VerifiedIdentity>,
        notes: &Notes,
        reason: &Reason,
    ) -> Result<(), Fault> {
        metrics::counter!("usher_sign_ins_refused", "code" => reason.code).increment(1);
        tracing::info!(
            client.id = %self.client, connection.id = %self.connection, attempt.id = %self.attempt,
            code = reason.code, reference = %self.reference, "sign-in refused"
        );
        if identity.is_none() {
            let key = Key::of_client(self.client, "refused", self.connection);
            let rate = app.settings.limits.refused_records_per_connection;
            if app.cache.allow(&key, rate).await? != Allowance::Allowed {
                metrics::counter!("usher_refused_records_left_out").increment(1);
                return Ok(());
            }
        }
        app.recorder.write(self.record(app, connection, identity, notes, Some(reason))).await
    }
}

/// PostgreSQL's jsonb holds no U+0000, and what an IdP or a mapping wrote may.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, value)| (name.replace('\0', "\u{fffd}"), without_nul(value))).collect(),
        ),
        other => other,
    }
}

/// Opens the claims of an attempt, for a dry run.
pub fn open_claims(
    app: &App,
    client: ClientId,
    attempt: AttemptId,
    sealed: &[u8],
) -> Result<super::identity::RecordedClaims, Fault> {
    let plain = app.sealer.open(&claims_place(client, attempt), sealed)?;
    serde_json::from_slice(&plain).map_err(|_| Fault::Seal(SealError::Damaged))
}
