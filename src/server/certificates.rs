//! The certificates of the public listener: the base origin's, and those of clients' own hosts, chosen by the name that a
//! browser asks for (SNI). They can be replaced while running: a broken pair is told, and what it was before stays.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use openssl::x509::X509;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::ServeError;
use crate::config::TlsSettings;

/// How often certificate files are looked at; SIGHUP looks at once.
const POLL: Duration = Duration::from_secs(10);

/// A chain with its key, and the names that it is for.
#[derive(Debug, Clone)]
struct Pair {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
}

/// Every pair in use.
#[derive(Debug)]
struct Certificates {
    base: Arc<CertifiedKey>,
    /// By the path of the certificate.
    pairs: BTreeMap<PathBuf, Pair>,
    /// Lower case; `*.acme.example` for a wildcard.
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    fn new(base: Arc<CertifiedKey>, pairs: BTreeMap<PathBuf, Pair>) -> Self {
        let named = |pair: &Pair| pair.names.iter().map(|name| (name.clone(), pair.key.clone())).collect::<Vec<_>>();
        let by_name = pairs.values().flat_map(named).collect();
        Self { base, pairs, by_name }
    }

    /// The certificate of a name; a wildcard stands for one label (RFC 6125, 6.4.3). The base origin's for every other.
    fn of(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.map(str::to_ascii_lowercase).and_then(|name| {
            let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
            self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard()?))
        });
        found.unwrap_or(&self.base).clone()
    }
}

#[derive(Debug)]
struct ByName(watch::Receiver<Arc<Certificates>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().of(hello.server_name()))
    }
}

/// Reads the certificates, and keeps reading them: new ones are used for new connections.
pub(super) fn load(settings: &TlsSettings) -> Result<Arc<ServerConfig>, ServeError> {
    let unusable = |source| ServeError::Tls {
        certificate: settings.certificate.display().to_string(),
        key: settings.key.display().to_string(),
        source,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let base = read(&settings.certificate, &settings.key, &provider).map_err(unusable)?;
    let pairs = hosts(settings, &provider, &BTreeMap::new());
    let (sender, receiver) = watch::channel(Arc::new(Certificates::new(base.key, pairs)));
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unusable(io::Error::other(error)))?;
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(ByName(receiver)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio::spawn(keep_reading(settings.clone(), provider, sender));
    Ok(Arc::new(config))
}

/// One chain and its key, which must belong together.
fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> io::Result<Pair> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| io::Error::other(format!("{}: {error}", certificate.display())))?;
    let first = chain.first().ok_or_else(|| io::Error::other(format!("{} holds none", certificate.display())))?;
    let names = names(first)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| io::Error::other(format!("{}: {error}", key.display())))?;
    let key = CertifiedKey::from_der(chain, private, provider).map_err(io::Error::other)?;
    Ok(Pair { key: Arc::new(key), names })
}

/// The DNS names of a certificate, wildcards among them.
fn names(certificate: &CertificateDer<'_>) -> io::Result<Vec<String>> {
    let certificate = X509::from_der(certificate)?;
    let alternatives = certificate.subject_alt_names();
    let names = alternatives.iter().flatten().filter_map(|name| name.dnsname());
    Ok(names.map(str::to_ascii_lowercase).collect())
}

/// The pairs of clients' own hosts: `NAME.crt` with `NAME.key` beside it, by the names in the certificates. What does not
/// read stays as it was.
fn hosts(
    settings: &TlsSettings,
    provider: &CryptoProvider,
    before: &BTreeMap<PathBuf, Pair>,
) -> BTreeMap<PathBuf, Pair> {
    let Some(files) = listed(settings) else { return before.clone() };
    let mut pairs = BTreeMap::new();
    for certificate in files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "crt")) {
        let pair = match read(&certificate, &certificate.with_extension("key"), provider) {
            Ok(pair) if pair.names.is_empty() => Err(io::Error::other("it names no host")),
            read => read,
        };
        match pair {
            Ok(pair) => drop(pairs.insert(certificate, pair)),
            Err(error) => {
                let path = certificate.display();
                tracing::error!(%error, certificate = %path, "a host's certificate is not usable; what it was before stays");
                let known = before.get(&certificate).cloned();
                pairs.extend(known.map(|known| (certificate, known)));
            }
        }
    }
    pairs
}

/// The files of the folder of hosts, in order. `None` where the folder cannot be read, which takes nobody's away.
fn listed(settings: &TlsSettings) -> Option<Vec<PathBuf>> {
    let Some(folder) = &settings.hosts else { return Some(Vec::new()) };
    match fs::read_dir(folder) {
        Ok(entries) => {
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            Some(paths)
        }
        Err(error) => {
            tracing::error!(%error, folder = %folder.display(), "the certificates of hosts are not readable");
            None
        }
    }
}

async fn keep_reading(settings: TlsSettings, provider: Arc<CryptoProvider>, sender: watch::Sender<Arc<Certificates>>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::warn!("SIGHUP cannot be listened for; certificates are not read again");
        return;
    };
    let mut poll = tokio::time::interval(POLL);
    let mut seen = None;
    loop {
        let asked = tokio::select! {
            _ = poll.tick() => false,
            _ = hangup.recv() => true,
            () = sender.closed() => return,
        };
        let (settings, provider, before) = (settings.clone(), provider.clone(), sender.borrow().clone());
        let last = seen.take();
        let looked = tokio::task::spawn_blocking(move || look(&settings, &provider, &before, asked, last.as_ref()));
        let Ok((found, fresh)) = looked.await else { return };
        if let Some(fresh) = fresh {
            sender.send_replace(Arc::new(fresh));
            tracing::info!("certificates read again");
        }
        seen = Some(found);
    }
}

/// Every file that is looked at, and when it was last changed.
type Seen = Vec<(PathBuf, Option<SystemTime>)>;

fn look(
    settings: &TlsSettings,
    provider: &CryptoProvider,
    before: &Certificates,
    asked: bool,
    last: Option<&Seen>,
) -> (Seen, Option<Certificates>) {
    let modified = |path: PathBuf| {
        let changed = fs::metadata(&path).and_then(|found| found.modified()).ok();
        (path, changed)
    };
    let files =
        [settings.certificate.clone(), settings.key.clone()].into_iter().chain(listed(settings).unwrap_or_default());
    let found: Seen = files.map(modified).collect();
    // The first look comes right after they were read.
    if !asked && last.is_none_or(|last| *last == found) {
        return (found, None);
    }
    let base = match read(&settings.certificate, &settings.key, provider) {
        Ok(pair) => pair.key,
        Err(error) => {
            tracing::error!(%error, "the new certificate is not usable; the old one stays");
            before.base.clone()
        }
    };
    (found, Some(Certificates::new(base, hosts(settings, provider, &before.pairs))))
}
