//! Seats: told before, kept to, and given out in the order of the file.

use serde_json::json;

use super::{acme, checked, confirmed, count, path, people};
use crate::support::{Admin, App};

async fn limited(app: &App, client: Option<i32>, sales: Option<i32>) -> Admin {
    let operator = acme(app).await;
    operator.patch("/api/v1/clients/acme", json!({ "seat_limit": client })).await.ok();
    let list = operator.get("/api/v1/clients/acme/sublicenses").await.ok();
    let id = list["items"].as_array().unwrap().iter().find(|part| part["slug"] == "sales").unwrap()["id"].clone();
    operator
        .patch(&format!("/api/v1/clients/acme/sublicenses/{}", id.as_str().unwrap()), json!({ "seat_limit": sales }))
        .await
        .ok();
    operator
}

#[tokio::test]
async fn short_seats_are_told_with_numbers_and_given_out_in_order() {
    let app = App::start().await;
    let operator = limited(&app, Some(7), Some(5)).await;
    let import = checked(&app, &operator, "sublicenses=sales", &people(0..6)).await;
    assert_eq!(import["counts"], json!({ "create": 5, "seats_full": 1 }));
    let seats = import["seats"].as_array().unwrap();
    assert_eq!(seats.len(), 2);
    for seat in seats {
        let is_sales = seat["sublicense"].is_string();
        assert_eq!((&seat["needed"], &seat["free"]), (&json!(6), &json!(if is_sales { 5 } else { 7 })));
        assert_eq!(seat["is_short"], is_sales);
    }
    let confirm = format!("{}/confirm", path(&import));
    for rows in ["all", "good"] {
        assert_eq!(operator.post(&confirm, json!({ "rows": rows })).await.problem(409), "imports.seats_short");
    }
    let done = confirmed(&app, &operator, &import, json!({ "rows": "good", "only_what_fits": true })).await;
    assert_eq!(done["results"], json!({ "create": 5, "seats_full": 1 }));
    // Who found no seat left no record behind.
    assert_eq!(count(&app, "select count(*) from learners").await, 5);
    assert_eq!(count(&app, "select count(*) from learners where external_id = 'E-5'").await, 0);
    assert_eq!(operator.get("/api/v1/clients/acme").await.ok()["seats_used"], 5);
}

#[tokio::test]
async fn invites_reserve_seats_and_stop_where_there_are_none() {
    let app = App::start().await;
    let operator = limited(&app, Some(2), None).await;
    let import = checked(&app, &operator, "send_invite=yes", &people(0..4)).await;
    assert_eq!(import["counts"], json!({ "invite": 2, "seats_full": 2 }));
    let done = confirmed(&app, &operator, &import, json!({ "rows": "good", "only_what_fits": true })).await;
    assert_eq!(done["results"], json!({ "invite": 2, "seats_full": 2 }));
    // Two with an external id, which an invite cannot carry: the records of the other two were rolled back with them.
    assert_eq!(count(&app, "select count(*) from learners").await, 2);
    assert_eq!(operator.get("/api/v1/clients/acme").await.ok()["seats_reserved"], 2);
    let again = checked(&app, &operator, "", &people(5..6)).await;
    assert_eq!(again["counts"], json!({ "seats_full": 1 }), "a reserved seat is not free");
}

#[tokio::test]
async fn seats_that_go_between_dry_run_and_confirmation_are_missed_by_nobody() {
    let app = App::start().await;
    let operator = limited(&app, Some(3), None).await;
    let (one, two) =
        (checked(&app, &operator, "", &people(0..3)).await, checked(&app, &operator, "", &people(3..6)).await);
    assert_eq!(two["counts"], json!({ "create": 3 }));
    confirmed(&app, &operator, &one, json!({ "rows": "all" })).await;
    let late = operator.post(&format!("{}/confirm", path(&two)), json!({ "rows": "all" })).await;
    assert_eq!(late.problem(409), "imports.seats_short");
    let done = confirmed(&app, &operator, &two, json!({ "rows": "all", "only_what_fits": true })).await;
    assert_eq!(done["results"], json!({ "seats_full": 3 }));
    assert_eq!(count(&app, "select count(*) from learners").await, 3);
}

#[tokio::test]
async fn a_move_into_a_full_sublicense_takes_nothing_away() {
    let app = App::start().await;
    let operator = limited(&app, None, Some(1)).await;
    super::imported(&app, &operator, "", &people(0..2)).await;
    let import = checked(&app, &operator, "action=move&sublicenses=sales", &people(0..2)).await;
    assert_eq!(import["counts"], json!({ "update": 1, "seats_full": 1 }));
    let done = confirmed(&app, &operator, &import, json!({ "rows": "good", "only_what_fits": true })).await;
    assert_eq!(done["results"], json!({ "update": 1, "seats_full": 1 }));
    let running = "select count(*) from access_grants where ends_at is null";
    assert_eq!(count(&app, running).await, 2, "one has sales now, the other keeps main");
}
