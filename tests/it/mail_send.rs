//! Mails over real dialogues: what each answer of a server leads to, and that nothing is lost or sent twice.

use chrono::Duration;
use serde_json::json;
use usher::mail::{self, MailKind, NewMail};

use crate::support::{
    App, Post, log_text,
    post::LINK,
    smtp::{At, Smtp, Step, Tls},
};

const ADA: &str = "ada@people.example";
const BOB: &str = "bob@people.example";

fn fate(status: &str, answer: Option<&str>) -> (String, Option<String>) {
    (status.to_owned(), answer.map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_sent_once_and_its_link_is_wiped() {
    let post = Post::start(Smtp::start()).await;
    let id = post.invite(ADA).await;
    assert!(post.has_link(id).await);
    assert_eq!(post.fate(id).await, fate("queued", None));
    assert_eq!((post.deliver().await, post.deliver().await), (1, 0));
    assert_eq!(post.fate(id).await, fate("sent", None));
    assert!(!post.has_link(id).await);
    let mail = post.smtp.mail_to(ADA);
    assert_eq!(mail.envelope_from, "no-reply@learn.example");
    assert!(mail.html.contains(LINK) && mail.text.contains(LINK));
    assert_eq!(post.see(id).await["message_id"], format!("<{}>", mail.message_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_finds_by_itself_what_was_committed_while_it_ran() {
    let post = Post::start(Smtp::start()).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let worker = tokio::spawn(usher::worker::run((*post.app).clone(), stop.clone()));
    post.invite("warm@people.example").await;
    post.smtp.taken(1).await;
    post.invite(ADA).await;
    post.smtp.taken(2).await;
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_later_with_the_same_message_id() {
    let smtp = Smtp::with().script(|at, to, count| match (at, to, count) {
        (At::Recipient, ADA, 0) => Step::Say("451 4.7.1 greylisted, come back later"),
        (At::End, ADA, 0) => Step::Say("452 no room"),
        _ => Step::Go,
    });
    let post = Post::start(smtp.start()).await;
    let id = post.invite(ADA).await;
    let message_id = post.see(id).await["message_id"].clone();
    assert_eq!(post.deliver().await, 1);
    assert_eq!(post.fate(id).await, fate("queued", Some("smtp.451.4.7.1")));
    assert_eq!(post.deliver().await, 0, "not before its time");
    post.app.clock.advance(Duration::seconds(15));
    assert_eq!(post.deliver().await, 1);
    assert_eq!(post.fate(id).await, fate("queued", Some("smtp.452")));
    assert!(post.has_link(id).await);
    post.app.clock.advance(Duration::seconds(15));
    assert_eq!(post.deliver().await, 0, "the second wait is longer");
    post.app.clock.advance(Duration::seconds(15));
    assert_eq!(post.deliver().await, 1);
    assert_eq!(post.fate(id).await, fate("sent", None));
    assert_eq!(message_id, format!("<{}>", post.smtp.mail_to(ADA).message_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_recipient_bounces_and_the_others_get_their_mail() {
    let smtp = Smtp::with().script(|at, to, _| match (at, to) {
        (At::Recipient, ADA) => Step::Say("550 5.1.1 no such user here"),
        (At::End, "full@people.example") => Step::Say("552 5.2.2 mailbox full"),
        _ => Step::Go,
    });
    let post = Post::with(App::with(), smtp.start(), |raw| raw.mail.connections = 1).await;
    let (ada, full, bob) = (post.invite(ADA).await, post.invite("full@people.example").await, post.invite(BOB).await);
    post.deliver().await;
    assert_eq!(post.fate(ada).await, fate("bounced", Some("smtp.550.5.1.1")));
    assert_eq!(post.fate(full).await, fate("bounced", Some("smtp.552.5.2.2")));
    assert_eq!(post.fate(bob).await, fate("sent", None));
    assert!(!post.has_link(ada).await);
    assert_eq!((post.smtp.mails().len(), post.smtp.connections()), (1, 1), "one connection took them all");
    let events = post.operator.get("/api/v1/clients/acme/events?action=mail.bounced").await.ok();
    assert_eq!(events["items"].as_array().unwrap().len(), 2);
    assert!(!events.to_string().contains("people.example"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_another_reason_is_a_dead_letter() {
    let smtp = Smtp::with().script(|at, to, _| match (at, to) {
        (At::Recipient, ADA) => Step::Say("550 5.7.1 relaying denied"),
        (At::End, BOB) => Step::Say("554 5.6.0 we do not like this"),
        _ => Step::Go,
    });
    let post = Post::start(smtp.start()).await;
    let (ada, bob) = (post.invite(ADA).await, post.invite(BOB).await);
    post.deliver().await;
    assert_eq!(post.fate(ada).await, fate("dead", Some("smtp.550.5.7.1")));
    assert_eq!(post.fate(bob).await, fate("dead", Some("smtp.554.5.6.0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_given_up_after_its_last_try() {
    let smtp = Smtp::with().script(|at, _, _| if at == At::Greeting { Step::HangUp } else { Step::Go });
    let post = Post::with(App::with(), smtp.start(), |raw| raw.mail.max_attempts = 3).await;
    let id = post.invite(ADA).await;
    for _ in 0..2 {
        post.deliver().await;
        assert_eq!(post.fate(id).await, fate("queued", Some("smtp.unreachable")));
        post.app.clock.advance(Duration::hours(4));
    }
    post.deliver().await;
    assert_eq!(post.fate(id).await, fate("dead", Some("smtp.unreachable")));
    assert_eq!(post.see(id).await["attempts"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_breaks_off_after_the_content_gets_the_same_mail_again() {
    let smtp = Smtp::with()
        .script(|at, _, count| if at == At::End && count == 0 { Step::TakeAndHangUp } else { Step::Go })
        .start();
    let post = Post::start(smtp).await;
    let id = post.invite(ADA).await;
    post.deliver().await;
    assert_eq!(post.fate(id).await, fate("queued", Some("smtp.broken_off")));
    post.app.clock.advance(Duration::seconds(15));
    post.deliver().await;
    assert_eq!(post.fate(id).await, fate("sent", None));
    let mails = post.smtp.mails();
    assert_eq!(mails.len(), 2, "at least once");
    assert_eq!(mails[0].message_id, mails[1].message_id);
    assert_eq!(mails[0].header("Date"), mails[1].header("Date"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_silent_is_left_and_the_next_mail_is_not_mixed_up_with_it() {
    // Each place of the dialogue once.
    for silent in [At::Greeting, At::Sender, At::Recipient, At::Data, At::End] {
        let smtp = Smtp::with()
            .script(move |at, to, count| if at == silent && to != BOB && count == 0 { Step::Silence } else { Step::Go })
            .start();
        let post = Post::with(App::with(), smtp, |raw| (raw.mail.timeout_s, raw.mail.connections) = (1, 1)).await;
        let ada = post.invite(ADA).await;
        post.app.clock.advance(Duration::seconds(1));
        let bob = post.invite(BOB).await;
        post.deliver().await;
        assert_eq!(post.fate(ada).await, fate("queued", Some("smtp.timeout")), "{silent:?}");
        assert_eq!(post.fate(bob).await.0, "sent", "{silent:?}");
        post.app.clock.advance(Duration::seconds(15));
        post.deliver().await;
        let mails = post.smtp.mails();
        let to: Vec<_> = mails.iter().map(|mail| mail.envelope_to.as_str()).collect();
        assert_eq!(to, [BOB, ADA], "{silent:?}");
        assert!(mails.iter().all(|mail| mail.raw.matches("Message-ID").count() == 1), "{silent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_to_something_else_is_no_yes() {
    for (place, slipped_in) in [(At::Data, "250 fine"), (At::End, "354 go ahead"), (At::Recipient, "334 and you are?")]
    {
        let smtp = Smtp::with()
            .script(move |at, _, count| if at == place && count == 0 { Step::Say(slipped_in) } else { Step::Go })
            .start();
        let post = Post::with(App::with(), smtp, |raw| raw.mail.timeout_s = 5).await;
        let id = post.invite(ADA).await;
        post.deliver().await;
        assert_eq!(post.fate(id).await, fate("queued", Some("smtp.out_of_step")), "{place:?}");
        post.app.clock.advance(Duration::seconds(15));
        post.deliver().await;
        assert_eq!(post.fate(id).await.0, "sent", "{place:?}");
        assert_eq!(post.smtp.connections(), 2, "{place:?}: over a connection that is in step");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_closed_meanwhile_costs_a_mail_nothing() {
    let smtp = Smtp::with().script(|at, to, count| match (at, to, count) {
        // The second mail over the first connection.
        (At::Sender, _, 1) => Step::HangUp,
        _ => Step::Go,
    });
    let post = Post::with(App::with(), smtp.start(), |raw| raw.mail.connections = 1).await;
    let (ada, bob) = (post.invite(ADA).await, post.invite(BOB).await);
    post.deliver().await;
    assert_eq!(post.smtp.connections(), 2);
    assert_eq!((post.fate(ada).await.0, post.fate(bob).await.0), ("sent".into(), "sent".into()));
    assert_eq!((&post.see(ada).await["attempts"], &post.see(bob).await["attempts"]), (&json!(1), &json!(1)));
}

async fn over_tls(tls: Tls, offered: Tls, login: &str, trusts: bool) -> (Post, usher::ids::MailId) {
    let smtp = Smtp::with().tls(offered).login("usher", "pass word+1").start();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &smtp.certificate).unwrap();
    let url = format!(
        "{}://{login}localhost:{}",
        if tls == Tls::FromTheStart { "smtps" } else { "smtp" },
        smtp.address.port()
    );
    let post = Post::with(App::with(), smtp, move |raw| {
        raw.mail.url = url.clone().into();
        raw.mail.timeout_s = 5;
        if trusts {
            raw.mail.ca_file = Some(ca.display().to_string());
        }
    })
    .await;
    drop(folder);
    let id = post.invite(ADA).await;
    post.deliver().await;
    (post, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_over_tls_with_a_login_or_not_at_all() {
    let right = "usher:pass%20word+1@";
    for tls in [Tls::Upgraded, Tls::FromTheStart] {
        let (post, id) = over_tls(tls, tls, right, true).await;
        assert_eq!(post.fate(id).await, fate("sent", None), "{tls:?}");
        let (post, id) = over_tls(tls, tls, "usher:wrong@", true).await;
        assert_eq!(post.fate(id).await, fate("queued", Some("smtp.535.5.7.8")), "{tls:?}");
        let (post, id) = over_tls(tls, tls, right, false).await;
        assert_eq!((post.fate(id).await.0.as_str(), post.smtp.mails().len()), ("queued", 0), "{tls:?}: nobody vouches");
    }
    let (post, id) = over_tls(Tls::Upgraded, Tls::None, right, true).await;
    assert_eq!(post.fate(id).await, fate("queued", Some("smtp.not_offered")));
    assert_eq!(post.smtp.mails().len(), 0, "nothing goes out in the clear");
    let (post, id) = over_tls(Tls::Upgraded, Tls::Upgraded, "", true).await;
    assert_eq!(post.fate(id).await, fate("queued", Some("smtp.530.5.7.0")), "a login is wanted");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_work_and_send_each_mail_once() {
    let post = Post::start(Smtp::start()).await;
    let mails: Vec<String> = (0..80).map(|number| format!("person{number}@people.example")).collect();
    let new: Vec<NewMail<'_>> = mails
        .iter()
        .map(|to| NewMail {
            kind: MailKind::Invite,
            to,
            to_name: "",
            locale: None,
            path: Some(LINK.into()),
            values: json!({}),
            about: None,
        })
        .collect();
    let mut transaction = post.app.begin().await.unwrap();
    let ids = mail::queue_many(&mut transaction, &post.app, post.client, &new, post.app.clock.now()).await.unwrap();
    post.app.commit(transaction).await.unwrap();
    assert_eq!(ids.len(), 80);
    let other = post.app.replica();
    let (one, two) = tokio::join!(Box::pin(mail::deliver_due(&post.app)), Box::pin(mail::deliver_due(&other)));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one + two, 80);
    assert!(one > 0 && two > 0, "{one} and {two}");
    let mut to: Vec<String> = post.smtp.mails().into_iter().map(|mail| mail.envelope_to).collect();
    to.sort();
    let mut all = mails.clone();
    all.sort();
    assert_eq!(to, all);
    assert!(post.smtp.connections() <= 16, "{} connections", post.smtp.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_before_a_screen_is_not_delayed_by_a_thousand_invites() {
    let post = Post::with(App::with(), Smtp::start(), |raw| raw.mail.connections = 1).await;
    for number in 0..5 {
        post.invite(&format!("person{number}@people.example")).await;
    }
    post.queue(MailKind::PasswordReset, ADA, json!({})).await;
    post.deliver().await;
    assert_eq!(post.smtp.mails()[0].envelope_to, ADA);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_is_not_sent() {
    let post = Post::start(Smtp::start()).await;
    let about = vec!["inv_00000000000000000000000000000001".to_owned()];
    let new = NewMail {
        kind: MailKind::Invite,
        to: ADA,
        to_name: "",
        locale: None,
        path: Some(LINK.into()),
        values: json!({}),
        about: Some(about[0].clone()),
    };
    let mut transaction = post.app.begin().await.unwrap();
    let now = post.app.clock.now();
    let id = mail::queue(&mut transaction, &post.app, post.client, new, now).await.unwrap();
    assert_eq!(mail::withdraw(&mut transaction, post.client, &about, now).await.unwrap(), 1);
    post.app.commit(transaction).await.unwrap();
    assert_eq!(post.deliver().await, 0);
    assert_eq!(post.fate(id).await, fate("withdrawn", None));
    assert!(!post.has_link(id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_of_a_newer_release_is_left_to_it_and_holds_up_nothing() {
    let post = Post::start(Smtp::start()).await;
    let (newer, id) = (post.invite(ADA).await, post.invite(BOB).await);
    sqlx::query("update mails set kind = 'birthday' where id = $1")
        .bind(newer.uuid())
        .execute(&post.app.db)
        .await
        .unwrap();
    assert_eq!(post.deliver().await, 1);
    assert_eq!(post.fate(id).await.0, "sent");
    let attempts: i32 = sqlx::query_scalar("select attempts from mails where id = $1")
        .bind(newer.uuid())
        .fetch_one(&post.app.db)
        .await
        .unwrap();
    assert_eq!(attempts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_no_server_could_know_bounces_without_being_tried() {
    let post = Post::start(Smtp::start()).await;
    let id = post.invite("ada@people..example").await;
    post.deliver().await;
    assert_eq!(post.fate(id).await, fate("bounced", Some("mail.address")));
    assert_eq!(post.smtp.connections(), 0);
    let id = post.invite("ada@müller.example").await;
    post.deliver().await;
    assert_eq!(post.fate(id).await.0, "sent");
    post.smtp.mail_to("ada@xn--mller-kva.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_an_address_nor_a_link_is_logged() {
    let smtp = Smtp::with().script(|at, to, _| match (at, to) {
        (At::Recipient, "hushed-bounce@people.example") => {
            Step::Say("550 5.1.1 hushed-bounce@people.example is unknown")
        }
        (At::End, "hushed-later@people.example") => Step::Say("451 hushed-later@people.example not now"),
        _ => Step::Go,
    });
    let post = Post::start(smtp.start()).await;
    for who in ["sent", "bounce", "later"] {
        post.invite(&format!("hushed-{who}@people.example")).await;
    }
    post.deliver().await;
    let log = log_text();
    assert!(log.contains("mail sent") && log.contains("mail not sent"));
    // The statements that sqlx logs when they are slow hold places and no values.
    assert!(!log.contains("hushed-") && !log.contains(LINK.rsplit('/').next().unwrap()));
}
