//! What a verifier proved of a person: the narrow waist between the protocols and provisioning.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{
    oidc::VerifiedOidc,
    reason::Reason,
    saml::{NameId, VerifiedAssertion},
    trail::FixSide,
};
use crate::{
    claims::{Claims, ClaimsError},
    crypto::Sealer,
    entropy::Entropy,
    fault::Fault,
    http::BrowserKey,
    ids::{ClientId, ConnectionId},
    sessions::{IdpSession, StartedBy},
};

/// An identity that one of the two verifiers proved. Only what they return can be made into one.
#[derive(Debug, Clone)]
pub struct VerifiedIdentity {
    connection: ConnectionId,
    issuer: String,
    subject: String,
    claims: Claims,
    authn_time: Option<DateTime<Utc>>,
    issued_at: DateTime<Utc>,
    idp_session: Option<String>,
    idp_session_ends_at: Option<DateTime<Utc>>,
    hint: Option<LogoutHint>,
}

/// What a request to end the identity provider's session has to name. Kept sealed with the session.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogoutHint {
    /// SAML core 3.7.1: the NameID as it came, and the SessionIndex.
    Saml { name_id: NameId, session_index: Option<String> },
    /// OpenID Connect RP-Initiated Logout 1.0, section 2: `id_token_hint`.
    Oidc { id_token: String },
}

/// Prints nothing of the person.
impl fmt::Debug for LogoutHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogoutHint")
    }
}

/// The longest ID token that is kept for the logout: it travels in an address then, which servers cut at about 8 KB.
const LONGEST_HINT: usize = 6 << 10;

/// The claims of an attempt as they are sealed with its record, for a dry run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedClaims {
    pub subject: String,
    pub claims: Claims,
}

impl VerifiedIdentity {
    /// From an assertion that passed every check.
    pub fn from_saml(connection: ConnectionId, assertion: VerifiedAssertion) -> Result<Self, Reason> {
        let mut claims = Claims::new();
        for attribute in &assertion.attributes {
            // The same Name may come several times; its values add up. A name without values is there and empty.
            add(&mut claims, &attribute.name, &attribute.values)?;
            if let Some(friendly) = &attribute.friendly_name {
                claims.alias(friendly, &attribute.name).map_err(too_much)?;
            }
        }
        if let Some(name_id) = &assertion.name_id {
            add(&mut claims, "NameID", std::slice::from_ref(&name_id.value))?;
        }
        Ok(Self {
            connection,
            issuer: assertion.issuer,
            subject: assertion.subject,
            claims,
            authn_time: Some(assertion.authn_instant),
            issued_at: assertion.issue_instant,
            hint: assertion
                .name_id
                .map(|name_id| LogoutHint::Saml { name_id, session_index: assertion.session_index.clone() }),
            idp_session: assertion.session_index,
            idp_session_ends_at: assertion.session_not_on_or_after,
        })
    }

    /// From an ID token, and userinfo where asked for, that passed every check.
    pub fn from_oidc(connection: ConnectionId, verified: VerifiedOidc) -> Self {
        Self {
            connection,
            authn_time: verified.auth_time(),
            idp_session: verified.sid().map(str::to_owned),
            issuer: verified.issuer().to_owned(),
            subject: verified.subject().to_owned(),
            issued_at: verified.issued_at(),
            hint: Some(verified.id_token().expose_secret())
                .filter(|token| token.len() <= LONGEST_HINT)
                .map(|token| LogoutHint::Oidc { id_token: token.to_owned() }),
            claims: verified.into_claims(),
            idp_session_ends_at: None,
        }
    }

    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The IdP's entity ID or issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// NameID or `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// When the person last proved themselves to the IdP, where it says so.
    pub const fn authn_time(&self) -> Option<DateTime<Utc>> {
        self.authn_time
    }

    /// SAML `SessionIndex`, OIDC `sid`.
    pub fn idp_session(&self) -> Option<&str> {
        self.idp_session.as_deref()
    }

    /// When the IdP wants our session over at the latest (SAML `SessionNotOnOrAfter`).
    pub const fn idp_session_ends_at(&self) -> Option<DateTime<Utc>> {
        self.idp_session_ends_at
    }

    /// What is kept with the session, to end it when the identity provider does and the other way round.
    pub fn session_at_idp(
        &self,
        sealer: &Sealer,
        entropy: &Entropy,
        owner: ClientId,
        browser: Option<&BrowserKey>,
    ) -> Result<IdpSession, Fault> {
        let hint = self.hint.as_ref().map(|hint| serde_json::to_vec(hint).map(Zeroizing::new)).transpose()?;
        let by = StartedBy {
            owner,
            connection: self.connection,
            issuer: &self.issuer,
            // SAML core 3.7.1: a logout names the NameID, also where an attribute is the subject here.
            subject: match &self.hint {
                Some(LogoutHint::Saml { name_id, .. }) => &name_id.value,
                _ => &self.subject,
            },
            session: self.idp_session(),
            browser: browser.map(|browser| browser.digest("sessions")),
            issued_at: self.issued_at,
            hint: hint.as_ref().map(|hint| hint.as_slice()),
        };
        Ok(IdpSession::seal(sealer, entropy, &by))
    }

    /// What is sealed with the attempt.
    pub fn recorded(&self) -> RecordedClaims {
        RecordedClaims { subject: self.subject.clone(), claims: self.claims.clone() }
    }
}

fn add(claims: &mut Claims, name: &str, values: &[String]) -> Result<(), Reason> {
    if claims.get(name).is_none() {
        claims.insert(name, Vec::new()).map_err(too_much)?;
    }
    values.iter().try_for_each(|value| claims.push(name, value.as_str())).map_err(too_much)
}

fn too_much(error: ClaimsError) -> Reason {
    Reason::protocol(error.code(), FixSide::Idp, error.to_string())
}
