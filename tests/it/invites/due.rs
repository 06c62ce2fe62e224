//! What falls due by itself, and what becomes of mails.

use chrono::Duration;
use serde_json::{Value, json};
use usher::{invites, jobs, mail::MailOutcome};

use super::{INVITES, Scene, id};

async fn follow(scene: &Scene) {
    jobs::follow_invites(&scene.app, scene.app.clock.now()).await.unwrap();
}

async fn reminded(scene: &Scene, invite: &Value) -> i64 {
    scene.read(invite).await["reminders_sent"].as_i64().unwrap()
}

#[tokio::test]
async fn what_became_of_the_mail_is_noted_with_an_event() {
    let scene = Scene::start().await;
    let ada = scene.invite("ada@acme.example").await;
    scene.hear(&ada, MailOutcome::Dead).await;
    assert_eq!((scene.status(&ada).await.as_str(), scene.events("invite.undelivered").await), ("pending", 1));
    scene.hear(&ada, MailOutcome::Sent).await;
    scene.hear(&ada, MailOutcome::Sent).await;
    assert_eq!((scene.status(&ada).await.as_str(), scene.events("invite.sent").await), ("sent", 1));
    assert_eq!(scene.read(&ada).await["sent_at"], "2026-11-22T12:00:00Z");
    scene.hear(&ada, MailOutcome::Bounced).await;
    scene.hear(&ada, MailOutcome::Bounced).await;
    scene.hear(&ada, MailOutcome::Sent).await;
    assert_eq!((scene.status(&ada).await.as_str(), scene.events("invite.bounced").await), ("bounced", 1));
    // The link in a mail that came back is good all the same: somebody may have forwarded it.
    scene.accept_new(&scene.app.browser(), &ada).await.expect(303);
    scene.hear(&ada, MailOutcome::Bounced).await;
    assert_eq!(scene.status(&ada).await, "accepted");
}

#[tokio::test]
async fn reminders_follow_the_clients_schedule_and_add_a_link_each() {
    let scene = Scene::start().await;
    scene.operator.patch("/api/v1/clients/acme", json!({ "reminders_days": [3, 10, 30] })).await.ok();
    let ada = scene.invite("ada@acme.example").await;
    follow(&scene).await;
    assert_eq!(reminded(&scene, &ada).await, 0, "a mail that waits is not reminded of");
    scene.hear(&ada, MailOutcome::Sent).await;
    scene.app.clock.advance(Duration::days(3) - Duration::seconds(1));
    follow(&scene).await;
    assert_eq!(reminded(&scene, &ada).await, 0);
    scene.app.clock.advance(Duration::seconds(1));
    follow(&scene).await;
    follow(&scene).await;
    assert_eq!((reminded(&scene, &ada).await, scene.events("invite.reminded").await), (1, 1));
    let links = scene.links(&ada).await;
    assert_eq!(links.len(), 2);
    for link in &links {
        scene.app.browser().open(scene.app.url(link)).await.expect(200);
    }
    scene.app.clock.advance(Duration::days(7));
    follow(&scene).await;
    assert_eq!(reminded(&scene, &ada).await, 2);
    scene.app.clock.advance(Duration::days(3));
    follow(&scene).await;
    assert_eq!(reminded(&scene, &ada).await, 2, "the last would come after the end");
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from mails order by id").fetch_all(&scene.app.db).await.unwrap();
    assert_eq!(kinds, ["invite", "invite_reminder", "invite_reminder"]);
}

#[tokio::test]
async fn nobody_is_reminded_of_what_is_accepted_revoked_bounced_or_over() {
    let scene = Scene::start().await;
    scene.operator.patch("/api/v1/clients/acme", json!({ "reminders_days": [1] })).await.ok();
    let mut all = Vec::new();
    for name in ["accepted", "revoked", "bounced", "expired", "closed"] {
        let body = json!({ "email": format!("{name}@acme.example"), "expires_at": "2026-12-01T00:00:00Z" });
        let invite = scene.operator.post(INVITES, body).await.ok();
        all.push(invite);
    }
    let links = scene.link(&all[0]).await;
    for invite in &all {
        scene.hear(invite, MailOutcome::Sent).await;
    }
    let browser = scene.app.browser();
    let page = browser.open(links).await;
    let form = page.form_with("first_name").fill("first_name", "Ada").fill("last_name", "L");
    browser.submit(&form.fill("password", super::PASSWORD).press("step", "password")).await.expect(303);
    scene.operator.post(&format!("{INVITES}/{}/revoke", id(&all[1])), json!({})).await.ok();
    scene.hear(&all[2], MailOutcome::Bounced).await;
    sqlx::query("update invites set expires_at = $2 where id = $1")
        .bind(id(&all[3]).parse::<usher::ids::InviteId>().unwrap().uuid())
        .bind(scene.app.clock.now() + Duration::hours(1))
        .execute(&scene.app.db)
        .await
        .unwrap();
    scene.operator.patch("/api/v1/clients/acme", json!({ "status": "disabled" })).await.ok();
    scene.app.clock.advance(Duration::days(1));
    let now = scene.app.clock.now();
    assert_eq!(invites::remind_due(&scene.app, now, 100).await.unwrap(), 0);
    // The positive twin: the client opens again, and the one invite that is still open is reminded of.
    scene.operator.patch("/api/v1/clients/acme", json!({ "status": "active" })).await.ok();
    assert_eq!(invites::remind_due(&scene.app, now, 100).await.unwrap(), 1);
    assert_eq!(reminded(&scene, &all[4]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_send_each_reminder_once() {
    let scene = Scene::start().await;
    let other = scene.app.replica();
    scene.operator.patch("/api/v1/clients/acme", json!({ "reminders_days": [1] })).await.ok();
    for number in 0..30 {
        let invite = scene.invite(&format!("p{number}@acme.example")).await;
        scene.hear(&invite, MailOutcome::Sent).await;
    }
    scene.app.clock.advance(Duration::days(1));
    let now = scene.app.clock.now();
    let turn = async |app: &usher::app::App| {
        let mut sent = 0;
        for _ in 0..6 {
            sent += invites::remind_due(app, now, 7).await.unwrap();
        }
        sent
    };
    let (one, two) = tokio::join!(turn(&scene.app), turn(&other));
    assert_eq!(one + two, 30);
    let mails: i64 = sqlx::query_scalar("select count(*) from mails where kind = 'invite_reminder'")
        .fetch_one(&scene.app.db)
        .await
        .unwrap();
    assert_eq!((mails, scene.announced("invite.reminded").await), (30, 30));
}

#[tokio::test]
async fn an_invite_that_nobody_accepts_ends_and_gives_its_seats_back() {
    let scene = Scene::start().await;
    scene.limit_seats(2).await;
    let ada = scene.invite("ada@acme.example").await;
    let bob = scene.invite("bob@acme.example").await;
    let link = scene.link(&ada).await;
    scene.app.clock.advance(Duration::days(13));
    scene.operator.post(&format!("{INVITES}/{}/resend", id(&bob)), json!({})).await.ok();
    scene.app.clock.advance(Duration::days(1));
    follow(&scene).await;
    follow(&scene).await;
    assert_eq!((scene.status(&ada).await.as_str(), scene.status(&bob).await.as_str()), ("expired", "pending"));
    assert_eq!(scene.seats().await, (0, 1));
    assert_eq!((scene.events("invite.expired").await, scene.announced("invite.expired").await), (1, 1));
    assert!(scene.links(&ada).await.is_empty(), "a mail that still waited is taken back");
    assert!(scene.app.browser().open(&link).await.expect(410).says("has run out"));
}

#[tokio::test]
async fn a_reservation_that_lapsed_makes_room_before_the_job_comes() {
    let scene = Scene::start().await;
    scene.limit_seats(1).await;
    scene.invite("ada@acme.example").await;
    scene.app.clock.advance(Duration::days(14));
    scene.invite("bob@acme.example").await;
    assert_eq!(scene.seats().await, (0, 1));
    follow(&scene).await;
    assert_eq!(scene.seats().await, (0, 1));
}
