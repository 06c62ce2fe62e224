//! Tells that a certificate is about to end, 30, 14 and 3 days before: those by which identity providers sign, our own of
//! each connection, and those of our listeners. Each threshold is told once, in the audit trail, to the client by an
//! outgoing event, and in the log; metrics say at any time how many there are.

use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use openssl::x509::X509;
use serde_json::json;

use super::store_warnings as store;
use crate::{
    app::App,
    audit::{self, Actor, NewEvent},
    config::TlsSettings,
    connections::{KeyUse, saml_metadata::TrustedCertificate, store_certificates as stored},
    fault::Fault,
    ids::ClientId,
};

/// Days before the end, shortest first.
const THRESHOLDS: [i16; 3] = [3, 14, 30];
/// How long it is remembered what was told: longer than anybody leaves an ended certificate where it is.
const REMEMBERED: Duration = Duration::days(400);

/// What a certificate is for, as logs, events and metrics say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An identity provider signs by it.
    Idp,
    /// Ours, of a connection.
    Sp,
    /// Of a listener.
    Tls,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Idp, Self::Sp, Self::Tls];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Idp => "idp",
            Self::Sp => "sp",
            Self::Tls => "tls",
        }
    }
}

/// A certificate that ends within the longest threshold, or has ended.
struct Ending {
    kind: Kind,
    client: Option<ClientId>,
    /// The connection, or the name of a file.
    owner: String,
    certificate: String,
    key_use: Option<KeyUse>,
    ends_at: DateTime<Utc>,
    has_successor: bool,
}

/// Tells what is due and sets the metrics; says how many warnings were new.
pub async fn watch_certificates(app: &App, now: DateTime<Utc>) -> Result<usize, Fault> {
    let by = now + Duration::days(i64::from(THRESHOLDS[2]));
    let tls = app.settings.server.tls.clone();
    let listeners = tokio::task::spawn_blocking(move || read_files(tls.as_ref())).await;
    let listeners = listeners.map_err(|_| Fault::Busy("reading certificates"))?;
    let mut conn = app.acquire().await?;
    let idps = stored::of_idps(&mut conn, by).await?.into_iter().map(|ending| of(Kind::Idp, ending));
    let mut endings: Vec<Ending> = idps.collect();
    endings.extend(stored::of_ours(&mut conn, by).await?.into_iter().map(|ending| of(Kind::Sp, ending)));
    let (idp, sp) = stored::soonest(&mut conn, now).await?;
    drop(conn);
    let mut transaction = app.begin().await?;
    store::forget(&mut transaction, now - REMEMBERED).await?;
    app.commit(transaction).await?;
    let tls = listeners.iter().map(|ending| ending.ends_at).filter(|end| *end > now).min();
    endings.extend(listeners.into_iter().filter(|ending| ending.ends_at <= by));
    measure(&endings, [(Kind::Idp, idp), (Kind::Sp, sp), (Kind::Tls, tls)], now);
    let mut told = 0;
    for ending in &endings {
        told += usize::from(tell(app, ending, now).await?);
    }
    Ok(told)
}

fn of(kind: Kind, ending: stored::Ending) -> Ending {
    Ending {
        kind,
        client: Some(ending.client),
        owner: ending.connection.to_string(),
        certificate: ending.certificate,
        key_use: ending.key_use,
        ends_at: ending.ends_at,
        has_successor: ending.has_successor,
    }
}

/// The shortest threshold that its end has come into.
fn threshold(ends_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<i16> {
    THRESHOLDS.into_iter().find(|days| ends_at - now <= Duration::days(i64::from(*days)))
}

async fn tell(app: &App, ending: &Ending, now: DateTime<Utc>) -> Result<bool, Fault> {
    let Some(within) = threshold(ending.ends_at, now) else { return Ok(false) };
    let mut transaction = app.begin().await?;
    let (owner, certificate) = (&ending.owner, &ending.certificate);
    if !store::remember(&mut transaction, ending.client, owner, certificate, within, now).await? {
        return Ok(false);
    }
    let facts = json!({
        "kind": ending.kind.as_str(),
        "use": ending.key_use,
        "certificate": certificate,
        "ends_at": ending.ends_at,
        "within_days": within,
        "has_successor": ending.has_successor,
    });
    let event = NewEvent {
        client: ending.client,
        at: now,
        action: "certificate.ends_soon",
        actor: Actor::System,
        target: Some(owner.clone()),
        reason: None,
        reference: None,
        facts: facts.clone(),
        values: None,
    };
    audit::record(&mut transaction, &app.entropy, event).await?;
    if let Some(client) = ending.client {
        let mut payload = facts;
        payload["connection"] = owner.as_str().into();
        audit::announce(&mut transaction, &app.entropy, client, "certificate.ends_soon", payload, now).await?;
    }
    app.commit(transaction).await?;
    tracing::warn!(kind = ending.kind.as_str(), owner, certificate, ends_at = %ending.ends_at, within_days = within,
        has_successor = ending.has_successor, "a certificate ends soon, or has ended");
    Ok(true)
}

fn measure(endings: &[Ending], soonest: [(Kind, Option<DateTime<Utc>>); 3], now: DateTime<Utc>) {
    for kind in Kind::ALL {
        // Nought are those that have ended.
        for days in std::iter::once(0).chain(THRESHOLDS) {
            let is_within =
                |ending: &&Ending| ending.kind == kind && ending.ends_at - now <= Duration::days(i64::from(days));
            let count = endings.iter().filter(is_within).count();
            let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            metrics::gauge!("usher_certificates_expiring", "kind" => kind.as_str(), "within_days" => days.to_string())
                .set(count);
        }
    }
    for (kind, end) in soonest {
        // Seconds since 1970, to be compared with time(); endless where there is none.
        let end = end.and_then(|end| i32::try_from(end.timestamp() / 60).ok());
        metrics::gauge!("usher_certificates_first_end_seconds", "kind" => kind.as_str())
            .set(end.map_or(f64::INFINITY, |minutes| f64::from(minutes) * 60.0));
    }
}

/// The certificates of the public listener: the base origin's, and those of clients' own hosts.
fn read_files(tls: Option<&TlsSettings>) -> Vec<Ending> {
    let Some(tls) = tls else { return Vec::new() };
    let hosts = tls.hosts.as_ref().and_then(|folder| std::fs::read_dir(folder).ok());
    let hosts = hosts.into_iter().flatten().flatten().map(|entry| entry.path());
    let hosts = hosts.filter(|path| path.extension().is_some_and(|ending| ending == "crt"));
    std::iter::once(tls.certificate.clone()).chain(hosts).flat_map(|path| read_file(&path)).collect()
}

/// Every certificate of a chain. A file that does not read is the listener's to tell.
fn read_file(path: &Path) -> Vec<Ending> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let chain = std::fs::read(path).ok().and_then(|pem| X509::stack_from_pem(&pem).ok()).unwrap_or_default();
    let read = chain.iter().filter_map(|certificate| TrustedCertificate::from_der(&certificate.to_der().ok()?).ok());
    let ending = |certificate: TrustedCertificate| Ending {
        kind: Kind::Tls,
        client: None,
        owner: name.clone(),
        certificate: certificate.fingerprint_sha256().to_owned(),
        key_use: None,
        ends_at: certificate.not_after(),
        has_successor: false,
    };
    read.map(ending).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_threshold_that_was_reached_counts_and_none_before_thirty_days() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let at = |left: Duration| threshold(now + left, now);
        assert_eq!(at(Duration::days(30) + Duration::seconds(1)), None);
        assert_eq!(at(Duration::days(30)), Some(30));
        assert_eq!(at(Duration::days(14) + Duration::seconds(1)), Some(30));
        assert_eq!(
            (at(Duration::days(14)), at(Duration::days(3)), at(Duration::days(-9))),
            (Some(14), Some(3), Some(3))
        );
    }
}
