//! Which host a request was made to.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Uri, header, uri::Authority};
use ipnet::IpNet;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A client's own host that the request was made to, in its one spelling. Set before routing, where the client's name was
/// put in front of the path; whoever serves a page checks that the host still is the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost(pub Box<str>);

/// The host name that a request was made to, lower case and without its port: what it only selects among registered names,
/// never what a link is made of. `X-Forwarded-Host` counts only when the peer is a configured proxy. `None` where the
/// request names no host, or two.
pub fn asked(peer: IpAddr, uri: &Uri, headers: &HeaderMap, proxies: &[IpNet]) -> Option<String> {
    let peer = peer.to_canonical();
    if headers.contains_key(FORWARDED_HOST) && proxies.iter().any(|network| network.contains(&peer)) {
        return only(headers, &FORWARDED_HOST);
    }
    // HTTP/2 names it in `:authority`, HTTP/1.1 in `Host` or, towards a proxy, in the target (RFC 9112, 3.2.2).
    match (uri.authority(), headers.contains_key(header::HOST)) {
        (None, _) => only(headers, &header::HOST),
        (Some(authority), false) => name(authority),
        (Some(authority), true) => name(authority).filter(|named| only(headers, &header::HOST).as_ref() == Some(named)),
    }
}

/// The host of a header that stands once.
fn only(headers: &HeaderMap, header: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    name(&value.to_str().ok()?.parse().ok()?)
}

fn name(authority: &Authority) -> Option<String> {
    let is_plain = !authority.as_str().contains('@');
    is_plain.then(|| authority.host().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(peer: &str, uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().expect("a header"), value.parse().expect("a value"));
        }
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        asked(peer.parse().expect("an address"), &uri.parse().expect("a URI"), &map, &proxies)
    }

    const ACME: &str = "learn.acme.example";

    #[test]
    fn a_host_has_one_spelling_and_no_port() {
        assert_eq!(host("203.0.113.9", "/x", &[("host", "Learn.ACME.example:8080")]).as_deref(), Some(ACME));
        assert_eq!(host("203.0.113.9", "https://learn.acme.example/x", &[]).as_deref(), Some(ACME));
        assert_eq!(host("203.0.113.9", "/x", &[("host", "[::1]:8080")]).as_deref(), Some("[::1]"));
    }

    #[test]
    fn a_request_that_names_two_hosts_or_none_names_none() {
        assert_eq!(host("203.0.113.9", "/x", &[]), None);
        assert_eq!(host("203.0.113.9", "/x", &[("host", ACME), ("host", ACME)]), None);
        assert_eq!(host("203.0.113.9", "http://usher.example/x", &[("host", ACME)]), None);
        assert_eq!(host("203.0.113.9", "/x", &[("host", "usher.example@learn.acme.example")]), None);
        assert_eq!(host("203.0.113.9", "/x", &[("host", "learn.acme.example, usher.example")]), None);
        assert_eq!(host("203.0.113.9", "/x", &[("host", "learn.acme.example/x")]), None);
    }

    #[test]
    fn a_forwarded_host_is_believed_only_from_a_configured_proxy() {
        let headers = [("host", "usher.internal"), ("x-forwarded-host", ACME)];
        assert_eq!(host("203.0.113.9", "/x", &headers).as_deref(), Some("usher.internal"));
        assert_eq!(host("10.0.0.1", "/x", &headers).as_deref(), Some(ACME));
        assert_eq!(host("::ffff:10.0.0.1", "/x", &headers).as_deref(), Some(ACME));
        assert_eq!(host("10.0.0.1", "/x", &[("host", ACME), ("x-forwarded-host", "a.example, b.example")]), None);
        assert_eq!(host("10.0.0.1", "/x", &[("x-forwarded-host", ACME), ("x-forwarded-host", ACME)]), None);
    }
}
