//! What mails survive: a worker that is killed, PostgreSQL and Redis that restart in the middle.

use std::process::Stdio;

use chrono::Duration;
use usher::mail;

use crate::support::{
    App, Post, log_text,
    smtp::{At, Smtp, Step},
};

const ADA: &str = "ada@people.example";

/// A server that has the first mail whole and does not say so until it is told.
fn slow_to_say() -> Smtp {
    Smtp::with().script(|at, _, count| if at == At::End && count == 0 { Step::Hold } else { Step::Go }).start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_loses_nothing_and_the_message_id_stays() {
    let post = Post::start(slow_to_say()).await;
    let id = post.invite(ADA).await;
    let mut worker = tokio::process::Command::new(env!("CARGO_BIN_EXE_usher"))
        .arg("serve")
        .envs(post.app.environment())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    post.smtp.held().await;
    // SIGKILL: it can tidy nothing.
    worker.kill().await.unwrap();
    post.smtp.release();
    post.smtp.taken(1).await;
    assert_eq!(post.see(id).await["status"], "queued");
    assert_eq!(post.deliver().await, 0, "its lease still runs: it might be alive");
    post.app.clock.advance(Duration::minutes(5));
    assert_eq!(post.deliver().await, 1);
    assert_eq!(
        (post.see(id).await["status"].as_str(), post.see(id).await["attempts"].as_i64()),
        (Some("sent"), Some(2))
    );
    let mails = post.smtp.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].message_id, mails[1].message_id);
    assert!(!post.has_link(id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_that_restarts_after_the_servers_yes_does_not_send_twice() {
    let app = App::with().flaky().settings(|raw| raw.database.acquire_timeout_ms = 300);
    let post = Post::with(app, slow_to_say(), |raw| raw.database.acquire_timeout_ms = 300).await;
    let id = post.invite(ADA).await;
    let sending = tokio::spawn({
        let app = (*post.app).clone();
        async move { Box::pin(mail::deliver_due(&app)).await }
    });
    post.smtp.held().await;
    post.app.postgres().cut();
    post.smtp.release();
    let waits = async {
        while !log_text().lines().any(|line| line.contains("waits to be written") && line.contains(&id.to_string())) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waits).await.expect("it tries to write it down");
    post.app.postgres().restore();
    sending.await.unwrap().ok();
    assert_eq!(post.fate(id).await.0, "sent");
    assert_eq!(post.deliver().await, 0);
    assert_eq!(post.smtp.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_wait_for_postgresql_and_do_not_need_redis() {
    let smtp = Smtp::start();
    let post = Post::with(App::with().flaky(), smtp, |raw| raw.database.acquire_timeout_ms = 300).await;
    let id = post.invite(ADA).await;
    post.app.postgres().cut();
    assert!(Box::pin(mail::deliver_due(&post.app)).await.is_err());
    assert_eq!(post.smtp.mails().len(), 0);
    post.app.postgres().restore();
    post.app.redis().cut();
    // Connections of before the cut are found broken first.
    let delivered = async { while Box::pin(mail::deliver_due(&post.app)).await.ok() != Some(1) {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), delivered).await.expect("it recovers by itself");
    post.app.redis().restore();
    assert_eq!(post.smtp.mail_to(ADA).envelope_to, ADA);
    assert!(!post.has_link(id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_late_has_no_say_any_more() {
    let post = Post::start(slow_to_say()).await;
    let id = post.invite(ADA).await;
    let late = tokio::spawn({
        let app = (*post.app).clone();
        async move { Box::pin(mail::deliver_due(&app)).await }
    });
    post.smtp.held().await;
    // The lease runs out while the server thinks, another worker takes over and is told that nobody is there.
    post.app.clock.advance(Duration::minutes(5));
    assert_eq!(post.deliver().await, 1);
    assert_eq!(post.fate(id).await.0, "sent");
    let finished_at = post.see(id).await["finished_at"].clone();
    post.app.clock.advance(Duration::minutes(5));
    post.smtp.release();
    late.await.unwrap().unwrap();
    assert_eq!(post.see(id).await["finished_at"], finished_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_finishes_the_mail_it_has() {
    let post = Post::start(slow_to_say()).await;
    let id = post.invite(ADA).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let worker = tokio::spawn({
        let (app, stop) = ((*post.app).clone(), stop.clone());
        async move { Box::pin(mail::run(&app, &stop)).await }
    });
    post.smtp.held().await;
    stop.cancel();
    post.smtp.release();
    tokio::time::timeout(std::time::Duration::from_secs(10), worker).await.expect("it ends").unwrap();
    assert_eq!(post.fate(id).await.0, "sent");
}
