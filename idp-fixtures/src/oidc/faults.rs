//! What may be wrong with the provider, typed, so that a test names the one thing it bends.

use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// The provider's addresses that a relying party reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Discovery,
    Jwks,
    Authorize,
    Token,
    Userinfo,
}

/// How an endpoint fails.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Answers with this status and a body that is no JSON.
    Status(u16),
    /// Answers with this status and this body.
    Body { status: u16, content_type: String, body: String },
    /// Answers rightly, after a while.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Sends a byte a second without end.
    Drip,
    /// Sends this many bytes of white space before anything else.
    Huge(usize),
    /// Sends the browser or the client elsewhere.
    Redirect(String),
}

/// How the ID token gets its signature.
#[derive(Clone, Debug, Default)]
pub enum TokenSigning {
    #[default]
    Honest,
    /// `alg: none`.
    None,
    /// HS256 keyed with the PEM text of the public key.
    Hs256WithPublicKey,
    /// HS256 keyed with the client's secret.
    Hs256WithClientSecret,
    /// By a key that is not in the JWKS, under the name of one that is.
    ForeignKey,
    /// One bit of the signature turned over.
    Corrupted,
}

/// Everything that can be wrong at once; the default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Claims of the ID token replaced, or removed (`None`): `iss`, `aud`, `exp`, `nonce`, `azp`, `at_hash`, …
    pub id_token_claims: BTreeMap<String, Option<Value>>,
    /// Members of the ID token's header replaced or removed: `kid`, `alg`, `jku`, `crit`, …
    pub id_token_header: BTreeMap<String, Option<Value>>,
    pub signing: TokenSigning,
    /// A whole ID token in place of ours; an empty one leaves the member out.
    pub id_token: Option<String>,
    /// Claims of userinfo replaced or removed.
    pub userinfo_claims: BTreeMap<String, Option<Value>>,
    /// Members of the discovery document replaced or removed.
    pub discovery: BTreeMap<String, Option<Value>>,
    /// Members of the token response replaced or removed.
    pub token_response: BTreeMap<String, Option<Value>>,
    /// Parameters of the authorization response replaced or removed: `iss`, `state`, `code`.
    pub callback: BTreeMap<String, Option<String>>,
    /// Refuses at the authorization endpoint: `error`, `error_description`.
    pub refuse: Option<(String, String)>,
    /// Gives the same code a second time (it is one-use otherwise).
    pub reusable_codes: bool,
    /// Forgets PKCE: any verifier does.
    pub ignore_pkce: bool,
    /// More keys in the JWKS than needed.
    pub decoy_keys: usize,
    /// The JWKS leaves the `kid` out.
    pub anonymous_keys: bool,
    /// Claims of a logout token replaced or removed.
    pub logout_claims: BTreeMap<String, Option<Value>>,
    /// Members of its header replaced or removed.
    pub logout_header: BTreeMap<String, Option<Value>>,
    pub logout_signing: TokenSigning,
    /// Endpoints that fail.
    pub failures: HashMap<Endpoint, Failure>,
}

impl Faults {
    /// Replaces one claim of the ID token.
    #[must_use]
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        self.id_token_claims.insert(name.to_owned(), Some(value));
        self
    }

    /// Removes one claim of the ID token.
    #[must_use]
    pub fn without_claim(mut self, name: &str) -> Self {
        self.id_token_claims.insert(name.to_owned(), None);
        self
    }

    /// Replaces one member of the ID token's header.
    #[must_use]
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.id_token_header.insert(name.to_owned(), Some(value));
        self
    }

    /// Replaces or removes a parameter of the authorization response.
    #[must_use]
    pub fn callback(mut self, name: &str, value: Option<&str>) -> Self {
        self.callback.insert(name.to_owned(), value.map(str::to_owned));
        self
    }

    /// Replaces or removes one claim of logout tokens.
    #[must_use]
    pub fn logout_claim(mut self, name: &str, value: Option<Value>) -> Self {
        self.logout_claims.insert(name.to_owned(), value);
        self
    }

    /// Makes an endpoint fail.
    #[must_use]
    pub fn failing(mut self, endpoint: Endpoint, failure: Failure) -> Self {
        self.failures.insert(endpoint, failure);
        self
    }
}

/// Replaces and removes members of an object.
pub(super) fn bend(object: &mut Map<String, Value>, changes: &BTreeMap<String, Option<Value>>) {
    for (name, value) in changes {
        match value {
            Some(value) => object.insert(name.clone(), value.clone()),
            None => object.remove(name),
        };
    }
}
