//! Hundreds of invites in one transaction, as an import makes them.

use chrono::Duration;
use serde_json::json;
use usher::{
    access::Full,
    admin::Author,
    claims::Role,
    ids::SublicenseId,
    invites::{self, Again, Foreseen, NewInvite, Order, Outcome},
    learners::EmailAddress,
    mail::MailOutcome,
};

use super::{INVITES, Scene, id};

async fn part(scene: &Scene, slug: &str) -> SublicenseId {
    let list = scene.operator.get("/api/v1/clients/acme/sublicenses").await.ok();
    let found = list["items"].as_array().unwrap().iter().find(|part| part["slug"] == slug).unwrap()["id"].clone();
    found.as_str().unwrap().parse().unwrap()
}

fn new(email: &str, sublicenses: &[SublicenseId]) -> NewInvite {
    NewInvite {
        email: EmailAddress::parse(email).unwrap(),
        first_name: String::new(),
        last_name: String::new(),
        locale: None,
        role: Role::Learner,
        sublicenses: sublicenses.to_vec(),
        message: None,
        expires_at: None,
    }
}

async fn create(scene: &Scene, wishes: &[NewInvite], again: Again) -> Vec<Outcome> {
    let mut tx = scene.app.begin().await.unwrap();
    let author = Author::system(&scene.app.entropy, scene.app.clock.now());
    let order = Order { invites: wishes, again, import: Some("imp_00000000000000000000000000000001") };
    let outcomes = invites::create_many(&mut tx, &scene.app, author, scene.client, order).await.unwrap();
    tx.commit().await.unwrap();
    outcomes
}

#[tokio::test]
async fn each_row_has_its_own_outcome_and_the_good_ones_are_made() {
    let scene = Scene::start().await;
    let sales = part(&scene, "sales").await;
    let (_, member) = scene.member("member@acme.example").await;
    let (_, gone) = scene.member("gone@acme.example").await;
    let gone = gone["id"].as_str().unwrap().to_owned();
    scene.operator.patch(&format!("/api/v1/clients/acme/learners/{gone}"), json!({ "status": "suspended" })).await.ok();
    let open = scene.invite("open@acme.example").await;
    let bounced = scene.invite("bounced@acme.example").await;
    scene.hear(&bounced, MailOutcome::Bounced).await;
    let lost = SublicenseId::from(uuid::Uuid::from_u128(7));
    let wishes = [
        new("one@acme.example", &[sales]),
        new("member@acme.example", &[sales]),
        new("gone@acme.example", &[sales]),
        new("open@acme.example", &[sales]),
        new("bounced@acme.example", &[sales]),
        new("ONE@acme.example", &[sales]),
        new("two@acme.example", &[lost]),
        new("three@acme.example", &[sales]),
    ];
    let mut conn = scene.app.acquire().await.unwrap();
    let seen = invites::foresee(&mut conn, scene.client, &wishes, Again::Leave, super::now()).await.unwrap();
    let outcomes = create(&scene, &wishes, Again::Leave).await;
    let (Outcome::Invited(one), Outcome::Invited(_)) = (outcomes[0], outcomes[7]) else { panic!("{outcomes:?}") };
    let rest = [
        Outcome::AlreadyLearner(member["id"].as_str().unwrap().parse().unwrap()),
        Outcome::Suspended(gone.parse().unwrap()),
        Outcome::AlreadyInvited(id(&open).parse().unwrap()),
        Outcome::AlreadyInvited(id(&bounced).parse().unwrap()),
        Outcome::AlreadyInvited(one),
        Outcome::Ended(lost),
    ];
    assert_eq!(outcomes[1..7], rest);
    for (foreseen, outcome) in seen.iter().zip(&outcomes) {
        match foreseen {
            Foreseen::Send { .. } => assert!(outcome.is_sent() || *outcome == Outcome::AlreadyInvited(one)),
            Foreseen::Stop(stopped) => assert_eq!(stopped, outcome),
        }
    }
    let renewed = create(&scene, &wishes, Again::Renew).await;
    assert_eq!(renewed[3], Outcome::Renewed(id(&open).parse().unwrap()));
    assert_eq!(renewed[4], Outcome::Bounced(id(&bounced).parse().unwrap()));
    assert_eq!((renewed[0], renewed[5]), (Outcome::Renewed(one), Outcome::AlreadyInvited(one)));
}

#[tokio::test]
async fn hundreds_are_made_with_their_links_mails_and_events_and_the_seats_go_to_the_first() {
    let scene = Scene::start().await;
    scene.limit_seats(300).await;
    let sales = part(&scene, "sales").await;
    let wishes: Vec<NewInvite> = (0..400).map(|n| new(&format!("p{n}@acme.example"), &[sales])).collect();
    let outcomes = create(&scene, &wishes, Again::Leave).await;
    assert!(outcomes[..300].iter().all(|outcome| matches!(outcome, Outcome::Invited(_))));
    assert!(outcomes[300..].iter().all(|outcome| *outcome == Outcome::SeatsFull(Full::Client)));
    assert_eq!(scene.seats().await, (0, 300));
    let sql = "select (select count(*) from invites), (select count(*) from invite_links),
                      (select count(*) from mails where link_sealed is not null), (select count(*) from invite_sublicenses),
                      (select count(*) from outbox_events where type = 'invite.created'),
                      (select count(*) from audit_events where action = 'invite.created')";
    let counts: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(sql).fetch_one(&scene.app.db).await.unwrap();
    assert_eq!(counts, (300, 300, 300, 300, 300, 300));
    let shown = scene.operator.get(&format!("{INVITES}?limit=1")).await.ok();
    assert_eq!(shown["items"][0]["import"], "imp_00000000000000000000000000000001");
    // The next day the same file changes nothing.
    scene.app.clock.advance(Duration::days(2));
    let again = create(&scene, &wishes[..300], Again::Leave).await;
    assert!(again.iter().all(|outcome| matches!(outcome, Outcome::AlreadyInvited(_))));
    assert_eq!(create(&scene, &[], Again::Leave).await, []);
}
