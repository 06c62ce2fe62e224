//! The secret of an invite's link: 256 bits, in the mail alone. Only its hash is stored.

use crate::{crypto, entropy::Entropy};

/// The token in a link. It has no `Debug` and no `Display`: it is shown to nobody and never logged.
#[derive(Clone)]
pub struct Link(String);

impl Link {
    /// A fresh one.
    pub fn fresh(entropy: &Entropy) -> Self {
        Self(entropy.token())
    }

    /// Reads a path segment; anything but the exact form is none.
    pub fn read(text: &str) -> Option<Self> {
        let is_form =
            text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_form.then(|| Self(text.to_owned()))
    }

    /// What is stored in its place.
    pub fn hash(&self) -> [u8; 32] {
        crypto::sha256(self.0.as_bytes())
    }

    /// Where it leads, below the client's site.
    pub fn path(&self) -> String {
        format!("/invites/{}", self.0)
    }
}
