//! What becomes of people: made, invited, updated, moved, removed; and what is left behind to look it up.

use chrono::{DateTime, Duration};
use serde_json::{Value, json};
use usher::{imports, jobs};

use super::{BASE, acme, checked, confirmed, count, imported, path, people, rows, show, work};
use crate::support::{Admin, App, SamlScene};

async fn learner(admin: &Admin, email: &str) -> Value {
    let list = admin.get(&format!("/api/v1/clients/acme/learners?email={email}")).await.ok();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{list}");
    admin.get(&format!("/api/v1/clients/acme/learners/{}", items[0]["id"].as_str().unwrap())).await.ok()
}

fn effective(learner: &Value) -> usize {
    learner["effective_access"].as_array().unwrap().len()
}

#[tokio::test]
async fn of_a_thousand_rows_the_ten_bad_ones_are_told_and_the_others_done() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let mut text = people(0..990);
    for bad in ["nobody", "a@b@acme.example", "x@acme", "@acme.example", "ada acme@acme.example"] {
        text.push_str(&format!("{bad},Ada,Lovelace,\n"));
    }
    text.push_str("P7@ACME.example,again,,\nother@acme.example,,,E-8\nlong@acme.example,");
    text.push_str(&"x".repeat(201));
    text.push_str(",,\nmany@acme.example,a,b,c,d\n,Nobody,,\n");
    let import = checked(&app, &operator, "sublicenses=sales", &text).await;
    assert_eq!((&import["rows_total"], &import["rows_done"]), (&json!(1000), &json!(1000)));
    assert_eq!(import["counts"], json!({ "create": 990, "invalid": 8, "duplicate": 2 }));
    let bad = operator.get(&format!("{}/rows?outcome=duplicate", path(&import))).await.ok();
    assert_eq!((&bad["items"][0]["row"], &bad["items"][0]["duplicate_of"]), (&json!(997), &json!(9)));
    assert_eq!((&bad["items"][1]["row"], &bad["items"][1]["duplicate_of"]), (&json!(998), &json!(10)));
    assert_eq!(count(&app, "select count(*) from learners").await, 0, "a dry run changes nobody");
    let confirm = format!("{}/confirm", path(&import));
    assert_eq!(operator.post(&confirm, json!({ "rows": "all" })).await.problem(409), "imports.bad_rows");
    let done = confirmed(&app, &operator, &import, json!({ "rows": "good" })).await;
    assert_eq!((&done["state"], &done["results"]), (&json!("done"), &json!({ "create": 990 })));
    assert_eq!(count(&app, "select count(*) from learners where not email_verified and is_unclaimed").await, 990);
    let ada = learner(&operator, "p7@acme.example").await;
    assert_eq!((&ada["email_verified"], &ada["external_id"], effective(&ada)), (&json!(false), &json!("E-7"), 1));
    assert_eq!(ada["access"][0]["source"], "import");
    assert_eq!(ada["access"][0]["source_ref"], import["id"]);
    // The same file again finds everybody.
    let again = checked(&app, &operator, "sublicenses=sales", &people(0..990)).await;
    assert_eq!(again["counts"], json!({ "already_there": 990 }));
}

#[tokio::test]
async fn every_step_and_every_rows_effect_leaves_an_event_and_goes_out() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let import = imported(&app, &operator, "", &people(0..3)).await;
    for (action, expected) in [
        ("import.created", 1),
        ("import.checked", 1),
        ("import.confirmed", 1),
        ("import.finished", 1),
        ("learner.created", 3),
        ("access.granted", 3),
    ] {
        let recorded: i64 = sqlx::query_scalar("select count(*) from audit_events where action = $1")
            .bind(action)
            .fetch_one(&app.db)
            .await
            .unwrap();
        let outgoing: i64 = sqlx::query_scalar("select count(*) from outbox_events where type = $1")
            .bind(action)
            .fetch_one(&app.db)
            .await
            .unwrap();
        assert_eq!((recorded, outgoing), (expected, expected), "{action}");
    }
    let facts: Vec<Value> = sqlx::query_scalar("select facts from audit_events").fetch_all(&app.db).await.unwrap();
    let outgoing: Vec<Value> =
        sqlx::query_scalar("select payload from outbox_events").fetch_all(&app.db).await.unwrap();
    for event in facts.iter().chain(&outgoing) {
        assert!(!event.to_string().contains("@acme.example") && !event.to_string().contains("Nr 1"), "{event}");
    }
    let actors: Vec<String> =
        sqlx::query_scalar("select distinct actor_kind from audit_events where facts->>'import' = $1")
            .bind(import["id"].as_str().unwrap())
            .fetch_all(&app.db)
            .await
            .unwrap();
    assert_eq!(actors, ["token"], "what the worker does is done by who confirmed it");
}

#[tokio::test]
async fn invites_are_made_found_again_and_taken_back() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let import = imported(&app, &operator, "send_invite=yes&message=Welcome", &people(0..3)).await;
    assert_eq!(import["results"], json!({ "invite": 3 }));
    assert_eq!(count(&app, "select count(*) from mails").await, 3);
    assert_eq!(count(&app, "select count(*) from access_grants").await, 0);
    let first = rows(&operator, &import).await[0].clone();
    assert!(first["invite"].as_str().unwrap().starts_with("inv_"), "{first}");
    let again = checked(&app, &operator, "send_invite=yes", &people(0..4)).await;
    assert_eq!(again["counts"], json!({ "already_invited": 3, "invite": 1 }));

    let early = operator.post(&format!("{}/undo", path(&again)), json!({})).await;
    assert_eq!(early.problem(409), "imports.wrong_state");
    operator.post(&format!("{}/undo", path(&import)), json!({})).await.ok();
    work(&app).await;
    assert_eq!(show(&operator, &import).await["state"], "undone");
    assert_eq!(count(&app, "select count(*) from invites where status = 'revoked'").await, 3);
    assert_eq!(count(&app, "select count(*) from seat_reservations").await, 0);
    assert_eq!(count(&app, "select count(*) from audit_events where action = 'import.undone'").await, 1);
    assert_eq!(count(&app, "select count(*) from outbox_events where type = 'invite.revoked'").await, 3);
}

#[tokio::test]
async fn people_are_updated_moved_and_removed() {
    let app = App::start().await;
    let operator = acme(&app).await;
    imported(&app, &operator, "", &people(0..3)).await;
    let text = "email,last_name,external_id,action,sublicenses,role\n\
                p0@acme.example,Newname,,,sales,manager\n\
                ,,E-1,move,sales,\n\
                p2@acme.example,,,remove,,\n\
                stranger@acme.example,,,remove,,\n";
    let import = checked(&app, &operator, "", text).await;
    assert_eq!(import["counts"], json!({ "update": 2, "remove": 1, "already_gone": 1 }));
    let done = confirmed(&app, &operator, &import, json!({ "rows": "all" })).await;
    assert_eq!(done["results"], json!({ "update": 2, "remove": 1 }));
    let added = learner(&operator, "p0@acme.example").await;
    assert_eq!(
        (&added["last_name"], &added["first_name"], effective(&added)),
        (&json!("Newname"), &json!("Person"), 2)
    );
    let moved = learner(&operator, "p1@acme.example").await;
    assert_eq!(effective(&moved), 1);
    let ended = moved["access"].as_array().unwrap().iter().find(|grant| grant["is_running"] == false).unwrap();
    assert_eq!(ended["end_reason"], "import");
    let removed = learner(&operator, "p2@acme.example").await;
    assert_eq!((effective(&removed), removed["blocks"].as_array().unwrap().len()), (0, 1));

    // A removal holds against later files, unless they say so.
    let back = "email\np2@acme.example\n";
    assert_eq!(checked(&app, &operator, "", back).await["counts"], json!({ "blocked": 1 }));
    let cleared = imported(&app, &operator, "clear_blocks=yes", back).await;
    assert_eq!(cleared["results"], json!({ "update": 1 }));
    assert_eq!(effective(&learner(&operator, "p2@acme.example").await), 1);
    let id = learner(&operator, "p0@acme.example").await["id"].as_str().unwrap().to_owned();
    operator.patch(&format!("/api/v1/clients/acme/learners/{id}"), json!({ "status": "suspended" })).await.ok();
    assert_eq!(checked(&app, &operator, "", "email\np0@acme.example\n").await["counts"], json!({ "suspended": 1 }));
}

#[tokio::test]
async fn what_was_imported_goes_to_who_proves_the_address() {
    let app = App::start().await;
    let scene = SamlScene::with(app, json!({}), json!({})).await;
    let text = "email,external_id,sublicenses,attributes.team\nada@acme.example,E-1,sales,Blue\n";
    let import = imported(&scene.app, &scene.operator, "", text).await;
    assert_eq!(import["results"], json!({ "create": 1 }));
    let page = scene.sign_in(&scene.app.browser(), "ada").await;
    assert_eq!(page.status, 303, "{}", page.text());
    let learner = learner(&scene.operator, "ada@acme.example").await;
    assert_eq!((&learner["email_verified"], &learner["external_id"]), (&json!(true), &json!("E-1")));
    assert_eq!(learner["attributes"]["team"], "Blue");
    let imported = learner["access"]
        .as_array()
        .unwrap()
        .iter()
        .any(|grant| grant["source"] == "import" && grant["is_running"] == true);
    assert!(imported, "{learner}");
    assert_eq!(scene.learners().await, 1);
}

#[tokio::test]
async fn who_was_removed_before_they_first_came_stays_removed() {
    let scene = SamlScene::with(App::start().await, json!({}), json!({})).await;
    let text = "email,sublicenses\nada@acme.example,main|sales\n";
    imported(&scene.app, &scene.operator, "", text).await;
    imported(&scene.app, &scene.operator, "action=remove", text).await;
    scene.sign_in(&scene.app.browser(), "ada").await;
    let ada = learner(&scene.operator, "ada@acme.example").await;
    assert_eq!((effective(&ada), ada["blocks"].as_array().unwrap().len()), (0, 2), "{ada}");
}

#[tokio::test]
async fn an_address_that_somebody_else_typed_gets_nothing_of_an_import() {
    let app = App::start().await;
    let scene = SamlScene::with(app, json!({ "trusted_domains": [] }), json!({})).await;
    scene.sign_in(&scene.app.browser(), "ada").await;
    let theirs = scene.learner("ada@acme.example").await;
    assert_eq!(theirs["email_verified"], false);
    let import = imported(&scene.app, &scene.operator, "sublicenses=sales", "email\nada@acme.example\n").await;
    assert_eq!(import["results"], json!({ "create": 1 }));
    let id = theirs["id"].as_str().unwrap();
    let access = scene.operator.get(&format!("/api/v1/clients/acme/learners/{id}")).await.ok()["access"].clone();
    assert!(access.as_array().unwrap().iter().all(|grant| grant["source"] == "sso"), "{access}");
}

#[tokio::test]
async fn rows_are_removed_after_their_days_and_the_numbers_stay() {
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let app = App::with().clock_at(start).start().await;
    let operator = acme(&app).await;
    let done = imported(&app, &operator, "", &people(0..3)).await;
    let waiting = checked(&app, &operator, "", &people(5..7)).await;
    app.clock.advance(Duration::days(29));
    jobs::clean(&app, app.clock.now()).await.unwrap();
    assert_eq!(count(&app, "select count(*) from import_rows").await, 5);
    app.clock.advance(Duration::days(2));
    while imports::clean(&app, app.clock.now()).await.unwrap() > 0 {}
    assert_eq!(count(&app, "select count(*) from import_rows").await, 0);
    let after = show(&operator, &done).await;
    assert_eq!((&after["state"], &after["results"]), (&json!("done"), &json!({ "create": 3 })));
    assert!(after["rows_removed_at"].is_string());
    let over = show(&operator, &waiting).await;
    assert_eq!((&over["state"], &over["failure"]), (&json!("failed"), &json!("imports.expired")));
    let confirm =
        operator.post(&format!("{BASE}/{}/confirm", over["id"].as_str().unwrap()), json!({ "rows": "good" })).await;
    assert_eq!(confirm.problem(409), "imports.wrong_state");
}
