//! Why a request brought nothing, in few enough words that nothing of the other side's answer is among them.

use std::{error::Error, io};

use super::resolver::Refused;

/// Why a request brought nothing. None of them quotes what the other side sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    #[error("the URL {0}")]
    Url(&'static str),
    #[error("the URL is not https")]
    NotHttps,
    #[error("the host has no public address; an operator may open its network in outbound.allowed_networks")]
    AddressRefused,
    #[error("the host's name does not resolve")]
    Dns,
    #[error("the host refused the connection or broke it off")]
    Connect,
    #[error("no TLS connection could be made: {0}")]
    Tls(&'static str),
    #[error("the answer did not come in time")]
    Timeout,
    #[error("the answer is too large")]
    TooLarge,
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is not readable HTTP")]
    Unreadable,
}

impl OutboundError {
    /// The stable code of attempts and problem details.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "outbound.url",
            Self::NotHttps => "outbound.not_https",
            Self::AddressRefused => "outbound.address_refused",
            Self::Dns => "outbound.dns",
            Self::Connect => "outbound.connect",
            Self::Tls(_) => "outbound.tls",
            Self::Timeout => "outbound.timeout",
            Self::TooLarge => "outbound.too_large",
            Self::Status(_) => "outbound.status",
            Self::Unreadable => "outbound.unreadable",
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Dns | Self::Connect | Self::Timeout | Self::Unreadable => true,
            Self::Status(status) => *status >= 500 || *status == 429,
            Self::Url(_) | Self::NotHttps | Self::AddressRefused | Self::Tls(_) | Self::TooLarge => false,
        }
    }
}

/// Reads what the client library says; its texts go no further.
impl From<reqwest::Error> for OutboundError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            if current.is::<Refused>() {
                return Self::AddressRefused;
            }
            if let Some(tls) = current.downcast_ref() {
                return Self::Tls(tls_words(tls));
            }
            // An `io::Error` steps over what it wraps when asked for its source.
            let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| current.source());
        }
        if error.is_dns() {
            Self::Dns
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Unreadable
        }
    }
}

fn tls_words(error: &rustls::Error) -> &'static str {
    use rustls::{CertificateError as Certificate, Error as Tls};
    match error {
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the host's certificate has expired"
        }
        Tls::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "the host's certificate is not valid yet"
        }
        Tls::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "the host's certificate is for another name"
        }
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the host's certificate is from an authority that is not trusted here, or its chain is incomplete"
        }
        Tls::InvalidCertificate(_) => "the host's certificate is not acceptable",
        _ => "the handshake failed",
    }
}
