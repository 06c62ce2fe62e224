//! Who guesses codes is slowed, on every replica alike, and nobody else is.

use std::net::IpAddr;

use usher::{
    http::{
        ClientAddress,
        guessing::{self, NotAdmitted, Source},
    },
    ids::{ClientId, LearnerId},
};

use crate::support::App;

async fn app() -> App {
    let limits = |raw: &mut usher::config::Raw| {
        raw.limits.code_failures_per_learner = "10/1h".into();
        raw.limits.code_failures_per_address = "10/1h".into();
        raw.limits.code_failures_per_client = "50/1h".into();
    };
    App::with().settings(limits).start().await
}

fn client() -> ClientId {
    ClientId::from(uuid::Uuid::from_u128(1))
}

fn from(address: &str) -> Source {
    let address: IpAddr = address.parse().unwrap();
    Source { client: client(), learner: None, address: ClientAddress(address) }
}

fn learner(number: u128, address: &str) -> Source {
    Source { learner: Some(LearnerId::from(uuid::Uuid::from_u128(number))), ..from(address) }
}

/// Tries one code; true when it was looked at.
async fn tries(app: &App, source: Source, is_wrong: bool) -> bool {
    match guessing::admit(app, source, 1).await {
        Ok(admitted) => {
            guessing::settle(app, admitted, usize::from(is_wrong), 0).await.unwrap();
            true
        }
        Err(NotAdmitted::Slowed(wait)) => {
            assert!(!wait.is_zero() && wait <= std::time::Duration::from_secs(3600), "{wait:?}");
            false
        }
        Err(NotAdmitted::Fault(fault)) => panic!("{fault}"),
    }
}

async fn wrong(app: &App, source: Source, times: usize) -> usize {
    let mut looked_at = 0;
    for _ in 0..times {
        looked_at += usize::from(tries(app, source, true).await);
    }
    looked_at
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_slowed_and_genuine_ones_cost_nothing() {
    let app = app().await;
    for _ in 0..100 {
        assert!(tries(&app, from("192.0.2.1"), false).await);
    }
    assert_eq!(wrong(&app, from("192.0.2.1"), 30).await, 10);
    assert!(!tries(&app, from("192.0.2.1"), false).await, "what is not looked at tells nobody whether it is genuine");
    assert!(tries(&app, from("192.0.2.2"), false).await, "another address is not slowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_sent_at_once_are_not_looked_at_faster_than_one_after_the_other() {
    let app = app().await;
    let tries = (0..200).map(|_| guessing::admit(&app, from("192.0.2.1"), 1));
    let admitted = futures_util::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(admitted, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_office_with_one_address_redeems_on_although_some_mistype() {
    let app = app().await;
    for person in 0..200 {
        if person % 4 == 0 {
            assert!(tries(&app, from("192.0.2.1"), true).await, "person {person} mistypes");
        }
        let admitted = guessing::admit(&app, from("192.0.2.1"), 1).await.expect("a genuine code is looked at");
        guessing::settle(&app, admitted, 0, 1).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_inside_the_same_64_is_the_same_source_and_so_is_a_whole_site_in_the_end() {
    let app = app().await;
    let mut looked_at = 0;
    for host in 0..50 {
        looked_at += wrong(&app, from(&format!("2001:db8:1:1::{host:x}")), 1).await;
    }
    assert_eq!(looked_at, 10);
    // A fresh /64 each time, all of one /48: its budget is eight times as large, then each /64 has a fifth.
    for subnet in 2..40 {
        wrong(&app, from(&format!("2001:db8:1:{subnet:x}::1")), 10).await;
    }
    assert_eq!(wrong(&app, from("2001:db8:1:aaaa::1"), 10).await, 2);
    assert!(tries(&app, from("2001:db8:2:1::1"), false).await, "the neighbouring site is not slowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_counts_the_same() {
    let app = app().await;
    let replica = app.replica();
    assert_eq!(wrong(&app, from("192.0.2.1"), 6).await + wrong(&replica, from("192.0.2.1"), 20).await, 10);
    assert!(!tries(&app, from("192.0.2.1"), false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_in_learner_is_judged_by_their_own_failures_and_not_by_their_neighbours() {
    let app = app().await;
    assert_eq!(wrong(&app, from("192.0.2.1"), 30).await, 10);
    assert!(tries(&app, learner(1, "192.0.2.1"), false).await);
    // While the address is over its budget, whoever fails there has a fifth of their own.
    assert_eq!(wrong(&app, learner(1, "192.0.2.1"), 20).await, 2);
    assert_eq!(wrong(&app, learner(1, "192.0.2.9"), 20).await, 8, "the budget goes with the learner");
    assert_eq!(wrong(&app, learner(1, "192.0.2.7"), 20).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_under_attack_slows_who_fails_and_lets_the_others_through() {
    let app = app().await;
    for host in 1..=5 {
        assert_eq!(wrong(&app, from(&format!("198.51.100.{host}")), 10).await, 10);
    }
    for host in 6..=20 {
        assert_eq!(wrong(&app, from(&format!("198.51.100.{host}")), 10).await, 2, "host {host}");
    }
    assert!(tries(&app, from("203.0.113.1"), false).await);
    assert!(tries(&app, learner(1, "198.51.100.1"), false).await);
    let elsewhere = Source { client: ClientId::from(uuid::Uuid::from_u128(2)), ..from("203.0.113.2") };
    assert_eq!(wrong(&app, elsewhere, 10).await, 10, "another client is not under attack");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_no_code_is_looked_at() {
    let app = App::with().flaky().start().await;
    app.redis().cut();
    let refused = guessing::admit(&app, from("192.0.2.1"), 1).await;
    assert!(matches!(refused, Err(NotAdmitted::Fault(fault)) if fault.is_passing()));
}
