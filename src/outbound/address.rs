//! Which addresses the gateway may connect to: what is globally reachable by IANA's registries of special-purpose
//! addresses, and the networks that the operator opened.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// RFC 6890 and its registry, and one public address that answers inside a cloud only.
const REFUSED_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    // Carrier-grade NAT; Alibaba Cloud's metadata service lives here.
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    // Azure's WireServer.
    v4(168, 63, 129, 16, 32),
    // Link-local; the metadata services of most clouds.
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    // Protocol assignments; Oracle Cloud's metadata service.
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    // Relays of 6to4.
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v4(255, 255, 255, 255, 32),
];

/// The only global unicast space there is (RFC 4291, section 2.4). Loopback, unique local, link-local, multicast,
/// NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`) and IPv4-compatible addresses all lie outside it.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

/// Inside it: protocol assignments with Teredo and ORCHID, documentation twice, and 6to4, which carries an IPv4 address.
const REFUSED_V6: [Ipv6Net; 4] = [v6(0x2001, 0, 23), v6(0x2001, 0x0db8, 32), v6(0x2002, 0, 16), v6(0x3fff, 0, 20)];

/// Whether the address lies on the public Internet, by itself and not by what it may be translated to.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !REFUSED_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// Whether the operator opened the network of this address. An IPv4-mapped address counts as the IPv4 address it is.
pub(super) fn is_opened(address: IpAddr, opened: &[IpNet]) -> bool {
    let address = address.to_canonical();
    opened.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in
            ["8.8.8.8", "104.16.1.1", "172.32.0.1", "100.128.0.1", "168.63.129.17", "2606:4700::1111", "2a00:1450::1"]
        {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn addresses_that_are_not_of_the_internet_are_not() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn an_opened_network_holds_its_mapped_addresses_too_and_nothing_more() {
        let opened: [IpNet; 1] = ["127.0.0.0/8".parse().unwrap()];
        assert!(is_opened("127.0.0.1".parse().unwrap(), &opened));
        assert!(is_opened("::ffff:127.0.0.1".parse().unwrap(), &opened));
        assert!(!is_opened("::1".parse().unwrap(), &opened));
        assert!(!is_opened("10.0.0.1".parse().unwrap(), &opened));
    }
}
