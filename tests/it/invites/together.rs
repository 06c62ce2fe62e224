//! Races, run and not reasoned about: two clicks, a click and a sign-in, the last seat, two admins.

use futures_util::future::join_all;
use serde_json::{Value, json};
use usher::{
    access::By,
    audit::Actor,
    ids::{InviteId, LearnerId},
    invites::{self, How, NotAccepted},
};

use super::{INVITES, PASSWORD, Scene, id};
use crate::support::App;

async fn scene() -> Scene {
    Scene::with(App::with().clock_at(super::now()).start().await).await
}

/// A learner of the client with this address, verified or not.
async fn learner(scene: &Scene, email: &str, is_verified: bool) -> LearnerId {
    let id: LearnerId = scene.app.entropy.id(scene.app.clock.now());
    let sql = "insert into learners (client_id, id, sub, email, email_key, email_verified, created_at, updated_at)
               values ($1, $2, $2, $3, $3, $4, $5, $5)";
    let insert = sqlx::query(sql).bind(scene.client.uuid()).bind(id.uuid()).bind(email).bind(is_verified);
    insert.bind(scene.app.clock.now()).execute(&scene.app.db).await.unwrap();
    id
}

fn by(learner: LearnerId) -> By {
    By { actor: Actor::Learner(learner), reference: Some("TEST".into()) }
}

async fn accept(scene: &Scene, invite: &Value, learner: LearnerId) -> Result<bool, NotAccepted> {
    let invite: InviteId = id(invite).parse().unwrap();
    let mut tx = scene.app.begin().await.unwrap();
    let now = scene.app.clock.now();
    let by = by(learner);
    let accepted =
        invites::accept_within(&mut tx, &scene.app.entropy, scene.client, invite, learner, (How::Sso, &by), now)
            .await?;
    tx.commit().await.unwrap();
    Ok(accepted.was_before)
}

async fn consume(scene: &Scene, email: &str, learner: LearnerId) -> Option<bool> {
    let mut tx = scene.app.begin().await.unwrap();
    let now = scene.app.clock.now();
    let by = by(learner);
    let used =
        invites::consume_by_address(&mut tx, &scene.app.entropy, scene.client, learner, email, &by, now).await.unwrap();
    tx.commit().await.unwrap();
    used.map(|accepted| accepted.was_before)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clicks_at_once_are_one_acceptance_and_both_get_in() {
    let scene = scene().await;
    scene.limit_seats(5).await;
    let other = scene.app.replica();
    for round in 0..3 {
        let invite = scene.invite(&format!("p{round}@acme.example")).await;
        let link = scene.link(&invite).await;
        let (one, two) = (scene.app.browser(), other.browser());
        let form = |page: &crate::support::Page| {
            page.form_with("first_name").fill("password", PASSWORD).press("step", "password")
        };
        let (first, second) = (form(&one.open(&link).await), form(&two.open(&link).await));
        let (first, second) = tokio::join!(one.submit(&first), two.submit(&second));
        for answer in [&first, &second] {
            assert_eq!(answer.location().path(), "/acme/dashboard", "{}", answer.text());
        }
        for browser in [&one, &two] {
            browser.open(scene.app.url("/acme/dashboard")).await.expect(200);
        }
        assert_eq!(scene.learners().await.len(), round + 1);
        assert_eq!(scene.events("invite.accepted").await, round + 1);
    }
    assert_eq!(scene.seats().await, (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_and_a_sign_in_at_once_are_one_acceptance() {
    let scene = scene().await;
    scene.limit_seats(20).await;
    for round in 0..5 {
        let email = format!("p{round}@acme.example");
        let invite = scene.invite(&email).await;
        let person = learner(&scene, &email, true).await;
        let (clicked, came) = tokio::join!(accept(&scene, &invite, person), consume(&scene, &email, person));
        // Whoever came second finds it done: as idempotent success, or as no open invite at all.
        let firsts = usize::from(!clicked.unwrap()) + usize::from(came == Some(false));
        assert_eq!(firsts, 1, "{came:?}");
        assert_eq!(scene.status(&invite).await, "accepted");
        assert_eq!(consume(&scene, &email, person).await, None, "it is used up");
    }
    assert_eq!((scene.events("invite.accepted").await, scene.events("access.granted").await), (5, 5));
    assert_eq!(scene.seats().await, (5, 0));
}

#[tokio::test]
async fn an_invite_is_used_up_by_whoever_proves_its_address_and_by_nobody_else() {
    let scene = scene().await;
    let invite = scene.invite("ada@acme.example").await;
    let bob = learner(&scene, "bob@acme.example", true).await;
    let unproved = learner(&scene, "ada@acme.example", false).await;
    let refused = accept(&scene, &invite, bob).await.unwrap_err();
    let NotAccepted::OtherAddress { invited, own } = refused else { panic!("{refused:?}") };
    assert_eq!((invited.as_str(), own.as_deref()), ("a•••@acme.example", Some("b•••@acme.example")));
    assert!(matches!(accept(&scene, &invite, unproved).await, Err(NotAccepted::Unproved { .. })));
    assert_eq!(consume(&scene, "ada@acme.example", unproved).await, None);
    assert_eq!(consume(&scene, "ada@acme.example", bob).await, None, "somebody else's address is no way around");
    let ada = learner(&scene, "ada@acme.example", true).await;
    assert_eq!(consume(&scene, "ada@acme.example", ada).await, Some(false));
    assert!(accept(&scene, &invite, ada).await.unwrap(), "once more is the same");
    assert!(matches!(accept(&scene, &invite, bob).await, Err(NotAccepted::NotOpen(_))));
    assert_eq!(scene.read(&invite).await["learner"], json!(ada));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_seat_is_reserved_once_however_many_admins_invite() {
    let scene = scene().await;
    scene.limit_seats(3).await;
    let (scene, other) = (&scene, scene.app.replica());
    let operators = [scene.operator.clone(), other.operator().await];
    let calls = (0..12).map(|n| {
        let operator = &operators[n % 2];
        async move { operator.post(INVITES, json!({ "email": format!("p{n}@acme.example") })).await }
    });
    let answers = join_all(calls).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let full = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((made, full), (3, 9), "{answers:?}");
    assert_eq!(scene.seats().await, (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_who_invite_one_address_at_once_make_one_invite_and_hold_one_seat() {
    let scene = scene().await;
    scene.limit_seats(5).await;
    let calls = (0..6).map(|_| scene.operator.post(INVITES, json!({ "email": "ada@acme.example" })));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 201 | 429)), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let list = scene.operator.get(INVITES).await.ok();
    assert_eq!((list["items"].as_array().unwrap().len(), scene.seats().await), (1, (0, 1)));
    let sent: i64 = sqlx::query_scalar("select count(*) from invite_links").fetch_one(&scene.app.db).await.unwrap();
    assert_eq!(list["items"][0]["times_sent"], sent);
    assert!(sent <= 4, "{sent}");
    let good: i64 = sqlx::query_scalar("select count(*) from invite_links where replaced_at is null")
        .fetch_one(&scene.app.db)
        .await
        .unwrap();
    assert_eq!(good, 1, "every link but the newest is dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_and_revoking_at_once_is_one_of_the_two_and_the_seats_agree() {
    let scene = scene().await;
    scene.limit_seats(10).await;
    let mut accepted = 0;
    for round in 0..6 {
        let email = format!("p{round}@acme.example");
        let invite = scene.invite(&email).await;
        let person = learner(&scene, &email, true).await;
        let revoke = format!("{INVITES}/{}/revoke", id(&invite));
        let (taken, revoked) = tokio::join!(accept(&scene, &invite, person), scene.operator.post(&revoke, json!({})));
        assert_ne!(taken.is_ok(), revoked.status == 200, "{taken:?} {revoked:?}");
        accepted += i64::from(taken.is_ok());
    }
    assert_eq!(scene.seats().await, (accepted, 0));
}
