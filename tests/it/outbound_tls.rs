//! The outbound client over TLS, against a server of our own with good and bad certificates.

use std::{net::TcpListener, process::Command, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use axum_server::tls_rustls::RustlsConfig;
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use usher::{
    config::OutboundSettings,
    outbound::{Lookup, Outbound},
};

const URLS: &str = "USHER_TEST_TLS_URLS";

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

/// A certificate for a host, by an authority or (without one) an authority itself.
fn certificate(key: &PKey<Private>, name: &str, authority: Option<(&X509, &PKey<Private>)>, ends: &str) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(authority.map_or(&subject, |(issuer, _)| issuer.subject_name())).unwrap();
    builder.set_not_before(&Asn1Time::from_str("20200101000000Z").unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_str(ends).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    match authority {
        Some((issuer, _)) => {
            let alternative =
                SubjectAlternativeName::new().dns(name).build(&builder.x509v3_context(Some(issuer), None)).unwrap();
            builder.append_extension(alternative).unwrap();
        }
        None => builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap(),
    }
    builder.sign(authority.map_or(key, |(_, signer)| signer), MessageDigest::sha256()).unwrap();
    builder.build()
}

async fn serve(certificate: &X509, key: &PKey<Private>) -> u16 {
    let (chain, key) = (certificate.to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap());
    let config = RustlsConfig::from_pem(chain, key).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let routes = Router::new().route("/", get(|| async { "over TLS" }));
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(async move { server.serve(routes.into_make_service()).await });
    port
}

/// What becomes of a request to each URL; every name leads to loopback.
async fn outcomes(urls: &str) -> Vec<String> {
    let settings = OutboundSettings {
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_plain_http: false,
        timeout: Duration::from_secs(5),
        max_bytes: 1024,
    };
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Ok(vec!["127.0.0.1:0".parse().unwrap()]) }));
    let outbound = Outbound::with_lookup(&settings, &lookup).unwrap();
    let mut told = Vec::new();
    for url in urls.split(' ') {
        told.push(match outbound.get(url).await {
            Ok(fetched) => String::from_utf8(fetched.body).unwrap(),
            Err(error) => error.to_string(),
        });
    }
    told
}

/// The system's authorities are read when a process makes its client, so that the test runs itself again with an
/// authority of its own.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_of_the_right_name_authority_and_time_is_spoken_to() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Ok(urls) = std::env::var(URLS) {
        println!("<{}>", outcomes(&urls).await.join("|"));
        return;
    }
    let (authority_key, stranger_key, key) = (key(), key(), key());
    let authority = certificate(&authority_key, "Test authority", None, "20990101000000Z");
    let stranger = certificate(&stranger_key, "Strange authority", None, "20990101000000Z");
    let by = Some((&authority, &authority_key));
    let good = serve(&certificate(&key, "idp.example", by, "20990101000000Z"), &key).await;
    let expired = serve(&certificate(&key, "idp.example", by, "20210101000000Z"), &key).await;
    let strange =
        serve(&certificate(&key, "idp.example", Some((&stranger, &stranger_key)), "20990101000000Z"), &key).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.to_pem().unwrap()).unwrap();

    let urls = [("idp.example", good), ("evil.example", good), ("idp.example", expired), ("idp.example", strange)]
        .map(|(host, port)| format!("https://{host}:{port}/"));
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([
        "--exact",
        "outbound_tls::only_a_certificate_of_the_right_name_authority_and_time_is_spoken_to",
        "--nocapture",
    ]);
    again.env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR").env(URLS, urls.join(" "));
    let out = tokio::task::spawn_blocking(move || again.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let told = text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(told, _)| told.replace('|', "\n"));
    insta::assert_snapshot!(told.unwrap_or(text), @r"
    over TLS
    no TLS connection could be made: the host's certificate is for another name
    no TLS connection could be made: the host's certificate has expired
    no TLS connection could be made: the host's certificate is from an authority that is not trusted here, or its chain is incomplete
    ");
}
