//! What a sign-in relies on of a connection: parsed and compiled once, shared by every request of the replica.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{
    discovery::Provider,
    model::{IdpInitiated, Jit, Status},
    saml_metadata::{IdpMetadata, TrustedCertificate},
    settings::{OidcSettings, SamlSettings},
    store::FactsRow,
};
use crate::{
    app::App,
    claims::{CompiledMapping, Mapping, Protocol},
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// What one compiled pattern counts for in the cache.
const PATTERN_WEIGHT: usize = 256 << 10;

/// A connection as a sign-in sees it. May be stale: compare `version` with what PostgreSQL says.
#[derive(Debug)]
pub struct ConnectionFacts {
    pub id: ConnectionId,
    /// The client that it belongs to; whom it signs people in to is asked of [`Self::serves`].
    pub owner: ClientId,
    /// The clients that the mapping may choose from; empty when it serves its owner alone.
    pub clients: Vec<ClientId>,
    pub name: String,
    pub protocol: Protocol,
    pub status: Status,
    pub idp_initiated: IdpInitiated,
    /// There when the protocol is SAML and the IdP's metadata is known.
    pub saml: Option<SamlFacts>,
    /// There when the protocol is OpenID Connect and the provider's discovery document is known.
    pub oidc: Option<OidcFacts>,
    pub domains: Vec<String>,
    /// The verified domains of the client must be asked again at use: a vouch may have been withdrawn.
    pub trusted_domains: Vec<String>,
    pub clock_skew: chrono::Duration,
    pub jit: Jit,
    pub mapping: Arc<CompiledMapping>,
    pub mapping_version: i32,
    /// When the IdP's metadata ends. Past it nobody is let in: SAML Metadata 2.0, 2.3.2, validUntil.
    pub idp_valid_until: Option<DateTime<Utc>>,
    pub version: i64,
    weight: u32,
}

/// A SAML identity provider, and how to speak to it.
#[derive(Debug)]
pub struct SamlFacts {
    pub config: SamlSettings,
    pub idp: IdpMetadata,
}

/// An OpenID provider, and how to speak to it.
#[derive(Debug)]
pub struct OidcFacts {
    pub config: OidcSettings,
    /// The discovery document as last read.
    pub discovery: Arc<Provider>,
    secret_sealed: Option<Vec<u8>>,
    place: String,
}

impl OidcFacts {
    /// Opens the client secret, where the connection has one.
    pub fn client_secret(&self, app: &App) -> Result<Option<SecretString>, Fault> {
        self.secret_sealed.as_ref().map(|sealed| open_secret(app, &self.place, sealed)).transpose()
    }
}

/// Where a connection's client secret is sealed for.
pub(super) fn secret_place(client: ClientId, connection: ConnectionId) -> String {
    format!("connections.secret:{client}:{connection}")
}

fn open_secret(app: &App, place: &str, sealed: &[u8]) -> Result<SecretString, Fault> {
    let plain = app.sealer.open(place, sealed)?;
    let text = Zeroizing::new(String::from_utf8(plain.to_vec()).map_err(|_| corrupt("a client secret"))?);
    Ok(SecretString::from(text.as_str()))
}

impl ConnectionFacts {
    /// Whether the IdP's metadata has ended, so that its keys must not be trusted any more.
    pub fn is_metadata_expired(&self, now: DateTime<Utc>) -> bool {
        self.idp_valid_until.is_some_and(|until| now >= until)
    }

    /// Whether it serves several clients, among which its mapping chooses.
    pub const fn is_shared(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Whether it signs people in to this client.
    pub fn serves(&self, client: ClientId) -> bool {
        if self.is_shared() { self.clients.contains(&client) } else { self.owner == client }
    }

    /// About how many bytes it takes in memory.
    pub(super) const fn weight(&self) -> u32 {
        self.weight
    }

    /// Reads a stored row: no query, no private key.
    pub(super) fn read(row: FactsRow) -> Result<Self, Fault> {
        // Estimated: a compiled mapping takes about eight times its JSON, parsed metadata and certificates three times theirs.
        let rules = row.rules.to_string();
        // A compiled pattern may be far larger than its text.
        let stored = rules.len() * 8
            + rules.matches("\"matches\"").count() * PATTERN_WEIGHT
            + row.idp.as_ref().map_or(0, |idp| idp.to_string().len()) * 3
            + row.config.to_string().len() * 2
            + row.clients.len() * size_of::<ClientId>();
        let mapping = Mapping::parse(&row.rules).and_then(|mapping| mapping.compile());
        let mapping = mapping.map_err(|_| corrupt("a mapping"))?;
        let (mut saml, mut oidc) = (None, None);
        match (row.protocol, row.idp) {
            (Protocol::Saml, Some(idp)) => saml = Some(SamlFacts::read(row.config, idp)?),
            (Protocol::Oidc, Some(discovery)) => {
                let config = serde_json::from_value(row.config)?;
                let discovery = Arc::new(serde_json::from_value(discovery)?);
                let place = secret_place(row.owner, row.id);
                oidc = Some(OidcFacts { config, discovery, secret_sealed: row.secret_sealed, place });
            }
            (_, None) => {}
        }
        Ok(Self {
            id: row.id,
            owner: row.owner,
            clients: row.clients,
            name: row.name,
            protocol: row.protocol,
            status: row.status,
            idp_initiated: row.idp_initiated,
            saml,
            oidc,
            domains: row.domains,
            trusted_domains: row.trusted_domains,
            clock_skew: chrono::Duration::seconds(i64::from(row.clock_skew_s)),
            jit: row.jit,
            mapping: Arc::new(mapping),
            mapping_version: row.mapping_version,
            idp_valid_until: row.idp_valid_until,
            version: row.version,
            weight: u32::try_from(stored + 1024).unwrap_or(u32::MAX),
        })
    }
}

impl SamlFacts {
    /// The keys that signatures are verified with; never none.
    pub fn certificates(&self) -> &[TrustedCertificate] {
        &self.idp.certificates
    }

    fn read(config: serde_json::Value, idp: serde_json::Value) -> Result<Self, Fault> {
        let facts = Self { config: serde_json::from_value(config)?, idp: serde_json::from_value(idp)? };
        // Without a certificate everything would have to be refused; such metadata is never saved.
        if facts.certificates().is_empty() { Err(corrupt("metadata without a certificate")) } else { Ok(facts) }
    }
}

fn corrupt(what: &str) -> Fault {
    Fault::Corrupt(format!("{what} of a connection does not read"))
}
