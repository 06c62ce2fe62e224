//! Reads an `EntityDescriptor`, alone or one of an `EntitiesDescriptor`.

use chrono::{DateTime, Duration, Utc};
use roxmltree::{Document, Node, ParsingOptions};
use url::{Host, Url};

use super::{
    certificate::TrustedCertificate,
    model::{Binding, Endpoint, IdpMetadata, MetadataError, MetadataWarning},
    xml::{self, FormOnly, Limits},
};

const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const SHIBMD: &str = "urn:mace:shibboleth:metadata:1.0";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

/// The largest metadata document that is read.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Every response may be tried against each of them.
pub const MAX_CERTIFICATES: usize = 16;
const LIMITS: Limits = Limits {
    bytes: MAX_BYTES,
    depth: 64,
    attributes_per_tag: 64,
    elements: 100_000,
    namespaces_in_scope: 128,
    comments_allowed: true,
};
const SOON: Duration = Duration::days(30);
const MAX_ENTITY_ID_CHARS: usize = 1024;

/// Reads the metadata of one identity provider: the only one there is, or the one whose entity ID is wanted.
/// `allow_loopback_http` is for development, where an identity provider runs on this machine without TLS.
pub fn parse(
    xml: &[u8],
    now: DateTime<Utc>,
    wanted_entity_id: Option<&str>,
    allow_loopback_http: bool,
) -> Result<IdpMetadata, MetadataError> {
    let text = xml::text_of(xml, &LIMITS)?;
    xml::walk(text, &LIMITS, &[], &mut FormOnly)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: 1_000_000, ..ParsingOptions::default() };
    let tree = Document::parse_with_options(text, options).map_err(|_| MetadataError::NotMetadata)?;
    let entity = choose(&tree, wanted_entity_id)?;
    let descriptor = idp_descriptor(entity)?;
    // The nearest end counts, wherever it is said (SAML metadata 2.3.1, 2.3.2, 2.4.1).
    let levels: Vec<_> = descriptor.ancestors().filter(|n| n.is_element()).collect();
    let valid_until = earliest(&levels)?;
    if let Some(end) = valid_until.filter(|end| *end <= now) {
        return Err(MetadataError::Expired(end));
    }
    let mut warnings = Vec::new();
    if let Some(at) = valid_until.filter(|end| *end <= now + SOON) {
        warnings.push(MetadataWarning::MetadataExpiresSoon { at });
    }
    let certificates = certificates(descriptor, now, &mut warnings)?;
    let sso = endpoints(descriptor, "SingleSignOnService", allow_loopback_http)?;
    if sso.is_empty() {
        return Err(MetadataError::NoSignInAddress);
    }
    Ok(IdpMetadata {
        entity_id: entity_id(entity)?,
        sso,
        slo: endpoints(descriptor, "SingleLogoutService", allow_loopback_http)?,
        certificates,
        valid_until,
        cache_duration_s: shortest_cache(&levels)?,
        wants_signed_requests: matches!(
            descriptor.attribute("WantAuthnRequestsSigned").map(str::trim),
            Some("true" | "1")
        ),
        name_id_formats: children(descriptor, MD, "NameIDFormat").map(text_of).filter(|f| !f.is_empty()).collect(),
        scopes: scopes(descriptor),
        warnings,
    })
}

fn choose<'a, 'i>(tree: &'a Document<'i>, wanted: Option<&str>) -> Result<Node<'a, 'i>, MetadataError> {
    let root = tree.root_element();
    let entities: Vec<_> = if root.has_tag_name((MD, "EntityDescriptor")) {
        vec![root]
    } else if root.has_tag_name((MD, "EntitiesDescriptor")) {
        // Groups may nest.
        root.descendants().filter(|n| n.has_tag_name((MD, "EntityDescriptor"))).collect()
    } else {
        return Err(MetadataError::NotMetadata);
    };
    let candidates: Vec<_> = match wanted {
        Some(wanted) => entities.into_iter().filter(|e| e.attribute("entityID") == Some(wanted)).collect(),
        None if entities.len() > 1 => entities.into_iter().filter(|e| idp_descriptor(*e).is_ok()).collect(),
        None => entities,
    };
    match (candidates.as_slice(), wanted) {
        ([one], _) => Ok(*one),
        ([], Some(wanted)) => Err(MetadataError::EntityNotFound(wanted.to_owned())),
        ([], None) => Err(MetadataError::NotAnIdp),
        (several, _) => Err(MetadataError::SeveralEntities(several.len())),
    }
}

fn entity_id(entity: Node<'_, '_>) -> Result<String, MetadataError> {
    let id = entity.attribute("entityID").unwrap_or_default();
    let fits = !id.trim().is_empty()
        && id.trim() == id
        && id.chars().count() <= MAX_ENTITY_ID_CHARS
        && !id.chars().any(char::is_control);
    if fits { Ok(id.to_owned()) } else { Err(MetadataError::EntityId) }
}

fn idp_descriptor<'a, 'i>(entity: Node<'a, 'i>) -> Result<Node<'a, 'i>, MetadataError> {
    let speaks = |n: &Node<'_, '_>| {
        n.attribute("protocolSupportEnumeration")
            .is_some_and(|list| list.split_ascii_whitespace().any(|p| p == PROTOCOL))
    };
    let mut all = children(entity, MD, "IDPSSODescriptor").filter(speaks);
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(MetadataError::NotAnIdp),
    }
}

fn certificates(
    descriptor: Node<'_, '_>,
    now: DateTime<Utc>,
    warnings: &mut Vec<MetadataWarning>,
) -> Result<Vec<TrustedCertificate>, MetadataError> {
    let mut found: Vec<TrustedCertificate> = Vec::new();
    let signing =
        children(descriptor, MD, "KeyDescriptor").filter(|k| matches!(k.attribute("use"), None | Some("signing")));
    for node in signing.flat_map(|k| k.descendants()).filter(|n| n.has_tag_name((DSIG, "X509Certificate"))) {
        match TrustedCertificate::from_text(&text_of(node)) {
            Ok(certificate) if found.contains(&certificate) => {}
            Ok(certificate) => found.push(certificate),
            Err(_) => warnings.push(MetadataWarning::CertificateUnreadable),
        }
        if found.len() > MAX_CERTIFICATES {
            return Err(MetadataError::TooManyCertificates(MAX_CERTIFICATES));
        }
    }
    warnings.extend(found.iter().filter_map(|certificate| warning(certificate, now)));
    if found.iter().all(TrustedCertificate::is_weak) { Err(MetadataError::NoCertificate) } else { Ok(found) }
}

fn warning(certificate: &TrustedCertificate, now: DateTime<Utc>) -> Option<MetadataWarning> {
    let (subject, fingerprint_sha256) = (certificate.subject().to_owned(), certificate.fingerprint_sha256().to_owned());
    let at = certificate.not_after();
    if certificate.is_weak() {
        Some(MetadataWarning::CertificateUnusable { subject, fingerprint_sha256 })
    } else if certificate.is_expired(now) {
        Some(MetadataWarning::CertificateExpired { subject, fingerprint_sha256, at })
    } else if certificate.is_expired(now + SOON) {
        Some(MetadataWarning::CertificateExpiresSoon { subject, fingerprint_sha256, at })
    } else {
        None
    }
}

fn endpoints(
    descriptor: Node<'_, '_>,
    local: &'static str,
    allow_loopback_http: bool,
) -> Result<Vec<Endpoint>, MetadataError> {
    let mut found = Vec::new();
    for node in children(descriptor, MD, local) {
        let binding = match node.attribute("Binding") {
            Some("urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect") => Binding::Redirect,
            Some("urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST") => Binding::Post,
            _ => continue,
        };
        let location = address(node.attribute("Location").unwrap_or_default(), allow_loopback_http)?;
        let response_location =
            node.attribute("ResponseLocation").map(|l| address(l, allow_loopback_http)).transpose()?;
        found.push(Endpoint { binding, location, response_location });
    }
    Ok(found)
}

/// An address that browsers are sent to: https, without credentials or fragment.
fn address(text: &str, allow_loopback_http: bool) -> Result<String, MetadataError> {
    let refused = || MetadataError::Address(text.chars().filter(|c| !c.is_control()).take(200).collect());
    let url = Url::parse(text.trim()).map_err(|_| refused())?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(refused()),
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback && allow_loopback_http);
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if secure && plain { Ok(text.trim().to_owned()) } else { Err(refused()) }
}

fn scopes(descriptor: Node<'_, '_>) -> Vec<String> {
    let entity_extensions = descriptor.parent().into_iter().flat_map(|e| children(e, MD, "Extensions"));
    children(descriptor, MD, "Extensions")
        .chain(entity_extensions)
        .flat_map(|e| children(e, SHIBMD, "Scope"))
        .filter(|s| !matches!(s.attribute("regexp"), Some("true" | "1")))
        .map(text_of)
        .filter(|s| !s.is_empty())
        .collect()
}

fn earliest(levels: &[Node<'_, '_>]) -> Result<Option<DateTime<Utc>>, MetadataError> {
    let times = levels.iter().filter_map(|n| n.attribute("validUntil"));
    let parsed = times.map(|t| {
        DateTime::parse_from_rfc3339(t.trim())
            .map(|t| t.with_timezone(&Utc))
            .map_err(|_| MetadataError::Time("validUntil"))
    });
    Ok(parsed.collect::<Result<Vec<_>, _>>()?.into_iter().min())
}

fn shortest_cache(levels: &[Node<'_, '_>]) -> Result<Option<i64>, MetadataError> {
    let durations = levels.iter().filter_map(|n| n.attribute("cacheDuration"));
    let parsed = durations.map(|d| duration_seconds(d.trim()).ok_or(MetadataError::Time("cacheDuration")));
    Ok(parsed.collect::<Result<Vec<_>, _>>()?.into_iter().min())
}

/// An xs:duration in seconds, with years of 365 and months of 30 days, which is near enough for a cache.
pub(super) fn duration_seconds(text: &str) -> Option<i64> {
    const DAY: i64 = 86_400;
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = summed(date, &[('Y', 365 * DAY), ('M', 30 * DAY), ('D', DAY)])?;
    days.checked_add(summed(time, &[('H', 3_600), ('M', 60), ('S', 1)])?)
}

fn summed(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total = 0i64;
    for (unit, seconds) in units {
        if let Some((number, rest)) = text.split_once(*unit) {
            let whole = if *unit == 'S' { number.split_once('.').map_or(number, |(whole, _)| whole) } else { number };
            let count: u32 = whole.parse().ok()?;
            total = total.checked_add(i64::from(count).checked_mul(*seconds)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(total)
}

fn children<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    local: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |c| c.has_tag_name((namespace, local)))
}

fn text_of(node: Node<'_, '_>) -> String {
    let whole: String = node.children().filter_map(|c| if c.is_text() { c.text() } else { None }).collect();
    whole.trim().to_owned()
}
