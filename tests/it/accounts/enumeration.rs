//! Nobody finds out by asking whether an address is known: the same bytes, the same status, about the same time.

use std::time::{Duration, Instant};

use super::{NEW, OLD, Scene};
use crate::support::Page;

/// An account here, a provisional learner, an account elsewhere only, a learner of single sign-on, and nobody.
const ADDRESSES: [&str; 5] =
    ["acc@mail.example", "pro@mail.example", "els@mail.example", "sso@mail.example", "nix@mail.example"];

async fn scene() -> Scene {
    let scene = Scene::with(crate::support::App::with().settings(|raw| {
        raw.accounts.free_tries = 100;
        raw.accounts.free_tries_per_address = 1_000_000;
    }))
    .await;
    scene.account("acme", ADDRESSES[0], OLD).await;
    scene.sign_up("acme", ADDRESSES[1], OLD).await;
    scene.account("globex", ADDRESSES[2], OLD).await;
    scene.sso_learner("acme", ADDRESSES[3]).await;
    scene
}

/// What the answer holds, but for the address that was typed and what differs with every request.
fn bytes(page: &Page, address: &str) -> String {
    let mut headers: Vec<String> = page
        .headers
        .iter()
        .filter(|(name, _)| !["date", "usher-reference"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{}\n{}\n{}", page.status, headers.join("\n"), page.html.replace(address, "ADDRESS"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_gets_the_same_answer_at_the_sign_in() {
    let scene = scene().await;
    let mut answers = Vec::new();
    for address in ADDRESSES {
        let browser = scene.app.browser();
        let page = browser.open(scene.app.url("/acme/login")).await;
        let asked = browser.submit(&page.form().fill("email", address)).await.expect(200);
        let refused = browser.submit(&asked.form().fill("password", NEW)).await.expect(422);
        answers.push((bytes(&asked, address), bytes(&refused, address)));
    }
    for (address, answer) in ADDRESSES.iter().zip(&answers) {
        assert_eq!(answer, &answers[4], "{address}");
    }
    // The positive twin: with the right password it is another answer.
    scene.sign_in(&scene.app.browser(), "acme", ADDRESSES[0], OLD).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_gets_the_same_answer_after_the_same_time_when_a_password_is_forgotten() {
    let scene = scene().await;
    let mut answers = Vec::new();
    for address in ADDRESSES {
        let started = Instant::now();
        let page = scene.forgot("acme", address).await.expect(200);
        assert!(started.elapsed() >= Duration::from_millis(250), "no answer comes sooner than the work could take");
        answers.push(bytes(&page, address));
    }
    for (address, answer) in ADDRESSES.iter().zip(&answers) {
        assert_eq!(answer, &answers[4], "{address}");
    }
    let mut mailed = Vec::new();
    for address in ADDRESSES {
        mailed.push(scene.kinds(address).await.len());
    }
    assert_eq!(mailed, [1, 2, 0, 0, 0], "a mail goes only where there is something to reset or to confirm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_costs_as_many_comparisons_whatever_the_address_has() {
    let scene = scene().await;
    let mut costs = Vec::new();
    for address in ADDRESSES {
        let before = scene.app.passwords.comparisons();
        scene.sign_in(&scene.app.browser(), "acme", address, NEW).await.expect(422);
        costs.push(scene.app.passwords.comparisons() - before);
    }
    assert!(costs[0] > 1 && costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_does_the_same_whoever_has_the_address() {
    let scene = scene().await;
    for address in ADDRESSES {
        let before = scene.learners(address).await.len();
        let learner = scene.sign_up("acme", address, NEW).await;
        let found = scene.learners(address).await;
        assert_eq!(found.len(), before + 1);
        assert!(found.contains(&(learner, false)), "always a new learner, and never a verified one");
        assert!(scene.is_in(&scene.signed_in("acme", address, NEW).await, "acme").await);
    }
}
