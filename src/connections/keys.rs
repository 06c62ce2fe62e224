//! Our own keys of a connection: made before its transaction opens, kept sealed, opened when something is signed or
//! decrypted.
//!
//! A SAML connection has one to sign requests and one that the IdP encrypts for. An OpenID Connect connection has a
//! signing key when it uses `private_key_jwt`: RS256, since every provider should offer it (OpenID Connect Discovery
//! 1.0, 3: "servers SHOULD support RS256") and RFC 7518 recommends it, while ES256 is missing from several products.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use openssl::{
    pkey::{PKey, Private},
    x509::X509,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    facts::ConnectionFacts,
    key_pair::KeyPair,
    model::words,
    store_keys::{self, KeyRow},
};
use crate::{
    app::App,
    fault::Fault,
    ids::{ConnectionId, KeyId},
};

words! {
    /// What a key of ours is for.
    KeyUse {
        Signing = "signing",
        Encryption = "encryption",
    }
}

words! {
    /// Where a key stands in its life.
    KeyState {
        /// Published, not used yet.
        Next = "next",
        Current = "current",
        /// Used no more; still published for what was signed by it, and still opens what was encrypted for it.
        Retired = "retired",
    }
}

/// A key of ours, opened.
#[derive(Clone)]
pub struct SpKey {
    pub id: KeyId,
    pub key_use: KeyUse,
    pub state: KeyState,
    pub certificate_pem: String,
    pub private_key: PKey<Private>,
}

impl SpKey {
    /// The private key as PKCS #8 PEM.
    pub fn private_key_pem(&self) -> Result<Zeroizing<String>, Fault> {
        let pem = self.private_key.private_key_to_pem_pkcs8().map_err(|_| unreadable())?;
        String::from_utf8(pem).map(Zeroizing::new).map_err(|_| unreadable())
    }
}

impl fmt::Debug for SpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpKey").field("id", &self.id).field("use", &self.key_use).finish_non_exhaustive()
    }
}

/// A key that was made and sealed, on its way into the database.
pub struct NewKey {
    pub id: KeyId,
    pub key_use: KeyUse,
    pub certificate_pem: String,
    pub private_key_sealed: Vec<u8>,
    pub not_after: DateTime<Utc>,
}

/// Makes the keys for these uses, off the async threads. To be called before a transaction is opened.
pub(super) async fn make(
    app: &App,
    connection: ConnectionId,
    uses: &[KeyUse],
    now: DateTime<Utc>,
) -> Result<Vec<NewKey>, Fault> {
    let mut made = Vec::with_capacity(uses.len());
    for &key_use in uses {
        let permit = app.connections.making_keys().acquire().await.map_err(|_| Fault::Busy("making keys"))?;
        let (name, serial) = (format!("{connection} {}", key_use.as_str()), app.entropy.bytes());
        let pair = tokio::task::spawn_blocking(move || KeyPair::generate(&name, serial, now)).await;
        drop(permit);
        let pair = pair.map_err(|_| Fault::Busy("making keys"))?.map_err(|error| Fault::Corrupt(error.to_string()))?;
        let id: KeyId = app.entropy.id(now);
        let private_key_sealed = app.sealer.seal(&app.entropy, &place(connection, id), &pair.private_key_pem);
        made.push(NewKey {
            id,
            key_use,
            certificate_pem: pair.certificate_pem,
            private_key_sealed,
            not_after: pair.not_after,
        });
    }
    Ok(made)
}

pub(super) fn place(connection: ConnectionId, key: KeyId) -> String {
    format!("connection_keys.private_key:{connection}:{key}")
}

/// Our keys of this connection for one use: the current one first, then the next one, then those that were used before.
/// Opened at first use and then kept with the connection in the directory.
pub async fn sp_keys(app: &App, facts: &ConnectionFacts, key_use: KeyUse) -> Result<Vec<SpKey>, Fault> {
    let all = app.connections.keys(app, facts).await?;
    Ok(all.iter().filter(|key| key.key_use == key_use).cloned().collect())
}

pub(super) async fn open_all(app: &App, facts: &ConnectionFacts) -> Result<Arc<[SpKey]>, Fault> {
    let rows = {
        let mut conn = app.db.acquire().await?;
        store_keys::keys(&mut conn, facts.owner, facts.id).await?
    };
    rows.into_iter().map(|row| open(app, facts.id, row)).collect()
}

fn open(app: &App, connection: ConnectionId, row: KeyRow) -> Result<SpKey, Fault> {
    let pem = app.sealer.open(&place(connection, row.id), &row.private_key_sealed)?;
    Ok(SpKey {
        id: row.id,
        key_use: row.key_use,
        state: row.state,
        certificate_pem: row.certificate_pem,
        private_key: PKey::private_key_from_pem(&pem).map_err(|_| unreadable())?,
    })
}

/// The public keys by which a provider checks our `private_key_jwt` assertions, as RFC 7517 has them: the next one, so that
/// it is known before it is used, the current one, and those before it until they are deleted. Nothing for a connection
/// that is not there or does not use them. Served at the connection's `jwks_uri`.
pub async fn jwks_document(app: &App, connection: ConnectionId) -> Result<Option<Value>, Fault> {
    let Some(facts) = app.connections.find(app, connection).await? else { return Ok(None) };
    if facts.oidc.is_none() {
        return Ok(None);
    }
    let rows = {
        let mut conn = app.db.acquire().await?;
        store_keys::keys(&mut conn, facts.owner, facts.id).await?
    };
    let offered = rows.iter().filter(|row| row.key_use == KeyUse::Signing);
    let keys = offered.map(jwk).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(json!({ "keys": keys })))
}

fn jwk(row: &KeyRow) -> Result<Value, Fault> {
    let certificate = X509::from_pem(row.certificate_pem.as_bytes()).map_err(|_| unreadable())?;
    let rsa = certificate.public_key().and_then(|key| key.rsa()).map_err(|_| unreadable())?;
    Ok(json!({
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": row.id.to_string(),
        "n": URL_SAFE_NO_PAD.encode(rsa.n().to_vec()),
        "e": URL_SAFE_NO_PAD.encode(rsa.e().to_vec()),
    }))
}

fn unreadable() -> Fault {
    Fault::Corrupt("a key of a connection does not read".into())
}
