//! The one spelling of an e-mail domain, and which connection an e-mail leads to.

use super::model::ConnectionSummary;
use crate::claims::email_domain;

/// Gives a domain in lower case and IDNA ASCII; nothing for what is not an organisation's own domain: a bare public
/// suffix, an IP address, a wildcard, a single label.
pub fn normalise(text: &str) -> Option<String> {
    let ascii = email_domain(&format!("x@{}", text.trim()))?;
    let is_address = ascii.parse::<std::net::Ipv4Addr>().is_ok();
    let is_below_a_suffix = psl::domain(ascii.as_bytes()).is_some();
    (ascii.len() <= 253 && !is_address && is_below_a_suffix).then_some(ascii)
}

/// The connections that an e-mail may use: those that name its domain, exactly; else, where the client has a single
/// active connection and that one names no domain, this one.
pub fn route(active: Vec<ConnectionSummary>, email: &str) -> Vec<ConnectionSummary> {
    let Some(domain) = email_domain(email.trim()) else {
        return Vec::new();
    };
    if let [only] = active.as_slice()
        && only.domains.is_empty()
    {
        return active;
    }
    active.into_iter().filter(|connection| connection.domains.contains(&domain)).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        claims::{Preset, Protocol},
        ids::ConnectionId,
    };

    fn connection(number: u128, domains: &[&str]) -> ConnectionSummary {
        ConnectionSummary {
            id: ConnectionId::from(Uuid::from_u128(number)),
            name: number.to_string(),
            protocol: Protocol::Saml,
            preset: Preset::Generic,
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        }
    }

    fn routed(active: Vec<ConnectionSummary>, email: &str) -> Vec<String> {
        route(active, email).into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_domain_has_one_spelling() {
        assert_eq!(normalise(" Bücher.Example ").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(normalise("ACME.co.uk").as_deref(), Some("acme.co.uk"));
    }

    #[test]
    fn what_is_not_an_organisations_own_domain_is_refused() {
        for text in [
            "",
            "acme",
            "co.uk",
            "com",
            "*.acme.example",
            "10.0.0.1",
            "acme.example.",
            "a@acme.example",
            "acme .example",
            ".acme.example",
        ] {
            assert_eq!(normalise(text), None, "{text}");
        }
    }

    #[test]
    fn an_email_leads_to_the_connection_that_names_its_exact_domain() {
        let all = || vec![connection(1, &["acme.example"]), connection(2, &["eu.acme.example"]), connection(3, &[])];
        assert_eq!(routed(all(), "ann@ACME.example"), ["1"]);
        assert_eq!(routed(all(), "ann@eu.acme.example"), ["2"]);
        assert!(routed(all(), "ann@sub.eu.acme.example").is_empty());
        assert!(routed(all(), "ann@notacme.example").is_empty());
        assert!(routed(all(), "not an address").is_empty());
    }

    #[test]
    fn a_connection_without_domains_takes_everybody_only_when_it_is_the_only_one() {
        assert_eq!(routed(vec![connection(1, &[])], "ann@any.example"), ["1"]);
        assert!(routed(vec![connection(1, &[]), connection(2, &["acme.example"])], "ann@any.example").is_empty());
        assert!(routed(vec![connection(1, &["acme.example"])], "ann@any.example").is_empty());
    }
}
