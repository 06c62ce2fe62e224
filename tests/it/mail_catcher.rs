//! The demo's mail server and its page: mails by the real worker, shown with links that work and markup that does not.

use reqwest::{Client, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use usher::{clock::Clock, dev::catcher::Catcher, mail::MailKind};

use crate::support::{App, Post, Smtp, post::LINK};

async fn get(catcher: &Catcher, path: &str) -> reqwest::Response {
    Client::builder().no_proxy().build().unwrap().get(format!("{}{path}", catcher.page_url())).send().await.unwrap()
}

async fn mails(catcher: &Catcher) -> Vec<Value> {
    serde_json::from_str(&get(catcher, "/mails.json").await.text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_sends_is_caught_and_shown_with_its_link() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Catcher::start(0, 0, Some(folder.path().join("mails")), Clock::system()).unwrap();
    let catcher = start();
    let empty = get(&catcher, "/").await.text().await.unwrap();
    assert!(empty.contains("No mail yet"), "{empty}");
    let url = catcher.smtp_url();
    let post = Post::with(App::with(), Smtp::start(), move |raw| raw.mail.url = url.clone().into()).await;
    let id = post.invite("ada@people.example").await;
    post.deliver().await;
    post.queue(MailKind::PasswordReset, "bob@people.example", json!({})).await;
    post.deliver().await;
    assert_eq!(post.fate(id).await.0, "sent");

    let list = mails(&catcher).await;
    let to: Vec<_> = list.iter().map(|mail| mail["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["bob@people.example", "ada@people.example"], "newest first");
    let link = post.app.url(&format!("/acme{LINK}"));
    assert_eq!(list[1]["links"], json!([link]));
    let page = get(&catcher, "/mails/1").await.text().await.unwrap();
    assert!(page.contains(&format!("href=\"{link}\"")) && page.contains("sandbox=\"allow-popups"), "{page}");
    let markup = get(&catcher, "/mails/1/html").await;
    let policy = markup.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.contains("sandbox allow-popups") && !policy.contains("allow-scripts"), "{policy}");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(markup.text().await.unwrap().contains(&link));
    assert_eq!(get(&catcher, "/mails/3").await.status(), 404);
    assert_eq!(get(&catcher, "/nothing").await.status(), 404);

    drop(catcher);
    let again = start();
    assert_eq!(mails(&again).await, list, "a restart loses nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_of_a_stranger_runs_nothing_and_another_sites_name_sees_nothing() {
    let catcher = Catcher::start(0, 0, None, Clock::system()).unwrap();
    let mail = "Subject: <img src=x onerror=alert(1)>\r\nFrom: \"<b>\" <a@b.example>\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\r\n..\r\n";
    let said = speak(
        &catcher,
        &format!(
            "EHLO x\r\nRCPT TO:<a@b>\r\nMAIL FROM:<a@b.example>\r\nDATA\r\nNONSENSE\r\nRCPT TO:<\"<i>\"@b.example>\r\nDATA\r\n{mail}.\r\nQUIT\r\n"
        ),
    )
    .await;
    let codes: Vec<_> = said.lines().filter(|line| line.get(3..4) == Some(" ")).map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "503", "250", "503", "500", "250", "354", "250", "221"], "{said}");
    for path in ["/", "/mails/1"] {
        let response = get(&catcher, path).await;
        assert!(
            response.headers()[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'; style-src 'self'")
        );
        let page = response.text().await.unwrap();
        assert!(!page.contains("<img") && !page.contains("<b>") && !page.contains("<script"), "{page}");
    }
    let raw = get(&catcher, "/mails/1/raw").await;
    assert_eq!(raw.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert!(raw.text().await.unwrap().ends_with("<script>alert(1)</script>\r\n.\r\n"));
    // A website whose name was made to lead here.
    let port = catcher.page_url().rsplit(':').next().unwrap().to_owned();
    let rebound = Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(format!("http://127.0.0.1:{port}/mails.json"))
        .header(header::HOST, format!("evil.example:{port}"))
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), 421);
}

async fn speak(catcher: &Catcher, words: &str) -> String {
    let address = catcher.smtp_url().trim_start_matches("smtp+plain://").to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}
