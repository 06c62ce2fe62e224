//! XML encryption of one element for one recipient: AES-CBC or AES-GCM, with the content key by RSA.

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use openssl::{
    encrypt::Encrypter,
    hash::MessageDigest,
    rand::rand_bytes,
    rsa::Padding,
    symm::{Cipher, encrypt, encrypt_aead},
    x509::X509,
};

/// The cipher of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataEncryption {
    Aes128Cbc,
    Aes192Cbc,
    Aes256Cbc,
    Aes128Gcm,
    Aes192Gcm,
    Aes256Gcm,
    /// Long broken; some old identity providers still default to it.
    TripleDesCbc,
}

impl DataEncryption {
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::Aes128Cbc => "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
            Self::Aes192Cbc => "http://www.w3.org/2001/04/xmlenc#aes192-cbc",
            Self::Aes256Cbc => "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
            Self::Aes128Gcm => "http://www.w3.org/2009/xmlenc11#aes128-gcm",
            Self::Aes192Gcm => "http://www.w3.org/2009/xmlenc11#aes192-gcm",
            Self::Aes256Gcm => "http://www.w3.org/2009/xmlenc11#aes256-gcm",
            Self::TripleDesCbc => "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
        }
    }

    fn cipher(self) -> Cipher {
        match self {
            Self::Aes128Cbc => Cipher::aes_128_cbc(),
            Self::Aes192Cbc => Cipher::aes_192_cbc(),
            Self::Aes256Cbc => Cipher::aes_256_cbc(),
            Self::Aes128Gcm => Cipher::aes_128_gcm(),
            Self::Aes192Gcm => Cipher::aes_192_gcm(),
            Self::Aes256Gcm => Cipher::aes_256_gcm(),
            Self::TripleDesCbc => Cipher::des_ede3_cbc(),
        }
    }

    fn is_gcm(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm)
    }
}

/// How the content key travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTransport {
    /// `rsa-oaep-mgf1p`: SHA-1 for digest and mask, what nearly everyone sends.
    OaepMgf1p,
    /// `rsa-oaep-mgf1p` with a SHA-256 digest beside the SHA-1 mask.
    OaepMgf1pSha256,
    /// XML Encryption 1.1 `rsa-oaep` with SHA-256 for digest and mask.
    Oaep11Sha256,
    /// PKCS #1 v1.5: open to padding oracles, to be refused.
    Rsa15,
}

impl KeyTransport {
    fn method_xml(self) -> &'static str {
        match self {
            Self::OaepMgf1p => {
                "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\">\
                 <ds:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\"/></xenc:EncryptionMethod>"
            }
            Self::OaepMgf1pSha256 => {
                "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\">\
                 <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/></xenc:EncryptionMethod>"
            }
            Self::Oaep11Sha256 => {
                "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#rsa-oaep\">\
                 <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>\
                 <xenc11:MGF xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" \
                 Algorithm=\"http://www.w3.org/2009/xmlenc11#mgf1sha256\"/></xenc:EncryptionMethod>"
            }
            Self::Rsa15 => "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-1_5\"/>",
        }
    }

    fn wrap(self, content_key: &[u8], recipient: &X509) -> Result<Vec<u8>> {
        let public_key = recipient.public_key()?;
        let mut encrypter = Encrypter::new(&public_key)?;
        match self {
            Self::Rsa15 => encrypter.set_rsa_padding(Padding::PKCS1)?,
            Self::OaepMgf1p => {
                encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
                encrypter.set_rsa_oaep_md(MessageDigest::sha1())?;
                encrypter.set_rsa_mgf1_md(MessageDigest::sha1())?;
            }
            Self::OaepMgf1pSha256 => {
                encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
                encrypter.set_rsa_oaep_md(MessageDigest::sha256())?;
                encrypter.set_rsa_mgf1_md(MessageDigest::sha1())?;
            }
            Self::Oaep11Sha256 => {
                encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
                encrypter.set_rsa_oaep_md(MessageDigest::sha256())?;
                encrypter.set_rsa_mgf1_md(MessageDigest::sha256())?;
            }
        }
        let mut wrapped = vec![0; encrypter.encrypt_len(content_key)?];
        let length = encrypter.encrypt(content_key, &mut wrapped)?;
        wrapped.truncate(length);
        Ok(wrapped)
    }
}

/// For whom and how an element is encrypted.
#[derive(Clone, Debug)]
pub struct Encryption {
    pub recipient: X509,
    pub data: DataEncryption,
    pub key_transport: KeyTransport,
    /// Whether the `EncryptedKey` stands beside the `EncryptedData` (Shibboleth) rather than in its `KeyInfo`.
    pub key_beside_data: bool,
}

impl Encryption {
    /// AES-256-GCM with RSA-OAEP, for the owner of this certificate.
    #[must_use]
    pub fn to(recipient: X509) -> Self {
        Self {
            recipient,
            data: DataEncryption::Aes256Gcm,
            key_transport: KeyTransport::OaepMgf1p,
            key_beside_data: false,
        }
    }

    /// From a certificate in base64 DER, as metadata holds it (white space is ignored).
    pub fn to_base64_certificate(certificate: &str) -> Result<Self> {
        let compact: String = certificate.split_whitespace().collect();
        let der = BASE64_STANDARD.decode(compact).context("the certificate is not base64")?;
        Ok(Self::to(X509::from_der(&der).context("the certificate is not X.509")?))
    }

    #[must_use]
    pub fn data(mut self, data: DataEncryption) -> Self {
        self.data = data;
        self
    }

    #[must_use]
    pub fn key_transport(mut self, key_transport: KeyTransport) -> Self {
        self.key_transport = key_transport;
        self
    }
}

/// `xenc:EncryptedData` (and `xenc:EncryptedKey`) in place of the plain element `xml`.
pub fn encrypt_element(xml: &str, encryption: &Encryption) -> Result<String> {
    let cipher = encryption.data.cipher();
    let content_key = random_bytes(cipher.key_len())?;
    let cipher_value = encrypt_bytes(xml.as_bytes(), encryption.data, &content_key)?;
    let wrapped = BASE64_STANDARD.encode(encryption.key_transport.wrap(&content_key, &encryption.recipient)?);
    let key_id = crate::xml::random_id();
    let encrypted_key = format!(
        "<xenc:EncryptedKey xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" Id=\"{key_id}\">{}\
         <xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>",
        encryption.key_transport.method_xml(),
    );
    let (inside, beside) = if encryption.key_beside_data {
        let retrieval =
            format!("<ds:RetrievalMethod Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\" URI=\"#{key_id}\"/>");
        (retrieval, encrypted_key)
    } else {
        (encrypted_key, String::new())
    };
    Ok(format!(
        "<xenc:EncryptedData xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" \
         Type=\"http://www.w3.org/2001/04/xmlenc#Element\"><xenc:EncryptionMethod Algorithm=\"{}\"/>\
         <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{inside}</ds:KeyInfo>\
         <xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>{beside}",
        encryption.data.uri(),
        BASE64_STANDARD.encode(cipher_value),
    ))
}

fn encrypt_bytes(plain: &[u8], method: DataEncryption, key: &[u8]) -> Result<Vec<u8>> {
    let cipher = method.cipher();
    if method.is_gcm() {
        // XML Encryption 1.1, 5.2.4: 96-bit IV, then the ciphertext, then the 128-bit tag.
        let iv = random_bytes(12)?;
        let mut tag = [0u8; 16];
        let body = encrypt_aead(cipher, key, Some(&iv), &[], plain, &mut tag)?;
        return Ok([iv, body, tag.to_vec()].concat());
    }
    let iv = random_bytes(cipher.block_size())?;
    // PKCS #7 padding is one of the paddings that XML Encryption 5.2 allows.
    let body = encrypt(cipher, key, Some(&iv), plain)?;
    Ok([iv, body].concat())
}

fn random_bytes(length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; length];
    rand_bytes(&mut bytes)?;
    Ok(bytes)
}
