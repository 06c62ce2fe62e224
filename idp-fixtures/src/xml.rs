//! Writing of XML text: escaping and random identifiers. Attack documents are composed as text, because a tree would
//! refuse to hold most of them.

use openssl::rand::rand_bytes;

/// Text safe inside an element or a double-quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    out
}

/// ` name="value"` with the value escaped, or nothing for `None`.
#[must_use]
pub fn attribute(name: &str, value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" {name}=\"{}\"", escape(value)))
}

/// An XML ID of 160 random bits: an NCName, so it begins with an underscore.
#[must_use]
pub fn random_id() -> String {
    format!("_{}", random_hex(20))
}

/// `bytes` random bytes in hexadecimal.
#[must_use]
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    rand_bytes(&mut buffer).expect("the operating system gives random bytes");
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}
