//! What a row comes to, for everybody it may mean.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::imports::{model::ImportOptions, target::Part};

fn now() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().expect("a time")
}

fn sub(number: u128) -> SublicenseId {
    Uuid::from_u128(number).into()
}

fn target() -> Target {
    let part = |number: u128, slug: &str, days, ends_at| Part {
        id: sub(number),
        slug: slug.into(),
        sku: Some(format!("SKU-{number}")),
        is_default: number == 1,
        access_days: days,
        ends_at,
    };
    Target {
        is_active: true,
        license_ends_at: None,
        sublicenses: vec![
            part(1, "main", None, None),
            part(2, "sales", Some(30), None),
            part(3, "old", None, Some(now())),
        ],
    }
}

fn ada() -> Person {
    Person {
        id: Uuid::from_u128(99).into(),
        email_key: Some("ada@acme.example".into()),
        email_verified: true,
        is_unclaimed: false,
        is_suspended: false,
        profile: Fields { first_name: "Ada".into(), external_id: Some("E-1".into()), ..Fields::default() },
        held: Vec::new(),
        blocked: Vec::new(),
    }
}

fn held(number: u128, source: Source) -> Held {
    let source_ref = "x".into();
    Held { sublicense: sub(number), source, source_ref, role: Role::Learner, ends_at: None }
}

fn row(value: serde_json::Value) -> RowData {
    serde_json::from_value(value).expect("a row")
}

fn to_ada() -> RowData {
    row(json!({ "email": "Ada@ACME.example" }))
}

fn planned(people: Vec<Person>, invited: &[&str], data: &RowData, options: &ImportOptions) -> Result<Plan, Found> {
    let invites = invited.iter().map(|address| ((*address).to_owned(), Uuid::from_u128(5).into())).collect();
    let (target, directory) = (target(), Directory::new(people, invites));
    let scene = Scene { target: &target, directory: &directory, clear_blocks: options.clear_blocks, now: now() };
    let wish = target.wish(data, options, now())?;
    plan(&scene, data, &wish)
}

fn outcome(people: Vec<Person>, data: &RowData) -> Outcome {
    planned(people, &[], data, &ImportOptions::default()).expect("a plan").outcome
}

fn flaw(people: Vec<Person>, data: &RowData) -> Flaw {
    planned(people, &[], data, &ImportOptions::default()).expect_err("a flaw").flaw
}

#[test]
fn somebody_new_is_made_or_invited() {
    let options = ImportOptions { send_invite: true, ..ImportOptions::default() };
    let made = planned(vec![], &[], &to_ada(), &ImportOptions::default()).expect("a plan");
    assert_eq!((made.outcome, made.steps.grant, made.steps.seats), (Outcome::Create, vec![sub(1)], vec![sub(1)]));
    let invited = planned(vec![], &[], &to_ada(), &options).expect("a plan");
    assert_eq!((invited.outcome, invited.steps.invite, invited.steps.create), (Outcome::Invite, vec![sub(1)], None));
    // What an invite cannot carry waits in a record without access.
    let data = row(json!({ "email": "ada@acme.example", "external_id": "E-9" }));
    let both = planned(vec![], &[], &data, &options).expect("a plan");
    assert_eq!(both.steps.create.expect("a record").external_id.as_deref(), Some("E-9"));
    assert_eq!(both.steps.grant, []);
    for options in [options, ImportOptions::default()] {
        let again = planned(vec![], &["ada@acme.example"], &to_ada(), &options).expect("a plan");
        assert_eq!((again.outcome, again.steps), (Outcome::AlreadyInvited, Steps::default()));
    }
}

#[test]
fn an_address_that_nobody_proved_finds_nobody() {
    let claimed = Person { email_verified: false, ..ada() };
    assert_eq!(outcome(vec![claimed.clone()], &to_ada()), Outcome::Create);
    // The record of an earlier import is found, and the one who proved the address before it.
    let unclaimed = Person { is_unclaimed: true, held: vec![held(1, Source::Import)], ..claimed };
    assert_eq!(outcome(vec![unclaimed.clone()], &to_ada()), Outcome::AlreadyThere);
    let proved = Person { id: Uuid::from_u128(1).into(), profile: Fields::default(), ..ada() };
    for people in [vec![unclaimed.clone(), proved.clone()], vec![proved, unclaimed]] {
        let plan = planned(people, &[], &to_ada(), &ImportOptions::default()).expect("a plan");
        assert_eq!(plan.learner, Some(Uuid::from_u128(1).into()));
    }
}

#[test]
fn the_external_id_counts_before_the_address() {
    let moved = row(json!({ "email": "ada@new.example", "external_id": "E-1" }));
    let plan = planned(vec![ada()], &[], &moved, &ImportOptions::default()).expect("a plan");
    assert_eq!(plan.learner, Some(ada().id));
    let bob =
        |id: u128| Person { id: Uuid::from_u128(id).into(), email_key: Some(format!("bob{id}@acme.example")), ..ada() };
    let other = Person { profile: Fields::default(), ..bob(50) };
    let theirs = row(json!({ "email": "bob50@acme.example", "external_id": "E-1" }));
    assert_eq!(flaw(vec![ada(), other], &theirs), Flaw::ExternalIdTaken);
    assert_eq!(flaw(vec![ada(), bob(51)], &row(json!({ "external_id": "E-1" }))), Flaw::ExternalIdAmbiguous);
    assert_eq!(
        outcome(vec![ada(), bob(51)], &row(json!({ "email": "bob51@acme.example", "external_id": "E-1" }))),
        Outcome::Update
    );
    assert_eq!(flaw(vec![], &row(json!({ "external_id": "E-1" }))), Flaw::EmailMissing);
}

#[test]
fn the_same_file_again_changes_nothing_and_lengthens_nothing() {
    let mut there = ada();
    there.held = vec![Held { ends_at: Some(now() + chrono::Duration::days(3)), ..held(2, Source::Import) }];
    let again = row(json!({ "email": "ada@acme.example", "first_name": "Ada", "sublicenses": ["SALES"] }));
    assert_eq!(outcome(vec![there.clone()], &again), Outcome::AlreadyThere);
    // What a code gave for three days is lengthened.
    there.held[0].source = Source::RegistrationCode;
    assert_eq!(outcome(vec![there], &again), Outcome::Update);
}

#[test]
fn only_cells_that_are_filled_in_change_fields() {
    let there = Person { held: vec![held(1, Source::Sso)], ..ada() };
    let data = row(json!({ "email": "ada@acme.example", "last_name": "Lovelace", "attributes": { "team": "A" } }));
    let plan = planned(vec![there], &[], &data, &ImportOptions::default()).expect("a plan");
    let (after, fields) = plan.steps.update.expect("a change");
    assert_eq!(fields, ["last_name", "attributes"]);
    assert_eq!((after.first_name.as_str(), after.external_id.as_deref()), ("Ada", Some("E-1")));
    assert_eq!(plan.steps.grant, []);
}

#[test]
fn the_suspended_and_the_blocked_are_left_alone_unless_blocks_are_cleared() {
    assert_eq!(outcome(vec![Person { is_suspended: true, ..ada() }], &to_ada()), Outcome::Suspended);
    let blocked = Person { blocked: vec![sub(1)], ..ada() };
    assert_eq!(outcome(vec![blocked.clone()], &to_ada()), Outcome::Blocked);
    let options = ImportOptions { clear_blocks: true, ..ImportOptions::default() };
    let plan = planned(vec![blocked], &[], &to_ada(), &options).expect("a plan");
    assert_eq!((plan.outcome, plan.steps.unblock, plan.steps.grant), (Outcome::Update, vec![sub(1)], vec![sub(1)]));
}

#[test]
fn a_move_ends_what_imports_and_admins_gave_and_nothing_else() {
    let there = Person { held: vec![held(1, Source::Import), held(3, Source::Sso), held(2, Source::Admin)], ..ada() };
    let data = row(json!({ "email": "ada@acme.example", "sublicenses": ["sales"], "action": "move" }));
    let plan = planned(vec![there], &[], &data, &ImportOptions::default()).expect("a plan");
    assert_eq!(plan.steps.ends, vec![held(1, Source::Import)]);
    assert_eq!((plan.outcome, plan.steps.grant), (Outcome::Update, vec![]));
}

#[test]
fn a_removal_ends_whatever_granted_it_and_blocks() {
    let there = Person { held: vec![held(1, Source::Sso), held(2, Source::Import)], ..ada() };
    let one = row(json!({ "email": "ada@acme.example", "sublicenses": ["main"], "action": "remove" }));
    let plan = planned(vec![there.clone()], &[], &one, &ImportOptions::default()).expect("a plan");
    assert_eq!((plan.steps.ends, plan.steps.block), (vec![held(1, Source::Sso)], vec![sub(1)]));
    let all = row(json!({ "email": "ada@acme.example", "action": "remove" }));
    let plan = planned(vec![there], &["ada@acme.example"], &all, &ImportOptions::default()).expect("a plan");
    assert_eq!((plan.steps.ends.len(), plan.steps.block.len(), plan.steps.revoke.is_some()), (2, 2, true));
    assert_eq!(outcome(vec![], &all), Outcome::AlreadyGone);
    // What is over can be taken away, and not given.
    let old = |action: &str| row(json!({ "email": "ada@acme.example", "sublicenses": ["old"], "action": action }));
    assert_eq!(outcome(vec![ada()], &old("remove")), Outcome::Remove);
    assert_eq!(flaw(vec![ada()], &old("add")), Flaw::SublicenseEnded);
    assert_eq!(
        flaw(vec![ada()], &row(json!({ "email": "ada@acme.example", "sublicenses": ["x"] }))),
        Flaw::NoSuchSublicense
    );
}

#[test]
fn an_invite_takes_the_place_of_what_an_unclaimed_record_holds() {
    let unclaimed = Person { email_verified: false, is_unclaimed: true, held: vec![held(1, Source::Import)], ..ada() };
    let options = ImportOptions { send_invite: true, ..ImportOptions::default() };
    let data = row(json!({ "email": "ada@acme.example", "sublicenses": ["sales"] }));
    let plan = planned(vec![unclaimed.clone()], &[], &data, &options).expect("a plan");
    assert_eq!((plan.outcome, &plan.steps.ends, &plan.steps.grant), (Outcome::Invite, &unclaimed.held, &vec![]));
    assert_eq!(
        (plan.steps.invite, plan.steps.client_seat, plan.steps.seats),
        (vec![sub(1), sub(2)], false, vec![sub(2)])
    );
    let invited = planned(vec![unclaimed], &["ada@acme.example"], &data, &options).expect("a plan");
    assert_eq!(invited.outcome, Outcome::AlreadyInvited);
}

#[test]
fn nobody_is_imported_into_a_client_that_is_over() {
    let mut over = target();
    over.license_ends_at = Some(now());
    let found = over.wish(&to_ada(), &ImportOptions::default(), now()).expect_err("a flaw");
    assert_eq!(found.flaw, Flaw::ClientNotLive);
}
