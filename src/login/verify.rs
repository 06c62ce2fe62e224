//! Runs the SAML verifier for a connection: with its configuration and keys and nothing else, off the async threads, and
//! once more where the connection was changed elsewhere or the identity provider has a new key.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    attempt::Attempt,
    complete::fresh,
    reason::{Reason, Stop},
    saml::{self, DecryptionKey, Expectation, InResponseTo, VerifiedAssertion},
    store,
    trail::Trail,
};
use crate::{
    app::App,
    connections::{self, ConnectionFacts, KeyUse},
    fault::Fault,
};

/// After a refusal: the connection anew where it has changed since this replica read it, so that neither old keys nor old
/// settings refuse. After a signature that fits no known key the metadata is read again first.
pub(super) async fn reread(
    app: &App,
    connection: &ConnectionFacts,
    code: &'static str,
    now: DateTime<Utc>,
) -> Result<Option<Arc<ConnectionFacts>>, Stop> {
    if store::version(&app.db, connection.owner, connection.id).await? != Some(connection.version) {
        return fresh(app, connection).await.map(Some);
    }
    let is_unknown_key = matches!(code, "login.saml.signature" | "login.saml.key_kind");
    if !is_unknown_key || !connections::refresh_soon(app, connection, now).await? {
        return Ok(None);
    }
    let fresh = fresh(app, connection).await?;
    Ok((fresh.version != connection.version).then_some(fresh))
}

/// Runs the verifier on a blocking thread, with this connection's configuration and nothing else.
pub(super) async fn verify_saml(
    app: &App,
    connection: &Arc<ConnectionFacts>,
    attempt: Option<&Attempt>,
    response: Arc<[u8]>,
    now: DateTime<Utc>,
) -> Result<(Result<VerifiedAssertion, Reason>, Trail), Stop> {
    if connection.is_metadata_expired(now) {
        return Ok((Err(Reason::metadata_expired()), Trail::new()));
    }
    if connection.saml.is_none() {
        return Ok((Err(Reason::connection_closed()), Trail::new()));
    }
    let decryption_keys = match memmem(&response, b"EncryptedAssertion") {
        true => decryption_keys(app, connection).await?,
        false => Vec::new(),
    };
    let (sp_entity_id, acs_url) = (
        connections::urls::entity_id(&app.settings, connection.id),
        connections::urls::acs(&app.settings, connection.id),
    );
    let connection = connection.clone();
    let request_id = attempt.map(|attempt| attempt.request_id.clone().unwrap_or_default());
    let started_at = attempt.map(|attempt| attempt.started_at);
    let work = move || {
        let mut trail = Trail::new();
        let Some(facts) = &connection.saml else { return (Err(Reason::connection_closed()), trail) };
        let expectation = Expectation {
            idp_entity_id: &facts.idp.entity_id,
            certificates: facts.certificates(),
            allow_sha1: facts.config.allow_sha1,
            allow_cbc_unsigned_response: facts.config.allow_cbc_unsigned_response,
            sp_entity_id: &sp_entity_id,
            acs_url: &acs_url,
            in_response_to: request_id.as_deref().map_or(InResponseTo::Unsolicited, InResponseTo::Request),
            requested_authn_context: &facts.config.requested_authn_context,
            authn_not_before: started_at.filter(|_| facts.config.force_authn),
            subject_attribute: facts.config.subject_attribute.as_deref(),
            decryption_keys: &decryption_keys,
            clock_skew: connection.clock_skew,
            now,
        };
        let outcome = saml::verify_response(&response, &expectation, &mut trail);
        (outcome.map_err(|error| Reason::protocol(error.code(), error.fix_side(), error.to_string())), trail)
    };
    Ok(app.verify.run(work).await?)
}

fn memmem(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub(super) async fn decryption_keys(app: &App, connection: &ConnectionFacts) -> Result<Vec<DecryptionKey>, Fault> {
    let keys = connections::sp_keys(app, connection, KeyUse::Encryption).await?;
    keys.iter()
        .map(|key| {
            DecryptionKey::from_pem(&key.private_key_pem()?).map_err(|_| Fault::Corrupt("a decryption key".into()))
        })
        .collect()
}
