//! Seats: reservations and grants under one limit, in races, never oversold and never in a circle of waiting.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tokio::task::JoinSet;
use usher::{
    access::{self, Answer, By, Ending, Full, Ledger, Offer, Reservation, Source},
    audit::Actor,
    claims::Role,
    ids::{ClientId, LearnerId, SublicenseId},
};
use uuid::Uuid;

use crate::support::{Admin, App};

const BASE: &str = "/api/v1/clients/acme";

struct Scene {
    app: App,
    operator: Admin,
    client: ClientId,
    main: SublicenseId,
    sales: SublicenseId,
}

impl Scene {
    async fn start() -> Self {
        Self::with(App::start().await).await
    }

    async fn with(app: App) -> Self {
        let operator = app.operator().await;
        operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
        operator.post(&format!("{BASE}/sublicenses"), json!({ "slug": "sales", "name": "Sales" })).await.ok();
        let client = usher::admin::find_client(&app.db, "acme").await.unwrap().unwrap();
        let list = operator.get(&format!("{BASE}/sublicenses")).await.ok();
        let id = |slug: &str| {
            let items = list["items"].as_array().unwrap();
            items.iter().find(|item| item["slug"] == slug).unwrap()["id"].as_str().unwrap().parse().unwrap()
        };
        let (main, sales) = (id("main"), id("sales"));
        Self { app, operator, client, main, sales }
    }

    async fn limit(&self, client: Option<i32>, sales: Option<i32>) {
        self.operator.patch(BASE, json!({ "seat_limit": client })).await.ok();
        let path = format!("{BASE}/sublicenses/{}", self.sales);
        self.operator.patch(&path, json!({ "seat_limit": sales })).await.ok();
    }

    async fn learners(&self, count: usize) -> Vec<LearnerId> {
        let now = self.app.clock.now();
        let ids: Vec<LearnerId> = (0..count).map(|_| self.app.entropy.id(now)).collect();
        let uuids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        sqlx::query(
            "insert into learners (client_id, id, sub, created_at, updated_at) select $1, id, id, $3, $3 from unnest($2::uuid[]) t (id)",
        )
        .bind(self.client.uuid())
        .bind(&uuids)
        .bind(now)
        .execute(&self.app.db)
        .await
        .unwrap();
        ids
    }

    fn offer(&self, learner: LearnerId, sublicenses: &[SublicenseId]) -> Offer {
        Offer {
            learner,
            source: Source::Admin,
            source_ref: "a test".into(),
            role: Role::Learner,
            sublicenses: sublicenses.to_vec(),
            starts_at: None,
            ends_at: None,
            access_days: None,
            reservation: None,
            overrides_block: false,
            by: by(),
        }
    }

    async fn take(&self, offer: Offer) -> Answer {
        take(&self.app, self.client, vec![offer]).await.remove(0)
    }

    async fn reserve(&self, holder: Uuid, sublicenses: &[SublicenseId], expires_at: DateTime<Utc>) -> Result<(), Full> {
        let mut transaction = self.app.begin().await.unwrap();
        let now = self.app.clock.now();
        let outcome =
            access::reserve(&mut transaction, self.client, holder, sublicenses, expires_at, now).await.unwrap();
        self.app.commit(transaction).await.unwrap();
        outcome
    }

    async fn release(&self, holder: Uuid) {
        let mut transaction = self.app.begin().await.unwrap();
        access::release(&mut transaction, self.client, holder, self.app.clock.now()).await.unwrap();
        self.app.commit(transaction).await.unwrap();
    }

    /// Used and reserved, as the API shows them.
    async fn shown(&self) -> (i64, i64) {
        let client = self.operator.get(BASE).await.ok();
        (client["seats_used"].as_i64().unwrap(), client["seats_reserved"].as_i64().unwrap())
    }

    async fn holders(&self, sublicense: Option<SublicenseId>) -> i64 {
        sqlx::query_scalar(
            "select count(distinct learner_id) from access_grants
             where client_id = $1 and ($2::uuid is null or sublicense_id = $2) and (ends_at is null or ends_at > $3)",
        )
        .bind(self.client.uuid())
        .bind(sublicense.map(SublicenseId::uuid))
        .bind(self.app.clock.now())
        .fetch_one(&self.app.db)
        .await
        .unwrap()
    }
}

fn by() -> By {
    By { actor: Actor::System, reference: None }
}

fn holder() -> Uuid {
    Uuid::from_bytes(usher::entropy::Entropy::default().bytes())
}

/// One transaction for all offers.
async fn take(app: &usher::app::App, client: ClientId, offers: Vec<Offer>) -> Vec<Answer> {
    let mut transaction = app.begin().await.unwrap();
    let learners: Vec<LearnerId> = offers.iter().map(|offer| offer.learner).collect();
    let sublicenses: Vec<SublicenseId> = offers.iter().flat_map(|offer| offer.sublicenses.clone()).collect();
    let mut ledger = Ledger::open(&mut transaction, client, &learners, &sublicenses, app.clock.now()).await.unwrap();
    let holders: Vec<Uuid> = offers.iter().filter_map(|offer| offer.reservation).collect();
    ledger.know_reservations(&mut transaction, &holders).await.unwrap();
    let answers = offers.iter().map(|offer| ledger.offer(offer)).collect();
    ledger.write(&mut transaction, &app.entropy).await.unwrap();
    app.commit(transaction).await.unwrap();
    answers
}

fn is_taken(answer: &Answer) -> bool {
    matches!(answer, Answer::Changed { .. })
}

#[tokio::test]
async fn a_reservation_holds_a_seat_until_it_is_used_released_or_over() {
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let scene = Scene::with(App::with().clock_at(start).start().await).await;
    scene.limit(Some(2), None).await;
    let learners = scene.learners(4).await;
    let (used, lapsing) = (holder(), holder());
    assert_eq!(scene.reserve(used, &[scene.main], start + Duration::days(9)).await, Ok(()));
    assert_eq!(scene.reserve(lapsing, &[scene.main], start + Duration::days(1)).await, Ok(()));
    assert_eq!(scene.reserve(holder(), &[scene.main], start + Duration::days(1)).await, Err(Full::Client));
    assert_eq!(scene.shown().await, (0, 2));
    assert_eq!(scene.take(scene.offer(learners[0], &[scene.main])).await, Answer::Full(Full::Client));
    // Who holds the reservation uses its seat.
    let mine = Offer { reservation: Some(used), ..scene.offer(learners[1], &[scene.main]) };
    assert!(is_taken(&scene.take(mine).await));
    assert_eq!(scene.shown().await, (1, 1));
    // One that is over counts no more, and is dropped when a seat is asked for.
    scene.app.clock.advance(Duration::days(1));
    assert_eq!(scene.shown().await, (1, 0));
    let late = Offer { reservation: Some(lapsing), ..scene.offer(learners[2], &[scene.main]) };
    assert!(is_taken(&scene.take(late).await));
    assert_eq!(scene.shown().await, (2, 0));
    assert_eq!(scene.take(scene.offer(learners[3], &[scene.main])).await, Answer::Full(Full::Client));
}

#[tokio::test]
async fn reserving_again_takes_no_further_seat_and_releasing_twice_gives_back_one() {
    let scene = Scene::start().await;
    scene.limit(Some(2), Some(1)).await;
    let (one, end) = (holder(), scene.app.clock.now() + Duration::days(1));
    for _ in 0..3 {
        assert_eq!(scene.reserve(one, &[scene.main, scene.sales], end).await, Ok(()));
    }
    assert_eq!(scene.shown().await, (0, 1));
    assert_eq!(scene.reserve(holder(), &[scene.sales], end).await, Err(Full::Sublicense(scene.sales)));
    assert_eq!(scene.reserve(holder(), &[scene.main], end).await, Ok(()));
    scene.release(one).await;
    scene.release(one).await;
    assert_eq!(scene.shown().await, (0, 1));
    assert_eq!(scene.reserve(holder(), &[scene.sales], end).await, Ok(()));
}

#[tokio::test]
async fn reservations_from_before_a_limit_count_under_it() {
    let scene = Scene::start().await;
    let end = scene.app.clock.now() + Duration::days(1);
    assert_eq!(scene.reserve(holder(), &[scene.main], end).await, Ok(()));
    scene.limit(Some(2), None).await;
    let learners = scene.learners(2).await;
    assert!(is_taken(&scene.take(scene.offer(learners[0], &[scene.main])).await));
    assert_eq!(scene.take(scene.offer(learners[1], &[scene.main])).await, Answer::Full(Full::Client));
    scene.limit(Some(3), None).await;
    assert!(is_taken(&scene.take(scene.offer(learners[1], &[scene.main])).await));
    assert_eq!(scene.shown().await, (2, 1));
}

#[tokio::test]
async fn lapsed_grants_make_room_and_ending_gives_back_at_once() {
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let scene = Scene::with(App::with().clock_at(start).start().await).await;
    scene.limit(Some(2), None).await;
    let learners = scene.learners(4).await;
    let short = Offer { access_days: Some(1), ..scene.offer(learners[0], &[scene.main]) };
    assert!(is_taken(&scene.take(short).await));
    assert!(is_taken(&scene.take(scene.offer(learners[1], &[scene.main, scene.sales])).await));
    assert_eq!(scene.take(scene.offer(learners[2], &[scene.main])).await, Answer::Full(Full::Client));
    scene.app.clock.advance(Duration::days(1));
    assert!(is_taken(&scene.take(scene.offer(learners[2], &[scene.main])).await));
    let end = async |sublicense| {
        let ending = Ending { learner: learners[1], sublicense, source: None, reason: "admin", by: by() };
        let mut transaction = scene.app.begin().await.unwrap();
        let now = scene.app.clock.now();
        let ended = access::end(&mut transaction, &scene.app.entropy, scene.client, &[ending], now).await.unwrap();
        scene.app.commit(transaction).await.unwrap();
        ended.concat()
    };
    assert_eq!(end(Some(scene.sales)).await, [scene.sales]);
    assert_eq!(scene.shown().await, (2, 0), "the other sublicense still holds the client's seat");
    assert_eq!(end(None).await, [scene.main]);
    assert_eq!(scene.shown().await, (1, 0));
    assert!(end(None).await.is_empty());
    assert!(is_taken(&scene.take(scene.offer(learners[3], &[scene.main])).await));
}

#[tokio::test]
async fn one_batch_is_served_in_order_and_each_offer_whole() {
    let scene = Scene::start().await;
    scene.limit(Some(3), Some(1)).await;
    let learners = scene.learners(4).await;
    let both = [scene.main, scene.sales];
    let offers = vec![
        scene.offer(learners[0], &both),
        scene.offer(learners[1], &both),
        scene.offer(learners[1], &[scene.main]),
        scene.offer(learners[2], &[scene.main]),
        scene.offer(learners[2], &[scene.main]),
        scene.offer(learners[3], &[scene.main]),
    ];
    let answers = take(&scene.app, scene.client, offers).await;
    assert!(is_taken(&answers[0]) && is_taken(&answers[2]) && is_taken(&answers[3]));
    assert_eq!(answers[1], Answer::Full(Full::Sublicense(scene.sales)));
    assert_eq!(answers[4], Answer::Nothing);
    assert_eq!(answers[5], Answer::Full(Full::Client));
    assert_eq!((scene.holders(None).await, scene.holders(Some(scene.sales)).await), (3, 1));
    let stranger: LearnerId = scene.app.entropy.id(scene.app.clock.now());
    assert_eq!(scene.take(scene.offer(stranger, &[scene.main])).await, Answer::NoLearner);
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_reservations_and_changes_of_the_limits_race_and_nothing_is_oversold() {
    let scene = Arc::new(Scene::start().await);
    scene.limit(Some(40), Some(15)).await;
    let learners = scene.learners(80).await;
    let mut tasks: JoinSet<()> = JoinSet::new();
    for (index, learner) in learners.iter().copied().enumerate() {
        let scene = scene.clone();
        tasks.spawn(async move {
            // Opposite orders of naming, and batches of two that meet in the middle.
            let named = if index % 2 == 0 { [scene.main, scene.sales] } else { [scene.sales, scene.main] };
            let offer = scene.offer(learner, &named[..1 + index % 2]);
            scene.take(offer).await;
            if index % 4 == 0 {
                let ending = Ending { learner, sublicense: None, source: None, reason: "admin", by: by() };
                let mut transaction = scene.app.begin().await.unwrap();
                let now = scene.app.clock.now();
                access::end(&mut transaction, &scene.app.entropy, scene.client, &[ending], now).await.unwrap();
                scene.app.commit(transaction).await.unwrap();
            }
        });
    }
    for index in 0..40 {
        let scene = scene.clone();
        tasks.spawn(async move {
            let now = scene.app.clock.now();
            let wishes: Vec<Reservation> = (0..2)
                .map(|_| Reservation {
                    client_seat: true,
                    holder: holder(),
                    sublicenses: if index % 2 == 0 { vec![scene.sales, scene.main] } else { vec![scene.main] },
                    // A third of them is over before it began.
                    expires_at: if index % 3 == 0 { now } else { now + Duration::days(1) },
                })
                .collect();
            let mut transaction = scene.app.begin().await.unwrap();
            access::reserve_many(&mut transaction, scene.client, &wishes, now).await.unwrap();
            scene.app.commit(transaction).await.unwrap();
            if index % 2 == 0 {
                scene.release(wishes[0].holder).await;
            }
        });
    }
    for _ in 0..3 {
        scene.limit(Some(41), Some(16)).await;
        scene.limit(Some(40), Some(15)).await;
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let now = scene.app.clock.now();
    let live = async |scope: Uuid| -> i64 {
        sqlx::query_scalar("select count(*) from seat_reservations where scope_id = $1 and expires_at > $2")
            .bind(scope)
            .bind(now)
            .fetch_one(&scene.app.db)
            .await
            .unwrap()
    };
    let counts = async || {
        let of_client = scene.holders(None).await + live(scene.client.uuid()).await;
        (of_client, scene.holders(Some(scene.sales)).await + live(scene.sales.uuid()).await)
    };
    // 41 and 16 were the highest limits that ever held.
    let (of_client, of_sales) = counts().await;
    assert!(of_client <= 41 && of_sales <= 16, "{of_client} {of_sales}");
    // What is free is found to the last seat: nothing leaked.
    let offers = learners.iter().map(|learner| scene.offer(*learner, &[scene.main])).collect();
    take(&scene.app, scene.client, offers).await;
    let offers = learners.iter().map(|learner| scene.offer(*learner, &[scene.main, scene.sales])).collect();
    take(&scene.app, scene.client, offers).await;
    let (of_client, of_sales) = counts().await;
    assert!((40..=41).contains(&of_client) && (15..=16).contains(&of_sales), "{of_client} {of_sales}");
}
