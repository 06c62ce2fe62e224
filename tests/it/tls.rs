//! The listener over TLS: HTTP/2, certificates that are replaced while it runs, and a drain that finishes what it has.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{X509, X509NameBuilder, extension::SubjectAlternativeName},
};
use reqwest::{Certificate, Client, Version};

use crate::support::App;

/// A certificate for localhost that vouches for itself, written where the settings say.
fn write_certificate(folder: &Path) -> X509 {
    write_pair(&["localhost"], &folder.join("certificate.pem"), &folder.join("key.pem"))
}

/// A certificate for these names that vouches for itself.
fn write_pair(names: &[&str], file: &Path, key_file: &Path) -> X509 {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key: PKey<Private> = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", names[0]).unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(3).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::from_str("20200101000000Z").unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_str("20991231000000Z").unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    let mut hosts = SubjectAlternativeName::new();
    for name in names {
        hosts.dns(name);
    }
    let hosts = hosts.build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(hosts).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    fs::write(key_file, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    fs::write(file, certificate.to_pem().unwrap()).unwrap();
    certificate
}

fn client(trusted: &X509) -> Client {
    let trusted = Certificate::from_pem(&trusted.to_pem().unwrap()).unwrap();
    Client::builder()
        .no_proxy()
        .tls_certs_only([trusted])
        .resolve("localhost", SocketAddr::from(([127, 0, 0, 1], 0)))
        .resolve("learn.acme.localhost", SocketAddr::from(([127, 0, 0, 1], 0)))
        .resolve("any.globex.localhost", SocketAddr::from(([127, 0, 0, 1], 0)))
        .build()
        .unwrap()
}

async fn app(folder: &Path) -> App {
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key, hosts) = (path("certificate.pem"), path("key.pem"), path("hosts"));
    fs::create_dir_all(&hosts).unwrap();
    App::with()
        .settings(move |raw| {
            raw.server.tls_certificate = Some(certificate.clone());
            raw.server.tls_key = Some(key.clone());
            raw.server.tls_hosts = Some(hosts.clone());
            raw.server.public_origin = raw.server.public_origin.replace("http://", "https://");
        })
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_speaks_http_2_over_tls_and_is_told_to_stay_with_https() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write_certificate(folder.path());
    let app = app(folder.path()).await;
    let response = client(&certificate).get(app.url("/healthz")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    assert!(response.headers().contains_key("strict-transport-security"));
    // Plain http on the same port gets no answer.
    assert!(
        Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(format!("http://{}/healthz", app.address))
            .send()
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_while_running_and_a_broken_one_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_certificate(folder.path());
    let app = app(folder.path()).await;
    let url = app.url("/healthz");
    client(&old).get(&url).send().await.unwrap();

    fs::write(folder.path().join("certificate.pem"), "broken").unwrap();
    hang_up();
    // Each client connects anew.
    client(&old).get(&url).send().await.unwrap();

    let new = write_certificate(folder.path());
    hang_up();
    let replaced = async {
        while client(&new).get(&url).send().await.is_err() {
            hang_up();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), replaced).await.expect("the new certificate is used");
    assert!(client(&old).get(&url).send().await.is_err(), "the old one is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_of_a_client_has_its_own_certificate_by_the_name_that_the_browser_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let base = write_certificate(folder.path());
    let hosts = folder.path().join("hosts");
    fs::create_dir_all(&hosts).unwrap();
    let pair = |names: &[&str], stem: &str| {
        write_pair(names, &hosts.join(format!("{stem}.crt")), &hosts.join(format!("{stem}.key")))
    };
    let acme = pair(&["learn.acme.localhost"], "acme");
    let globex = pair(&["*.globex.localhost", "globex.localhost"], "globex");
    let app = app(folder.path()).await;
    let operator = app.admin_over(client(&base)).await;
    for (slug, host) in [("acme", "learn.acme.localhost"), ("globex", "any.globex.localhost")] {
        let body = serde_json::json!({ "slug": slug, "name": format!("{slug} Learning"), "hosts": [host] });
        operator.post("/api/v1/clients", body).await.ok();
    }
    let at = |host: &str| app.url("/").replace("localhost", host);
    let (at_acme, at_globex) = (at("learn.acme.localhost"), at("any.globex.localhost"));
    let shows = async |trusted: &X509, url: &str| client(trusted).get(url).send().await.ok()?.text().await.ok();
    assert!(shows(&acme, &at_acme).await.unwrap().contains("acme Learning"));
    assert!(shows(&globex, &at_globex).await.unwrap().contains("globex Learning"));
    assert!(shows(&base, &app.url("/acme")).await.unwrap().contains("acme Learning"));
    for (other, url) in [(&base, &at_acme), (&globex, &at_acme), (&acme, &at_globex), (&acme, &app.url("/acme"))] {
        assert!(shows(other, url).await.is_none(), "{url} showed another host's certificate");
    }

    // A broken pair leaves itself and the others as they were; a new one beside it is taken.
    fs::write(hosts.join("acme.crt"), "broken").unwrap();
    let renewed = pair(&["*.globex.localhost"], "globex");
    let replaced = async {
        while shows(&renewed, &at_globex).await.is_none() {
            hang_up();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), replaced).await.expect("the new certificate is used");
    assert!(shows(&acme, &at_acme).await.is_some());

    // A folder that cannot be read for a while takes nobody's away.
    fs::rename(&hosts, folder.path().join("elsewhere")).unwrap();
    let base = write_certificate(folder.path());
    let read_again = async {
        while shows(&base, &app.url("/acme")).await.is_none() {
            hang_up();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read_again).await.expect("the base origin's is new");
    assert!(shows(&acme, &at_acme).await.is_some() && shows(&renewed, &at_globex).await.is_some());
    fs::rename(folder.path().join("elsewhere"), &hosts).unwrap();

    // What is taken away falls back to the base origin's, which is not for that name.
    fs::remove_file(hosts.join("acme.crt")).unwrap();
    let gone = async {
        while shows(&acme, &at_acme).await.is_some() {
            hang_up();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the pair is gone");
    assert!(shows(&renewed, &at_globex).await.is_some());
}

/// SIGHUP to this very process, whose gateways listen for it.
fn hang_up() {
    let process = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_says_so_first_and_ends_by_itself() {
    let app = App::with().settings(|raw| raw.server.drain_notice_s = 1).start().await;
    let probe = app.admin("");
    assert_eq!(probe.get("/readyz").await.status, 200);
    let stopping = tokio::spawn(app.stop());
    let ready = async {
        loop {
            let ready = probe.get("/readyz").await;
            if ready.status == 503 {
                return ready.json();
            }
        }
    };
    let ready = tokio::time::timeout(Duration::from_secs(1), ready).await.expect("it answers while it drains");
    assert_eq!((ready["draining"].as_bool(), ready["postgresql"].as_bool()), (Some(true), Some(true)));
    tokio::time::timeout(Duration::from_secs(10), stopping).await.expect("it ends").unwrap();
}
