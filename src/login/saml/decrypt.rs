//! Opens an encrypted assertion: AES in GCM or CBC under a key that RSA-OAEP carries, and nothing older.
//! Every failure after the algorithms are known is the same error, so that nobody can ask what was wrong inside.

use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::{
    encrypt::Decrypter,
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Padding,
    symm::{Cipher, Crypter, Mode, decrypt_aead},
};
use roxmltree::Node;
use zeroize::Zeroizing;

use super::{
    error::{SamlError, shown},
    keys::DecryptionKey,
    model::{NS_DSIG, NS_XENC, NS_XENC11, child, children, text_of},
};
use crate::connections::saml_metadata::xml::Binding;

const MAX_KEYS: usize = 8;
const TAG: usize = 16;
const GCM_IV: usize = 12;
const CBC_BLOCK: usize = 16;

/// An assertion that has been opened, with the namespaces in scope where it stood.
pub(super) struct Opened {
    pub plaintext: Zeroizing<Vec<u8>>,
    pub around: Vec<Binding>,
    pub by_cbc: bool,
}

/// Opens a `saml:EncryptedAssertion`. `cbc_allowed` is false when nothing that was verified covers the ciphertext:
/// CBC does not notice changes.
pub(super) fn open(encrypted: Node<'_, '_>, keys: &[DecryptionKey], cbc_allowed: bool) -> Result<Opened, SamlError> {
    if keys.is_empty() {
        return Err(SamlError::NoDecryptionKey);
    }
    let mut all = children(encrypted, NS_XENC, "EncryptedData");
    let (Some(data), None) = (all.next(), all.next()) else {
        return Err(SamlError::Structure("an EncryptedAssertion holds exactly one EncryptedData"));
    };
    let cipher = DataCipher::of(algorithm(data))?;
    if cipher.is_cbc() && !cbc_allowed {
        return Err(SamlError::CbcUnsigned);
    }
    let ciphertext = cipher_value(data)?;
    // Keys stand in the data's KeyInfo or beside the data; there are few of them, so each is tried rather than its
    // hint believed.
    let carried: Vec<_> =
        encrypted.descendants().filter(|n| n.has_tag_name((NS_XENC, "EncryptedKey"))).take(MAX_KEYS).collect();
    let (transports, refused): (Vec<_>, Vec<_>) =
        carried.iter().map(|k| Ok((Transport::of(*k)?, cipher_value(*k)?))).partition(Result::is_ok);
    if let (true, Some(Err(error))) = (transports.is_empty(), refused.into_iter().next()) {
        return Err(error);
    }
    let transports: Vec<(Transport, Vec<u8>)> = transports.into_iter().flatten().collect();
    let opened = transports
        .iter()
        .flat_map(|(transport, wrapped)| keys.iter().map(move |key| (transport, wrapped, key)))
        .find_map(|(transport, wrapped, key)| {
            let session = transport.unwrap(key.key(), wrapped).ok().filter(|s| s.len() == cipher.key_len())?;
            cipher.decrypt(&session, &ciphertext)
        });
    let plaintext = opened.ok_or(SamlError::Decryption)?;
    let around = encrypted
        .namespaces()
        .map(|n| (n.name().unwrap_or_default().to_owned(), n.uri().to_owned()))
        .filter(|(p, _)| p != "xml")
        .collect();
    Ok(Opened { plaintext, around, by_cbc: cipher.is_cbc() })
}

/// The fragment with the surrounding namespaces that it relies on declared on its own root, so that it stands alone;
/// exclusive canonicalization gives the same bytes either way.
pub(super) fn standing_alone(fragment: &str, needed: &[Binding]) -> String {
    let root = match fragment.split_once("?>") {
        Some((declaration, rest)) if declaration.trim_start().starts_with("<?") => rest,
        _ => fragment,
    };
    let start_tag = root.split_once('<').map_or("", |(_, tag)| tag);
    let name_length = start_tag.find([' ', '\t', '\r', '\n', '>', '/']).unwrap_or(0);
    let Some((name, rest)) = start_tag.split_at_checked(name_length).filter(|_| !needed.is_empty()) else {
        return fragment.to_owned();
    };
    let mut whole = format!("<{name}");
    for (prefix, uri) in needed {
        let colon = if prefix.is_empty() { "" } else { ":" };
        whole.push_str(&format!(" xmlns{colon}{prefix}=\"{}\"", quick_xml::escape::escape(uri.as_str())));
    }
    whole.push_str(rest);
    whole
}

#[derive(Clone, Copy)]
enum DataCipher {
    Cbc(Cipher),
    Gcm(Cipher),
}

impl DataCipher {
    fn of(algorithm: &str) -> Result<DataCipher, SamlError> {
        Ok(match algorithm {
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => DataCipher::Cbc(Cipher::aes_128_cbc()),
            "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => DataCipher::Cbc(Cipher::aes_192_cbc()),
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => DataCipher::Cbc(Cipher::aes_256_cbc()),
            "http://www.w3.org/2009/xmlenc11#aes128-gcm" => DataCipher::Gcm(Cipher::aes_128_gcm()),
            "http://www.w3.org/2009/xmlenc11#aes192-gcm" => DataCipher::Gcm(Cipher::aes_192_gcm()),
            "http://www.w3.org/2009/xmlenc11#aes256-gcm" => DataCipher::Gcm(Cipher::aes_256_gcm()),
            other => return Err(SamlError::EncryptionAlgorithm(shown(other))),
        })
    }

    fn is_cbc(self) -> bool {
        matches!(self, DataCipher::Cbc(_))
    }

    fn key_len(self) -> usize {
        match self {
            DataCipher::Cbc(cipher) | DataCipher::Gcm(cipher) => cipher.key_len(),
        }
    }

    fn decrypt(self, key: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            DataCipher::Gcm(cipher) => {
                let (iv, rest) = data.split_at_checked(GCM_IV)?;
                let (body, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
                decrypt_aead(cipher, key, Some(iv), &[], body, tag).ok().map(Zeroizing::new)
            }
            DataCipher::Cbc(cipher) => {
                let (iv, body) = data.split_at_checked(CBC_BLOCK)?;
                if body.is_empty() || body.len() % CBC_BLOCK != 0 {
                    return None;
                }
                let mut plain = unpadded(cipher, key, iv, body).ok()?;
                // The last byte alone counts; the ones before it are arbitrary (XML Encryption 5.2).
                let padding = usize::from(*plain.last()?);
                if !(1..=CBC_BLOCK).contains(&padding) {
                    return None;
                }
                let length = plain.len().checked_sub(padding)?;
                plain.truncate(length);
                Some(plain)
            }
        }
    }
}

fn unpadded(cipher: Cipher, key: &[u8], iv: &[u8], body: &[u8]) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let mut crypter = Crypter::new(cipher, Mode::Decrypt, key, Some(iv))?;
    crypter.pad(false);
    let mut plain = Zeroizing::new(vec![0; body.len() + CBC_BLOCK]);
    let written = crypter.update(body, &mut plain)?;
    plain.truncate(written);
    Ok(plain)
}

/// How the session key was wrapped: RSA-OAEP with its digest and mask digest. RSA 1.5 is not here, and must not be.
struct Transport {
    digest: MessageDigest,
    mask: MessageDigest,
}

impl Transport {
    fn of(encrypted_key: Node<'_, '_>) -> Result<Transport, SamlError> {
        let refused = |what: &str| SamlError::EncryptionAlgorithm(shown(what));
        let method = child(encrypted_key, NS_XENC, "EncryptionMethod").ok_or_else(|| refused("no key transport"))?;
        let parameter =
            |namespace, local| child(method, namespace, local).map(|n| n.attribute("Algorithm").unwrap_or_default());
        if child(method, NS_XENC, "OAEPparams").is_some_and(|p| !text_of(p).is_empty()) {
            return Err(refused("RSA-OAEP with parameters"));
        }
        let digest = match parameter(NS_DSIG, "DigestMethod") {
            None | Some("http://www.w3.org/2000/09/xmldsig#sha1") => MessageDigest::sha1(),
            Some("http://www.w3.org/2001/04/xmlenc#sha256") => MessageDigest::sha256(),
            Some("http://www.w3.org/2001/04/xmldsig-more#sha384") => MessageDigest::sha384(),
            Some("http://www.w3.org/2001/04/xmlenc#sha512") => MessageDigest::sha512(),
            Some(other) => return Err(refused(other)),
        };
        let mask = match (algorithm(encrypted_key), parameter(NS_XENC11, "MGF")) {
            // The older name fixes the mask function to SHA-1 whatever the digest is (XML Encryption 1.1, 5.5.2).
            ("http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", _) => MessageDigest::sha1(),
            ("http://www.w3.org/2009/xmlenc11#rsa-oaep", None | Some("http://www.w3.org/2009/xmlenc11#mgf1sha1")) => {
                MessageDigest::sha1()
            }
            ("http://www.w3.org/2009/xmlenc11#rsa-oaep", Some("http://www.w3.org/2009/xmlenc11#mgf1sha256")) => {
                MessageDigest::sha256()
            }
            ("http://www.w3.org/2009/xmlenc11#rsa-oaep", Some("http://www.w3.org/2009/xmlenc11#mgf1sha384")) => {
                MessageDigest::sha384()
            }
            ("http://www.w3.org/2009/xmlenc11#rsa-oaep", Some("http://www.w3.org/2009/xmlenc11#mgf1sha512")) => {
                MessageDigest::sha512()
            }
            (other, _) => return Err(refused(other)),
        };
        Ok(Transport { digest, mask })
    }

    fn unwrap(&self, key: &PKey<Private>, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut decrypter = Decrypter::new(key)?;
        decrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
        decrypter.set_rsa_oaep_md(self.digest)?;
        decrypter.set_rsa_mgf1_md(self.mask)?;
        let mut session = Zeroizing::new(vec![0; decrypter.decrypt_len(wrapped)?]);
        let length = decrypter.decrypt(wrapped, &mut session)?;
        session.truncate(length);
        Ok(session)
    }
}

fn algorithm<'a>(encrypted: Node<'a, '_>) -> &'a str {
    child(encrypted, NS_XENC, "EncryptionMethod").and_then(|m| m.attribute("Algorithm")).unwrap_or("no algorithm")
}

fn cipher_value(encrypted: Node<'_, '_>) -> Result<Vec<u8>, SamlError> {
    let value = child(encrypted, NS_XENC, "CipherData")
        .and_then(|d| child(d, NS_XENC, "CipherValue"))
        .ok_or(SamlError::Decryption)?;
    let compact: String = text_of(value).split_ascii_whitespace().collect();
    STANDARD.decode(compact).map_err(|_| SamlError::Decryption)
}
