//! Guessing is slowed, and the honest learner is not locked out of their own browser.

use std::time::Duration;

use usher::{
    cache::{Allowance, Key, Slowing},
    http::text,
};

use super::{NEW, OLD, Scene};
use crate::support::{App, Page};

const ZOE: &str = "zoe@acme.example";

fn wait(page: &Page) -> u64 {
    assert!(page.says(text::accounts::SLOWED), "{}", page.text());
    page.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Wrong passwords until somebody has to wait.
async fn guess(scene: &Scene, email: &str, times: usize) {
    for _ in 0..times {
        scene.sign_in(&scene.app.browser(), "acme", email, NEW).await.expect(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_wrong_passwords_the_next_try_waits_even_with_the_right_one() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    guess(&scene, ZOE, 6).await;
    let page = scene.sign_in(&scene.app.browser(), "acme", ZOE, OLD).await.expect(429);
    assert!(wait(&page) <= 2);
    // By whichever client's page it is tried, on whichever replica.
    scene.sign_in(&scene.app.browser(), "globex", ZOE, OLD).await.expect(429);
    let replica = scene.app.replica();
    let browser = scene.app.browser().via(&replica);
    scene.sign_in(&browser, "acme", ZOE, OLD).await.expect(429);
    // Another address is not slowed by it.
    scene.account("acme", "bea@acme.example", OLD).await;
    scene.signed_in("acme", "bea@acme.example", OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_has_is_slowed_the_same() {
    let scene = Scene::start().await;
    guess(&scene, "nobody@acme.example", 6).await;
    let page = scene.sign_in(&scene.app.browser(), "acme", "nobody@acme.example", OLD).await.expect(429);
    assert!(wait(&page) <= 2);
}

/// Tries until one is let through.
async fn let_through(scene: &Scene, key: &Key, slowing: Slowing) {
    let tries = async {
        while scene.app.cache.count_try(key, slowing).await.unwrap() != Allowance::Allowed {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tries).await.expect("a wait comes to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_further_failure_doubles_the_wait_up_to_the_longest() {
    let scene = Scene::start().await;
    let (first, most) = (Duration::from_millis(400), Duration::from_millis(1000));
    let slowing = Slowing { free: 2, first, most, memory: Duration::from_secs(60) };
    let key = Key::global("test", "a");
    for _ in 0..2 {
        assert_eq!(scene.app.cache.count_try(&key, slowing).await.unwrap(), Allowance::Allowed);
    }
    for longest in [400, 800, 1000] {
        let_through(&scene, &key, slowing).await;
        let Allowance::RetryAfter(wait) = scene.app.cache.count_try(&key, slowing).await.unwrap() else {
            panic!("the next one waits")
        };
        let longest = Duration::from_millis(longest);
        assert!(wait <= longest && wait > longest / 2, "{wait:?} of {longest:?}");
    }
    scene.app.cache.take_back_try(&key).await.unwrap();
    assert_eq!(scene.app.cache.count_try(&key, slowing).await.unwrap(), Allowance::Allowed, "one that went well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_in_which_the_person_signed_in_before_is_counted_apart() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let own = scene.signed_in("acme", ZOE, OLD).await;
    guess(&scene, ZOE, 6).await;
    scene.sign_in(&scene.app.browser(), "acme", ZOE, OLD).await.expect(429);
    scene.sign_in(&own, "acme", ZOE, OLD).await.expect(303);
    // Its mark is no free ticket for guessing in that browser either.
    for _ in 0..6 {
        scene.sign_in(&own, "acme", ZOE, NEW).await.expect(422);
    }
    scene.sign_in(&own, "acme", ZOE, OLD).await.expect(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_a_sign_up_forgives_no_guess_at_the_owner_and_makes_no_browser_known() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.sign_up("acme", ZOE, "a stranger picked these words").await;
    guess(&scene, ZOE, 5).await;
    let stranger = scene.signed_in("acme", ZOE, "a stranger picked these words").await;
    assert!(stranger.cookie("usher_known").is_none());
    guess(&scene, ZOE, 1).await;
    scene.sign_in(&stranger, "acme", ZOE, NEW).await.expect(429);
    scene.sign_in(&scene.app.browser(), "acme", ZOE, OLD).await.expect(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_of_one_person_is_none_for_another_and_a_bent_one_is_none_at_all() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    scene.account("acme", "eve@acme.example", OLD).await;
    let eve = scene.signed_in("acme", "eve@acme.example", OLD).await;
    let mark = eve.cookie("usher_known").unwrap().value;
    guess(&scene, ZOE, 6).await;
    scene.sign_in(&eve, "acme", ZOE, OLD).await.expect(429);
    for bent in [format!("A{}", &mark[1..]), mark[..mark.len() - 1].to_owned(), "x".repeat(500)] {
        let browser = scene.app.browser();
        browser.set_cookie("localhost", "usher_known", &bent);
        scene.sign_in(&browser, "acme", ZOE, OLD).await.expect(429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_address_that_fails_for_many_people_waits_and_others_do_not() {
    let scene = Scene::with(App::with().settings(|raw| {
        raw.accounts.free_tries_per_address = 3;
        raw.server.trusted_proxies = vec!["127.0.0.0/8".into()];
    }))
    .await;
    scene.account("acme", ZOE, OLD).await;
    let from = |address: &str| {
        let mut browser = scene.app.browser();
        browser.headers = vec![("x-forwarded-for".into(), address.into())];
        browser
    };
    for number in 0..4 {
        let (email, address) = (format!("guess{number}@acme.example"), format!("2001:db8:0:1::{number}"));
        scene.sign_in(&from(&address), "acme", &email, NEW).await.expect(422);
    }
    let page = scene.sign_in(&from("2001:db8:0:1:ffff::1"), "acme", ZOE, OLD).await.expect(429);
    assert!(wait(&page) <= 2, "an IPv6 /64 counts as one");
    scene.sign_in(&from("2001:db8:0:2::1"), "acme", ZOE, OLD).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_that_are_sent_at_once_are_all_counted() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    let guesses =
        (0..24).map(|_| async { scene.sign_in(&scene.app.browser(), "acme", ZOE, NEW).await.status.as_u16() });
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|status| **status == 422).count();
    assert!(looked_at <= 6, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_who_sets_a_new_password_does_not_wait_for_what_others_guessed() {
    let scene = Scene::start().await;
    scene.account("acme", ZOE, OLD).await;
    guess(&scene, ZOE, 6).await;
    scene.forgot("acme", ZOE).await;
    let link = scene.link(ZOE, "password_reset").await;
    let browser = scene.app.browser();
    scene.use_link(&browser, &link, NEW).await.expect(200);
    scene.sign_in(&browser, "acme", ZOE, NEW).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_browser_gets_through_while_its_client_is_flooded() {
    let scene = Scene::with(App::with().settings(|raw| raw.limits.sign_in_per_client = "3/1h".into())).await;
    scene.account("acme", ZOE, OLD).await;
    let own = scene.signed_in("acme", ZOE, OLD).await;
    let flood = async |number: usize| {
        scene.sign_in(&scene.app.browser(), "acme", &format!("x{number}@acme.example"), NEW).await.status.as_u16()
    };
    assert_eq!([flood(1).await, flood(2).await, flood(3).await], [422, 422, 429]);
    scene.sign_in(&own, "acme", ZOE, OLD).await.expect(303);
}
