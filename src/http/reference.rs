//! The reference of a request, which a person can read out to support, and the address that the request came from.

use std::{
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, request::Parts},
};
use ipnet::IpNet;

/// What a person quotes and an admin searches for, such as `7KQ2-M9XR-4TDA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for Reference {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self("-".into())))
    }
}

/// The address that is counted against limits: the peer's, or what a configured proxy says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Reads the address. `X-Forwarded-For` counts only when the peer is a configured proxy, from the right, up to the
    /// first address that is not one: what stands left of it was written by whoever sent the request.
    pub fn find(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(&address));
        let mut address = peer.to_canonical();
        let hops: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for hop in hops.into_iter().rev() {
            if !is_proxy(address) {
                break;
            }
            let Some(next) = address_in(hop.trim()) else { break };
            address = next.to_canonical();
        }
        Self(address)
    }

    /// The unit that limits count by: an IPv4 address, or the /64 of an IPv6 one, which is what one subscriber holds.
    pub fn limit_unit(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        }
    }
}

impl ClientAddress {
    /// The /48 around an IPv6 address: a whole site, in which one guesser may change the /64 at will. None for IPv4.
    pub fn site(self) -> Option<IpAddr> {
        match self.0 {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 48)))),
        }
    }
}

/// The address in one entry of `X-Forwarded-For`; some proxies write its port too.
fn address_in(hop: &str) -> Option<IpAddr> {
    let plain = || hop.trim_start_matches('[').trim_end_matches(']').parse().ok();
    hop.parse::<SocketAddr>().map(|socket| socket.ip()).ok().or_else(plain)
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let found = parts.extensions.get::<Self>().copied();
        let peer = || {
            parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::from([127, 0, 0, 1]), |info| info.0.ip())
        };
        Ok(found.unwrap_or_else(|| Self(peer())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header value"));
        }
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        ClientAddress::find(peer.parse().expect("an address"), &headers, &proxies).0.to_string()
    }

    #[test]
    fn forwarded_addresses_are_believed_only_from_a_configured_proxy() {
        assert_eq!(find("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(find("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn what_the_sender_wrote_left_of_the_proxies_is_not_believed() {
        assert_eq!(find("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.0.1"]), "198.51.100.1");
        assert_eq!(find("10.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(find("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(find("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(find("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
    }

    #[test]
    fn one_subscribers_ipv6_addresses_count_as_one() {
        let unit = |text: &str| ClientAddress(text.parse().expect("an address")).limit_unit();
        assert_eq!(unit("2001:db8:1:2:3::4"), unit("2001:db8:1:2:ffff::9"));
        assert_ne!(unit("2001:db8:1:2::1"), unit("2001:db8:1:3::1"));
    }
}
