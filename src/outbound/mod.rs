//! The one client for requests that somebody else's configuration sends us on: SAML metadata, OpenID discovery, keys,
//! tokens, userinfo.
//!
//! | step | rule |
//! |---|---|
//! | the URL | https, no user-info, no fragment; a literal address in any spelling is judged before anything is sent |
//! | the name | our resolver drops every address that is not public ([`address`]); what it returns is what is connected to |
//! | plain http | only if `outbound.allow_plain_http`, and then to addresses in `outbound.allowed_networks` only |
//! | redirects | none is followed: no IdP's metadata, discovery, key or token URL needs one, and each is a way inside |
//! | the answer | a time limit for the whole of it, a size limit while it streams, counted after decompression |
//!
//! Proxies named in the environment are ignored, and neither addresses nor contents are logged.

mod address;
mod error;
mod resolver;

use std::{fmt, net::IpAddr, time::Duration};

use http::{HeaderMap, header};
use reqwest::{Client, RequestBuilder, Response, redirect};
use url::{Host, Url};

use resolver::{Guarded, Reach};

pub use error::OutboundError;
pub use resolver::Lookup;

use crate::{config::OutboundSettings, fault::Fault};

const MAX_URL: usize = 2048;
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: u32 = 64 << 10;

/// An answer, read to its end within the limits.
#[derive(Clone)]
pub struct Fetched {
    pub status: u16,
    /// `max-age` of Cache-Control; zero where caching is forbidden.
    pub max_age: Option<Duration>,
    /// The media type alone, in lower case, without parameters.
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// Prints no content.
impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched").field("status", &self.status).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// The outbound client: one pool of connections for https, and one for plain http where that is allowed at all.
pub struct Outbound {
    https: (Client, Reach),
    plain: Option<(Client, Reach)>,
    max_bytes: usize,
}

impl Outbound {
    /// A client that asks the system's resolver.
    pub fn new(settings: &OutboundSettings) -> Result<Self, Fault> {
        Self::with_lookup(settings, &resolver::system_lookup())
    }

    /// A client that asks another resolver; what it answers is judged the same.
    pub fn with_lookup(settings: &OutboundSettings, lookup: &Lookup) -> Result<Self, Fault> {
        let client = |opened_only: bool| {
            let reach = Reach { opened: settings.allowed_networks.clone().into(), opened_only };
            let guarded = Guarded { lookup: lookup.clone(), reach: reach.clone() };
            let client = Client::builder()
                .dns_resolver(guarded)
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .https_only(!opened_only)
                .timeout(settings.timeout)
                .connect_timeout(settings.timeout)
                .http1_max_headers(MAX_HEADERS)
                .http2_max_header_list_size(MAX_HEADER_BYTES)
                .pool_max_idle_per_host(4)
                .pool_idle_timeout(Duration::from_secs(30))
                .user_agent(concat!("usher/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| {
                    Fault::Start(format!("the outbound client (are ca-certificates installed?): {error}"))
                })?;
            Ok::<_, Fault>((client, reach))
        };
        Ok(Self {
            https: client(false)?,
            plain: if settings.allow_plain_http { Some(client(true)?) } else { None },
            max_bytes: settings.max_bytes,
        })
    }

    /// Reads a URL and refuses what no request may be sent to, as far as that can be told without a look-up. For
    /// judging a configuration when it is saved; a request is judged again when it is made.
    pub fn judge(&self, url: &str) -> Result<Url, OutboundError> {
        self.route(url).map(|(url, _)| url)
    }

    /// Fetches a document. Any status but 2xx is an error.
    pub async fn get(&self, url: &str) -> Result<Fetched, OutboundError> {
        self.get_with(url, HeaderMap::new(), self.max_bytes).await
    }

    /// [`Outbound::get`] with headers of one's own and a limit below the configured one.
    pub async fn get_with(&self, url: &str, headers: HeaderMap, max_bytes: usize) -> Result<Fetched, OutboundError> {
        let (url, client) = self.route(url)?;
        let fetched = self.send(client.get(url).headers(headers), max_bytes).await?;
        if (200..300).contains(&fetched.status) { Ok(fetched) } else { Err(OutboundError::Status(fetched.status)) }
    }

    /// Posts a form. The answer comes back whatever its status, since a refusal's body tells why.
    pub async fn post_form(
        &self,
        url: &str,
        headers: HeaderMap,
        form: &[(&str, &str)],
        max_bytes: usize,
    ) -> Result<Fetched, OutboundError> {
        let (url, client) = self.route(url)?;
        self.send(client.post(url).headers(headers).form(form), max_bytes).await
    }

    fn route(&self, text: &str) -> Result<(Url, &Client), OutboundError> {
        if text.len() > MAX_URL {
            return Err(OutboundError::Url("is longer than 2048 characters"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(OutboundError::Url("holds a blank, a control character or a backslash"));
        }
        let url = Url::parse(text).map_err(|_| OutboundError::Url("does not read as a URL"))?;
        let (client, reach) = match (url.scheme(), &self.plain) {
            ("https", _) => &self.https,
            ("http", Some(plain)) => plain,
            _ => return Err(OutboundError::NotHttps),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::Url("names a user or a password"));
        }
        if url.fragment().is_some() {
            return Err(OutboundError::Url("has a fragment"));
        }
        // Octal, hexadecimal and shortened spellings have become one by now (WHATWG URL, host parsing). The connector
        // asks no resolver about a literal address, so that it is judged here.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(OutboundError::Url("names no host")),
        };
        if literal.is_some_and(|address| !reach.permits(address)) {
            return Err(OutboundError::AddressRefused);
        }
        Ok((url, client))
    }

    async fn send(&self, request: RequestBuilder, max_bytes: usize) -> Result<Fetched, OutboundError> {
        let max_bytes = max_bytes.min(self.max_bytes);
        let mut response = request.send().await?;
        // Counts what arrives, decompressed: Content-Length is only a claim, and of the compressed form at that.
        if response.content_length().is_some_and(|length| length > max_bytes as u64) {
            return Err(OutboundError::TooLarge);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > max_bytes {
                return Err(OutboundError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched {
            status: response.status().as_u16(),
            max_age: max_age(&response),
            content_type: content_type(&response),
            body,
        })
    }
}

/// How long the answer may be kept (RFC 9111, section 5.2.2).
fn max_age(response: &Response) -> Option<Duration> {
    let directives = response.headers().get(header::CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let mut found = None;
    for directive in directives.split(',').map(str::trim) {
        match directive.split_once('=') {
            None if matches!(directive, "no-store" | "no-cache") => return Some(Duration::ZERO),
            Some(("max-age", seconds)) => {
                found = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
            }
            _ => {}
        }
    }
    found
}

fn content_type(response: &Response) -> Option<String> {
    let value = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}
