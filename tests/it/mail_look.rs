//! Mails as people read them: each kind in HTML and in plain text, in the look of its client, whatever names and messages
//! hold.

use serde_json::{Value, json};
use usher::{
    admin,
    ids::ClientId,
    mail::{MailKind, MailValues},
};

use crate::support::{
    Post,
    post::LINK,
    smtp::{Mail, Smtp},
};

const ADA: &str = "ada@people.example";

fn values() -> Value {
    json!({
        "message": "Welcome!\nRead <b>this</b> & http://evil.example/ first",
        "expires_at": "2027-03-14T17:00:00Z",
        "sublicenses": ["Sales", "R&D <x>"],
        "at": "2026-12-24T23:30:00Z",
        "new_email": "g•••@people.example",
    })
}

/// The one mail that this leads to.
async fn sent(post: &Post, client: ClientId, kind: MailKind, name: &str, values: Value) -> Mail {
    let before = post.smtp.mails().len();
    post.queue_for(client, kind, ADA, name, values).await;
    post.deliver().await;
    let mut mails = post.smtp.mails();
    assert_eq!(mails.len(), before + 1);
    mails.pop().unwrap()
}

/// `acme` of the scene in red, and `globex` in blue.
async fn two_companies() -> (Post, ClientId) {
    let post = Post::start(Smtp::start()).await;
    let acme = json!({
        "time_zone": "Europe/Berlin",
        "branding": {
            "accent_color": "#b3261e", "secondary_color": "#e8833a", "welcome_text": "All about anvils.",
            "footer": "Acme Corporation\nRoad 1 <Desert>", "support_email": "academy@acme.example",
            "email_from_name": "Acme Akademie, Süd",
        },
    });
    post.operator.patch("/api/v1/clients/acme", acme).await.ok();
    let globex = json!({
        "slug": "globex", "name": "Globex \"Uni\"",
        "branding": { "accent_color": "#0b5cad", "logo_url": "https://globex.example/logo.png" },
    });
    post.operator.post("/api/v1/clients", globex).await.ok();
    let globex = admin::find_client(&post.app.db, "globex").await.unwrap().unwrap();
    (post, globex)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_both_parts_with_its_link_and_nothing_of_a_name_becomes_markup() {
    let (post, _) = two_companies().await;
    let link = post.app.url(&format!("/acme{LINK}"));
    for kind in MailKind::ALL {
        let mail = sent(&post, post.client, kind, "<script>alert(1)</script> \u{202e}", values()).await;
        let shown = format!("{kind:?}\n{}\n{}", mail.text, mail.html);
        assert!(!mail.subject.is_empty() && mail.subject.contains("Acme Academy"), "{shown}");
        assert!(mail.html.starts_with("<!doctype html>") && mail.html.contains("lang=\"en\" dir=\"ltr\""), "{shown}");
        assert!(!mail.html.contains("<script") && !mail.html.contains("<b>"), "{shown}");
        assert_eq!(mail.html.matches(&format!("href=\"{link}\"")).count(), 2, "{shown}");
        assert!(mail.text.lines().any(|line| line == link), "{shown}");
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("academy@acme.example") && part.contains("Acme Corporation"), "{shown}");
        }
        assert!(!mail.html.contains("href=\"http://evil.example"), "{shown}");
        assert!(
            !mail.text.contains('<') || mail.text.contains("<script>") || mail.text.contains("<Desert>"),
            "{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_says_what_it_opens_until_when_and_what_the_admin_wrote() {
    let (post, _) = two_companies().await;
    let mail = sent(&post, post.client, MailKind::Invite, "Ada Lovelace", values()).await;
    let text = mail.text.replace(&post.app.url(&format!("/acme{LINK}")), "LINK").replace("-- \n", "--\n");
    insta::assert_snapshot!(text, @r"
    You are invited to Acme Academy

    Hello Ada Lovelace,

    There is a place for you at Acme Academy. Accept the invitation to get access.

    All about anvils.

    It opens for you:
    - Sales
    - R&D <x>

    A message from Acme Academy:
    > Welcome!
    > Read <b>this</b> & http://evil.example/ first

    Accept the invitation:
    LINK

    The link works once, until 14 March 2027, 18:00 (Europe/Berlin).

    The invitation is for you alone: please do not pass it on.

    --
    Acme Academy

    Acme Corporation
    Road 1 <Desert>

    Need help? Write to academy@acme.example

    You get this mail because Acme Academy invited this address. If you do not know why, ignore it: nothing happens.
    ");
    assert!(
        mail.html.contains("Read &#60;b&#62;this&#60;/b&#62; &#38; http://evil.example/ first<br>"),
        "{}",
        mail.html
    );
    assert!(mail.html.contains("14 March 2027, 18:00 (Europe/Berlin)"), "{}", mail.html);
    assert!(mail.html.contains("R&#38;D &#60;x&#62;"), "{}", mail.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headers_are_those_of_a_mail_that_a_machine_wrote_for_a_person() {
    let (post, _) = two_companies().await;
    let mail = sent(&post, post.client, MailKind::Invite, "Zoë Müller", values()).await;
    let header = |name: &str| mail.header(name).unwrap_or_else(|| panic!("no {name}: {}", mail.raw));
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(header("X-Auto-Response-Suppress"), "All");
    assert_eq!(header("Reply-To"), "academy@acme.example");
    assert_eq!(header("MIME-Version"), "1.0");
    assert!(header("Content-Type").starts_with("multipart/alternative"), "{}", header("Content-Type"));
    assert_eq!(mail.raw.matches("charset=utf-8").count(), 2 + mail.html.matches("charset=utf-8").count());
    assert!(mail.raw.is_ascii(), "every server takes it");
    assert!(mail.raw.lines().all(|line| line.len() <= 998), "RFC 5322, section 2.1.1");
    let parsed = mail_parser::MessageParser::default().parse(mail.raw.as_bytes()).unwrap();
    let from = parsed.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("Acme Akademie, Süd"), Some("no-reply@learn.example")));
    let to = parsed.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("Zoë Müller"), Some(ADA)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_can_add_a_header() {
    let (post, globex) = two_companies().await;
    let name = "Eve\r\nBcc: all@people.example\r\n\r\n<p>hi</p>";
    let mail = sent(&post, globex, MailKind::Invite, name, json!({})).await;
    assert_eq!(mail.header("Bcc"), None);
    assert_eq!(mail.envelope_to, ADA);
    let long = "x".repeat(190);
    post.operator.patch("/api/v1/clients/globex", json!({ "name": long })).await.ok();
    let mail = sent(&post, globex, MailKind::Invite, &"é".repeat(200), json!({})).await;
    assert!(mail.subject.chars().count() <= 150 && mail.subject.ends_with('…'), "{}", mail.subject);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_words_are_not_carried_to_an_address_that_nobody_proved() {
    let (post, _) = two_companies().await;
    for kind in [MailKind::ConfirmEmail, MailKind::AccountExists] {
        let mail = sent(&post, post.client, kind, "Win at evil.example", json!({})).await;
        assert!(!mail.raw.contains("evil.example") && !mail.html.contains("Win at"), "{kind:?}: {}", mail.raw);
        assert!(mail.text.contains("\nHello,\n"), "{}", mail.text);
    }
    let mail = sent(&post, post.client, MailKind::PasswordReset, "Ada", json!({})).await;
    assert!(mail.text.contains("\nHello Ada,\n"), "{}", mail.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_look_like_two_companies_and_as_they_look_now() {
    let (post, globex) = two_companies().await;
    let acme = sent(&post, post.client, MailKind::Invite, "Ada", values()).await;
    let other = sent(&post, globex, MailKind::Invite, "Ada", values()).await;
    for (mail, own, foreign) in [(&acme, "#b3261e", "#0b5cad"), (&other, "#0b5cad", "#b3261e")] {
        assert!(mail.html.contains(own) && !mail.html.contains(foreign), "{}", mail.html);
    }
    assert!(
        other.html.contains("<img src=\"https://globex.example/logo.png\" alt=\"Globex &#34;Uni&#34;\""),
        "{}",
        other.html
    );
    assert!(!other.html.contains("Acme") && !acme.html.contains("Globex"));
    assert_eq!(other.header("Reply-To"), None);
    assert!(other.text.contains("Nobody reads answers to this mail."), "{}", other.text);
    // Queued before, written after the change.
    post.queue(MailKind::Invite, ADA, json!({})).await;
    post.operator.patch("/api/v1/clients/acme", json!({ "branding": { "accent_color": "#006644" } })).await.ok();
    post.deliver().await;
    let now = post.smtp.mails().pop().unwrap();
    assert!(now.html.contains("#006644") && !now.html.contains("#b3261e"), "{}", now.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_values_do_not_read_is_a_dead_letter_and_holds_up_nothing() {
    let post = Post::start(Smtp::start()).await;
    let broken = post.queue(MailKind::Invite, ADA, json!({ "expires_at": "tomorrow" })).await;
    let fine =
        post.queue(MailKind::Invite, "bob@people.example", serde_json::to_value(MailValues::default()).unwrap()).await;
    post.deliver().await;
    assert_eq!(post.fate(broken).await, ("dead".to_owned(), Some("mail.unwritable".to_owned())));
    assert_eq!(post.fate(fine).await.0, "sent");
}
