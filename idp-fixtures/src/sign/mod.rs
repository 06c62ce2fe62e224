//! Keys, XML signatures and XML encryption, as the fixture IdPs and the attack documents need them.
//!
//! | file | makes |
//! |---|---|
//! | `keys` | key pairs with certificates: good, weak, expired |
//! | `xmldsig` | enveloped signatures, and their pieces one by one for attacks |
//! | `xmlenc` | encrypted elements |

mod keys;
#[cfg(test)]
mod tests;
mod xmldsig;
mod xmlenc;

pub use keys::{KeyKind, KeyPair, shared};
pub use xmldsig::{
    ALGORITHMS, DigestAlgorithm, ENVELOPED, EXCLUSIVE_C14N, KeyInfo, Reference, SignatureAlgorithm, SignedInfo,
    Signing, canonical, digest_of, insert_signature, sign, signature_element,
};
pub use xmlenc::{DataEncryption, Encryption, KeyTransport, encrypt_element};
