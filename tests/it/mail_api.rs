//! The outbox over the admin API: lists, dead letters, bounces.

use chrono::Duration;
use reqwest::Method;
use serde_json::json;
use usher::{
    admin, jobs,
    mail::{self, MailKind},
};

use crate::support::{
    App, Post,
    post::LINK,
    smtp::{At, Smtp, Step},
};

const ADA: &str = "ada@people.example";
const BASE: &str = "/api/v1/clients/acme/mail";

/// Refuses Ada's first mail for good.
fn refusing() -> Smtp {
    let script = |at, to: &str, count| {
        if at == At::End && to == ADA && count == 0 { Step::Say("554 5.6.0 not like this") } else { Step::Go }
    };
    Smtp::with().script(script).start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_seen_and_sent_again_with_its_link_and_message_id() {
    let post = Post::start(refusing()).await;
    let id = post.invite(ADA).await;
    post.deliver().await;
    let dead = post.operator.get(&format!("{BASE}?status=dead")).await;
    assert_eq!(dead.ok()["items"][0]["id"], id.to_string());
    assert!(!dead.text.contains(LINK.rsplit('/').next().unwrap()));
    let before = post.see(id).await;
    assert!(post.has_link(id).await, "it may be sent again");

    post.app.clock.advance(Duration::seconds(1));
    let path = format!("{BASE}/{id}/resend");
    let key = [("idempotency-key", "again")];
    let again = post.operator.call(Method::POST, &path, None, &key).await;
    assert_eq!((&again.ok()["status"], &again.ok()["message_id"]), (&json!("queued"), &before["message_id"]));
    assert_eq!(post.deliver().await, 1);
    assert_eq!(post.fate(id).await, ("sent".to_owned(), None));
    let mail = post.smtp.mail_to(ADA);
    assert_eq!(before["message_id"], format!("<{}>", mail.message_id));
    assert!(mail.text.contains(LINK));
    assert!(!post.has_link(id).await);

    let replay = post.operator.call(Method::POST, &path, None, &key).await;
    assert_eq!((replay.headers["idempotency-replayed"].to_str().unwrap(), replay.text), ("true", again.text));
    assert_eq!(post.operator.call(Method::POST, &path, None, &[]).await.problem(409), "mail.not_dead");
    assert_eq!(post.deliver().await, 0);
    let events = post.operator.get(&format!("/api/v1/clients/acme/events?target={id}")).await.ok();
    let actions: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["mail.resent", "mail.dead"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_gets_all_its_tries_again() {
    let smtp = Smtp::with().script(|at, _, _| if at == At::Sender { Step::Say("450 later") } else { Step::Go }).start();
    let post = Post::with(App::with(), smtp, |raw| raw.mail.max_attempts = 2).await;
    let id = post.invite(ADA).await;
    for round in 1..=2 {
        post.deliver().await;
        assert_eq!(post.fate(id).await.0, "queued", "round {round}");
        post.app.clock.advance(Duration::hours(4));
        post.deliver().await;
        assert_eq!(post.fate(id).await.0, "dead", "round {round}");
        post.operator.call(Method::POST, &format!("{BASE}/{id}/resend"), None, &[]).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_whose_link_has_expired_is_not_sent_again() {
    let post = Post::start(refusing()).await;
    let expires_at = post.app.clock.now() + Duration::hours(1);
    let id = post.queue(MailKind::Invite, ADA, json!({ "expires_at": expires_at })).await;
    post.deliver().await;
    let path = format!("{BASE}/{id}/resend");
    post.app.clock.advance(Duration::hours(1));
    assert_eq!(post.operator.call(Method::POST, &path, None, &[]).await.problem(409), "mail.link_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_are_listed_newest_first_by_status_and_kind_in_pages() {
    let smtp = Smtp::with().script(|at, to, _| match (at, to) {
        (At::Recipient, ADA) => Step::Say("550 5.1.1 unknown"),
        _ => Step::Go,
    });
    let post = Post::start(smtp.start()).await;
    for number in 0..3 {
        post.invite(&format!("person{number}@people.example")).await;
    }
    post.invite(ADA).await;
    post.deliver().await;
    post.app.clock.advance(Duration::seconds(1));
    post.queue(MailKind::PasswordReset, "bob@people.example", json!({})).await;
    let list = async |query: &str| {
        let reply = post.operator.get(&format!("{BASE}{query}")).await.ok();
        let items = reply["items"].as_array().unwrap().clone();
        (items, reply["next_cursor"].as_str().map(str::to_owned))
    };
    let (all, end) = list("").await;
    assert_eq!((all.len(), end), (5, None));
    assert_eq!((&all[0]["kind"], &all[0]["status"]), (&json!("password_reset"), &json!("queued")));
    for (query, count) in [
        ("?status=sent", 3),
        ("?status=bounced", 1),
        ("?status=queued", 1),
        ("?status=dead", 0),
        ("?kind=invite", 4),
        ("?kind=invite&status=sent", 3),
        ("?kind=password_reset&status=bounced", 0),
        ("?about=inv_1", 0),
    ] {
        assert_eq!(list(query).await.0.len(), count, "{query}");
    }
    let (first, cursor) = list("?limit=2").await;
    let (rest, end) = list(&format!("?limit=3&cursor={}", cursor.unwrap())).await;
    assert_eq!((first.len(), rest.len(), end), (2, 3, None));
    assert_eq!([first, rest].concat(), all);
    for query in ["?status=lost", "?kind=advert", "?limit=0", "?stat=dead"] {
        assert_eq!(post.operator.get(&format!("{BASE}{query}")).await.status, 422, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_mail_is_as_one_that_never_was() {
    let post = Post::start(refusing()).await;
    let id = post.invite(ADA).await;
    post.deliver().await;
    post.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let other = post.app.admin_of("other").await;
    let theirs = other.get(&format!("/api/v1/clients/other/mail/{id}")).await;
    assert_eq!(theirs.problem(404), "not_found");
    let resend = format!("/api/v1/clients/other/mail/{id}/resend");
    assert_eq!(other.call(Method::POST, &resend, None, &[]).await.problem(404), "not_found");
    assert_eq!(other.get("/api/v1/clients/other/mail").await.ok()["items"], json!([]));
    assert_eq!(post.fate(id).await.0, "dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_that_comes_later_marks_the_mail_once() {
    let post = Post::start(Smtp::start()).await;
    let id = post.invite(ADA).await;
    let message_id = post.see(id).await["message_id"].as_str().unwrap().to_owned();
    let report = async |body| post.operator.post("/api/v1/mail/bounces", body).await;
    let by_id = json!({ "message_id": message_id, "type": "permanent" });
    assert_eq!(report(by_id.clone()).await.ok()["marked"], 0, "it was not sent yet");
    post.deliver().await;
    let transient = json!({ "message_id": message_id, "type": "transient" });
    assert_eq!(report(transient).await.ok()["marked"], 0);
    assert_eq!(post.fate(id).await.0, "sent");
    assert_eq!(report(by_id.clone()).await.ok()["marked"], 1);
    assert_eq!(post.fate(id).await, ("bounced".to_owned(), Some("bounce.message_id".to_owned())));
    assert_eq!(report(by_id).await.ok()["marked"], 0, "told twice");
    let bare = json!({ "message_id": message_id.trim_matches(['<', '>']), "type": "permanent" });
    assert_eq!(report(bare).await.ok()["marked"], 0);
    let events = post.operator.get(&format!("/api/v1/clients/acme/events?target={id}")).await.ok();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_by_address_marks_what_was_sent_there_lately_in_every_client() {
    let post = Post::start(Smtp::start()).await;
    post.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let other = admin::find_client(&post.app.db, "other").await.unwrap().unwrap();
    let old = post.invite(ADA).await;
    post.deliver().await;
    post.app.clock.advance(Duration::days(15));
    let here = post.invite("Ada@People.example").await;
    let there = post.queue_for(other, MailKind::Invite, ADA, "", json!({})).await;
    let bob = post.invite("bob@people.example").await;
    post.deliver().await;
    let report = json!({ "address": ADA, "type": "permanent" });
    let operator = &post.operator;
    assert_eq!(operator.post("/api/v1/mail/bounces", report.clone()).await.ok()["marked"], 2);
    assert_eq!(operator.post("/api/v1/mail/bounces", report).await.ok()["marked"], 0);
    let there = operator.get(&format!("/api/v1/clients/other/mail/{there}")).await.ok();
    assert_eq!((post.fate(here).await.0.as_str(), &there["status"]), ("bounced", &json!("bounced")));
    assert_eq!((post.fate(old).await.0, post.fate(bob).await.0), ("sent".into(), "sent".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_does_not_hold_is_refused_or_changes_nothing() {
    let post = Post::start(Smtp::start()).await;
    let id = post.invite(ADA).await;
    post.deliver().await;
    let report = async |body| post.operator.post("/api/v1/mail/bounces", body).await;
    let both = json!({ "message_id": "<a@b>", "address": ADA, "type": "permanent" });
    assert_eq!(report(both).await.problem(422), "mail.bounce");
    assert_eq!(report(json!({ "type": "permanent" })).await.problem(422), "mail.bounce");
    assert_eq!(report(json!({ "address": ADA, "type": "odd" })).await.problem(422), "api.invalid");
    let message_id = post.see(id).await["message_id"].as_str().unwrap().to_owned();
    let (own, domain) = message_id.split_once('@').unwrap();
    for text in ["", "<>", "@", "x.y@z", "<0.0@learn.example>", &format!("{own}@elsewhere.example>"), &"a".repeat(5000)]
    {
        let marked = report(json!({ "message_id": text, "type": "permanent" })).await.ok()["marked"].clone();
        assert_eq!(marked, 0, "{text} ({domain})");
    }
    assert_eq!(post.fate(id).await.0, "sent");
    let bound = post.app.admin_of("acme").await;
    let body = json!({ "address": ADA, "type": "permanent" });
    assert_eq!(bound.post("/api/v1/mail/bounces", body).await.problem(403), "api.operator_only");
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_are_removed_once_they_have_been_kept_long_enough() {
    let post = Post::start(refusing()).await;
    let (dead, sent) = (post.invite(ADA).await, post.invite("bob@people.example").await);
    post.deliver().await;
    post.app.clock.advance(Duration::days(29));
    let waiting = post.invite("carol@people.example").await;
    Box::pin(jobs::clean(&post.app, post.app.clock.now())).await.unwrap();
    assert_eq!(post.fate(dead).await.0, "dead");
    post.app.clock.advance(Duration::days(2));
    let cleaned = Box::pin(jobs::clean(&post.app, post.app.clock.now())).await.unwrap();
    assert_eq!(cleaned.mails, 2);
    assert_eq!(post.operator.get(&format!("{BASE}/{sent}")).await.status, 404);
    assert_eq!(post.fate(waiting).await.0, "queued", "what waits is not old");
    assert_eq!(Box::pin(mail::deliver_due(&post.app)).await.unwrap(), 1);
}
