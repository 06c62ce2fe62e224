//! JWS and JWKs made by OpenSSL: honest ones of every accepted algorithm, and forgeries.

use crate::sign::{KeyKind, KeyPair};
use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use openssl::{
    bn::{BigNum, BigNumContext},
    ecdsa::EcdsaSig,
    hash::{MessageDigest, hash},
    pkey::PKey,
    rsa::Padding,
    sign::{RsaPssSaltlen, Signer},
};
use serde_json::{Map, Value, json};

/// How tokens are signed by an honest provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// The kind of key that it needs.
    #[must_use]
    pub fn key_kind(self) -> KeyKind {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 => KeyKind::Rsa2048,
            Self::Es256 => KeyKind::P256,
            Self::Es384 => KeyKind::P384,
            Self::EdDsa => KeyKind::Ed25519,
        }
    }

    /// The digest whose left half is `at_hash` and `c_hash` (Core 3.1.3.6; SHA-512 for Ed25519).
    fn digest(self) -> MessageDigest {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => MessageDigest::sha256(),
            Self::Rs384 | Self::Es384 => MessageDigest::sha384(),
            Self::Rs512 | Self::EdDsa => MessageDigest::sha512(),
        }
    }

    fn sign(self, key: &KeyPair, message: &[u8]) -> Result<Vec<u8>> {
        let private = key.private_key();
        match self {
            Self::EdDsa => Ok(Signer::new_without_digest(private)?.sign_oneshot_to_vec(message)?),
            Self::Ps256 => {
                let mut signer = Signer::new(self.digest(), private)?;
                signer.set_rsa_padding(Padding::PKCS1_PSS)?;
                signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                Ok(signer.sign_oneshot_to_vec(message)?)
            }
            Self::Es256 | Self::Es384 => {
                let der = Signer::new(self.digest(), private)?.sign_oneshot_to_vec(message)?;
                let width = private.bits().div_ceil(8).cast_signed();
                let signature = EcdsaSig::from_der(&der)?;
                Ok([signature.r().to_vec_padded(width)?, signature.s().to_vec_padded(width)?].concat())
            }
            Self::Rs256 | Self::Rs384 | Self::Rs512 => {
                Ok(Signer::new(self.digest(), private)?.sign_oneshot_to_vec(message)?)
            }
        }
    }
}

/// A signing key with the name under which it is published.
#[derive(Clone, Debug)]
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub pair: KeyPair,
}

impl SigningKey {
    /// Names the key by a digest of its public half.
    pub fn new(algorithm: Algorithm, pair: KeyPair) -> Result<Self> {
        let digest = hash(MessageDigest::sha256(), pair.public_key_pem()?.as_bytes())?;
        let kid = BASE64_URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default());
        Ok(Self { kid, algorithm, pair })
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Result<Value> {
        let mut jwk = public_jwk(&self.pair)?;
        jwk.insert("kid".into(), json!(self.kid));
        jwk.insert("use".into(), json!("sig"));
        jwk.insert("alg".into(), json!(self.algorithm.name()));
        Ok(Value::Object(jwk))
    }

    /// The protected header of an honest token.
    #[must_use]
    pub fn header(&self) -> Map<String, Value> {
        let mut header = Map::new();
        header.insert("alg".into(), json!(self.algorithm.name()));
        header.insert("kid".into(), json!(self.kid));
        header.insert("typ".into(), json!("JWT"));
        header
    }

    /// A compact JWS over these claims.
    pub fn token(&self, claims: &Map<String, Value>) -> Result<String> {
        self.token_with_header(&self.header(), claims)
    }

    /// The same with any header; the key signs by its own algorithm whatever the header says.
    pub fn token_with_header(&self, header: &Map<String, Value>, claims: &Map<String, Value>) -> Result<String> {
        let input = signing_input(header, claims)?;
        let signature = self.algorithm.sign(&self.pair, input.as_bytes())?;
        Ok(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Left half of the digest of a token or code, for `at_hash` and `c_hash`.
    pub fn half_hash(&self, text: &str) -> Result<String> {
        let digest = hash(self.algorithm.digest(), text.as_bytes())?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(digest.get(..digest.len() / 2).unwrap_or_default()))
    }
}

/// A token that nobody signed (`alg: none`).
pub fn unsigned_token(claims: &Map<String, Value>) -> Result<String> {
    let header = json!({"alg": "none", "typ": "JWT"});
    let header = header.as_object().context("a literal object")?;
    Ok(format!("{}.", signing_input(header, claims)?))
}

/// A token signed by HMAC-SHA-256 with any secret, such as the text of a public key.
pub fn hmac_token(header: &Map<String, Value>, claims: &Map<String, Value>, secret: &[u8]) -> Result<String> {
    let mut header = header.clone();
    header.insert("alg".into(), json!("HS256"));
    let input = signing_input(&header, claims)?;
    let key = PKey::hmac(secret)?;
    let signature = Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(input.as_bytes())?;
    Ok(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn signing_input(header: &Map<String, Value>, claims: &Map<String, Value>) -> Result<String> {
    let part = |value: &Map<String, Value>| -> Result<String> {
        Ok(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(value)?))
    };
    Ok(format!("{}.{}", part(header)?, part(claims)?))
}

/// The public parameters of a key (RFC 7518, RFC 8037).
fn public_jwk(pair: &KeyPair) -> Result<Map<String, Value>> {
    let text = |bytes: &[u8]| json!(BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let key = pair.private_key();
    let mut jwk = Map::new();
    if let Ok(rsa) = key.rsa() {
        jwk.insert("kty".into(), json!("RSA"));
        jwk.insert("n".into(), text(&rsa.n().to_vec()));
        jwk.insert("e".into(), text(&rsa.e().to_vec()));
    } else if let Ok(elliptic) = key.ec_key() {
        let (mut x, mut y, mut context) = (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
        elliptic.public_key().affine_coordinates(elliptic.group(), &mut x, &mut y, &mut context)?;
        let width = key.bits().div_ceil(8).cast_signed();
        jwk.insert("kty".into(), json!("EC"));
        jwk.insert("crv".into(), json!(if width == 48 { "P-384" } else { "P-256" }));
        jwk.insert("x".into(), text(&x.to_vec_padded(width)?));
        jwk.insert("y".into(), text(&y.to_vec_padded(width)?));
    } else {
        jwk.insert("kty".into(), json!("OKP"));
        jwk.insert("crv".into(), json!("Ed25519"));
        jwk.insert("x".into(), text(&key.raw_public_key()?));
    }
    Ok(jwk)
}
