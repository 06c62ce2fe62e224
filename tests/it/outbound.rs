//! The outbound client against servers that lie about where and what they are. Each attack has a twin that is let through.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use usher::{
    config::OutboundSettings,
    outbound::{Lookup, Outbound, OutboundError},
};

const LIMIT: usize = 64 << 10;

fn settings(opened: &[&str], allow_plain_http: bool) -> OutboundSettings {
    OutboundSettings {
        allowed_networks: opened.iter().map(|network| network.parse().unwrap()).collect(),
        allow_plain_http,
        timeout: Duration::from_millis(700),
        max_bytes: LIMIT,
    }
}

fn opened() -> Outbound {
    Outbound::new(&settings(&["127.0.0.0/8", "::1/128"], true)).unwrap()
}

fn closed() -> Outbound {
    Outbound::new(&settings(&[], true)).unwrap()
}

/// Answers every connection with these bytes, whole or piece by piece; counts the connections.
async fn server(address: &str, pieces: Vec<Vec<u8>>, pause: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (bound, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (pieces, counted) = (Arc::new(pieces), count.clone());
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            counted.fetch_add(1, Ordering::SeqCst);
            let pieces = pieces.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                for piece in pieces.iter() {
                    if stream.write_all(piece).await.is_err() {
                        return;
                    }
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
            });
        }
    });
    (bound, count)
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

async fn plain_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let reply = answer(
        "content-length: 2\r\ncache-control: public, Max-Age=90\r\ncontent-type: Application/JSON; charset=utf-8\r\n",
        b"{}",
    );
    server("127.0.0.1:0", vec![reply], Duration::ZERO).await
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A resolver that gives these answers in turn, whatever is asked, and counts how often it was.
fn answering(answers: &'static [&'static [&'static str]]) -> (Lookup, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let turn = counted.fetch_add(1, Ordering::SeqCst);
        let found = answers.get(turn).copied().unwrap_or_default();
        let found = found.iter().map(|text| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0)).collect();
        Box::pin(async move { Ok(found) })
    });
    (lookup, asked)
}

#[tokio::test]
async fn a_document_is_fetched_with_its_age_and_type() {
    let (address, _) = plain_server().await;
    let fetched = opened().get(&format!("http://{address}/keys")).await.unwrap();
    assert_eq!((fetched.status, fetched.body.as_slice()), (200, &b"{}"[..]));
    assert_eq!(fetched.max_age, Some(Duration::from_secs(90)));
    assert_eq!(fetched.content_type.as_deref(), Some("application/json"));
}

#[tokio::test]
async fn an_address_inside_is_refused_in_every_spelling_and_never_connected_to() {
    let (address, connections) = plain_server().await;
    let (closed, port) = (closed(), address.port());
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "0",
        "0.0.0.0",
        "[::]",
        "１２７.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ] {
        for scheme in ["http", "https"] {
            let outcome = closed.get(&format!("{scheme}://{host}:{port}/")).await;
            assert_eq!(outcome.unwrap_err(), OutboundError::AddressRefused, "{scheme}://{host}");
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    opened().get(&format!("http://0x7f000001:{port}/")).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_and_one_that_leads_to_an_opened_network_is_not() {
    let (address, connections) = plain_server().await;
    let url = format!("http://idp.example:{}/", address.port());
    for (networks, outcome) in
        [(&["10.0.0.0/8"][..], Err(OutboundError::AddressRefused)), (&["127.0.0.0/8"][..], Ok(200))]
    {
        let (lookup, _) = answering(&[&["127.0.0.1"]]);
        let outbound = Outbound::with_lookup(&settings(networks, true), &lookup).unwrap();
        assert_eq!(outbound.get(&url).await.map(|fetched| fetched.status), outcome);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_that_changes_between_two_requests_is_judged_at_each_connection() {
    let (address, connections) = plain_server().await;
    // Opened is one address only; the second answer is its neighbour, where nobody may go.
    let (lookup, asked) = answering(&[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.2", "127.0.0.1"]]);
    let outbound = Outbound::with_lookup(&settings(&["127.0.0.1/32"], true), &lookup).unwrap();
    let url = format!("http://rebinding.example:{}/", address.port());
    assert!(outbound.get(&url).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what was judged is what was connected to");
    assert_eq!(outbound.get(&url).await.unwrap_err(), OutboundError::AddressRefused);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert!(outbound.get(&url).await.is_ok(), "the refused address is dropped, the permitted one is used");
}

#[tokio::test]
async fn plain_http_goes_to_opened_networks_only_and_only_where_allowed() {
    let (address, _) = plain_server().await;
    let url = format!("http://{address}/");
    let strict = Outbound::new(&settings(&["127.0.0.0/8"], false)).unwrap();
    assert_eq!(strict.get(&url).await.unwrap_err(), OutboundError::NotHttps);
    assert!(opened().get(&url).await.is_ok());
    let (lookup, _) = answering(&[&["8.8.8.8"]]);
    let outbound = Outbound::with_lookup(&settings(&["127.0.0.0/8"], true), &lookup).unwrap();
    assert_eq!(outbound.get("http://idp.example/").await.unwrap_err(), OutboundError::AddressRefused);
    assert_eq!(outbound.judge("http://8.8.8.8/").unwrap_err(), OutboundError::AddressRefused);
    assert!(outbound.judge("https://8.8.8.8/").is_ok());
}

#[test]
fn urls_with_other_schemes_users_fragments_or_tricks_are_refused() {
    let outbound = opened();
    for url in ["file:///etc/passwd", "gopher://idp.example/", "ftp://idp.example/", "data:,x", "unix:/run/x"] {
        assert_eq!(outbound.judge(url).unwrap_err(), OutboundError::NotHttps, "{url}");
    }
    let long = format!("https://idp.example/{}", "a".repeat(2048));
    for url in [
        "https://user@idp.example/",
        "https://:secret@idp.example/",
        "https://idp.example/#x",
        "https://idp.example\\@127.0.0.1/",
        "https://idp.example/\r\nHost: x",
        " https://idp.example/",
        "https://",
        "idp.example",
        &long,
    ] {
        assert_eq!(outbound.judge(url).unwrap_err().code(), "outbound.url", "{url:?}");
    }
    assert_eq!(outbound.judge("https://idp.example/keys?v=2").unwrap().host_str(), Some("idp.example"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (inside, connections) = plain_server().await;
    let reply =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{inside}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let (address, _) = server("127.0.0.1:0", vec![reply.into_bytes()], Duration::ZERO).await;
    assert_eq!(opened().get(&format!("http://{address}/")).await.unwrap_err(), OutboundError::Status(302));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_in_time() {
    let mut pieces = vec![answer("content-length: 100\r\n", b"")];
    pieces.extend((0..100).map(|_| vec![b'a']));
    let (slow, _) = server("127.0.0.1:0", pieces.clone(), Duration::from_millis(50)).await;
    let began = Instant::now();
    assert_eq!(opened().get(&format!("http://{slow}/")).await.unwrap_err(), OutboundError::Timeout);
    assert!(began.elapsed() < Duration::from_secs(3));
    let (quick, _) = server("127.0.0.1:0", pieces, Duration::ZERO).await;
    assert_eq!(opened().get(&format!("http://{quick}/")).await.unwrap().body.len(), 100);
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_whether_announced_streamed_or_compressed() {
    let over = vec![b'a'; LIMIT + 1];
    let full = vec![b'a'; LIMIT];
    let announced = |body: &[u8]| answer(&format!("content-length: {}\r\n", body.len()), body);
    let compressed = |body: &[u8]| {
        let packed = gzip(body);
        answer(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", packed.len()), &packed)
    };
    for (reply, twin) in [
        (announced(&over), announced(&full)),
        (answer("", &over), answer("", &full)),
        (compressed(&vec![b'a'; 50 << 20]), compressed(&full)),
    ] {
        let (address, _) = server("127.0.0.1:0", vec![reply], Duration::ZERO).await;
        assert_eq!(opened().get(&format!("http://{address}/")).await.unwrap_err(), OutboundError::TooLarge);
        let (address, _) = server("127.0.0.1:0", vec![twin], Duration::ZERO).await;
        assert_eq!(opened().get(&format!("http://{address}/")).await.unwrap().body.len(), LIMIT);
    }
}

#[tokio::test]
async fn headers_without_end_and_nonsense_are_refused() {
    let huge = answer(&format!("x: {}\r\ncontent-length: 0\r\n", "a".repeat(2 << 20)), b"");
    let many = answer(&format!("{}content-length: 0\r\n", "x: y\r\n".repeat(200)), b"");
    for reply in [huge, many, b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()] {
        let (address, _) = server("127.0.0.1:0", vec![reply], Duration::ZERO).await;
        assert_eq!(opened().get(&format!("http://{address}/")).await.unwrap_err(), OutboundError::Unreadable);
    }
    let some = answer(&format!("{}content-length: 0\r\n", "x: y\r\n".repeat(50)), b"");
    let (address, _) = server("127.0.0.1:0", vec![some], Duration::ZERO).await;
    assert!(opened().get(&format!("http://{address}/")).await.is_ok());
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    let (address, _) = plain_server().await;
    let tls = opened().get(&format!("https://{address}/")).await.unwrap_err();
    assert_eq!(tls.code(), "outbound.tls");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(opened().get(&format!("http://{free}/")).await.unwrap_err(), OutboundError::Connect);
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(std::io::Error::other("no such name")) }));
    let outbound = Outbound::with_lookup(&settings(&[], true), &lookup).unwrap();
    assert_eq!(outbound.get("https://idp.example/").await.unwrap_err(), OutboundError::Dns);
    let reply = b"HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n".to_vec();
    let (address, _) = server("127.0.0.1:0", vec![reply], Duration::ZERO).await;
    let status = opened().get(&format!("http://{address}/")).await.unwrap_err();
    assert!(status == OutboundError::Status(503) && status.is_passing());
    let posted = opened()
        .post_form(&format!("http://{address}/"), http::HeaderMap::new(), &[("a", "b c&")], LIMIT)
        .await
        .unwrap();
    assert_eq!(posted.status, 503);
}
