//! Whose import it is, and whom it may reach.

use serde_json::json;

use crate::support::App;

use super::{BASE, acme, checked, count, imported, path, people, rows, send, show, work};

#[tokio::test]
async fn another_clients_import_is_as_one_that_never_was() {
    let app = App::start().await;
    let operator = acme(&app).await;
    operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let import = checked(&app, &operator, "", &people(0..2)).await;
    let id = import["id"].as_str().unwrap();
    let stranger = app.admin_of("other").await;
    for caller in [&operator, &stranger] {
        let base = format!("/api/v1/clients/other/imports/{id}");
        for path in [base.clone(), format!("{base}/rows"), format!("{base}/rows.csv")] {
            assert_eq!(caller.get(&path).await.problem(404), "not_found", "{path}");
        }
        let confirm = caller.post(&format!("{base}/confirm"), json!({ "rows": "good" })).await;
        assert_eq!(confirm.problem(404), "not_found");
        assert_eq!(caller.post(&format!("{base}/undo"), json!({})).await.problem(404), "not_found");
    }
    assert_eq!(stranger.get(&path(&import)).await.problem(404), "not_found");
    assert_eq!(send(&app, &stranger, BASE, people(0..2), &[]).await.problem(404), "not_found");
    assert_eq!(show(&operator, &import).await["state"], "ready");
}

#[tokio::test]
async fn a_clients_own_token_reaches_no_other_client_by_a_cell() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let other = operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let own = app.admin_of("acme").await;
    let text = format!(
        "email,client\na@acme.example,other\nb@acme.example,{}\nc@acme.example,never-was\nd@acme.example,ACME\ne@acme.example,\n",
        other["id"].as_str().unwrap()
    );
    let import = checked(&app, &own, "", &text).await;
    assert_eq!(import["counts"], json!({ "invalid": 3, "create": 2 }));
    let rows = rows(&own, &import).await;
    for row in &rows[..3] {
        assert_eq!(row["problem"], rows[2]["problem"], "another client and one that never was are the same");
        assert_eq!(row["problem"]["code"], "imports.no_such_client");
    }
    super::confirmed(&app, &own, &import, json!({ "rows": "good" })).await;
    assert_eq!(
        count(&app, "select count(*) from learners l join slugs s using (client_id) where s.slug = 'other'").await,
        0
    );
}

#[tokio::test]
async fn an_operators_file_may_name_clients_and_is_then_the_operators_alone() {
    let app = App::start().await;
    let operator = acme(&app).await;
    operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let text =
        "email,client,sublicenses\nada@acme.example,,sales\nada@acme.example,other,\nbob@acme.example,other,sales\n";
    let import = imported(&app, &operator, "", text).await;
    // One address in two clients is two people; `sales` is acme's.
    assert_eq!(import["results"], json!({ "create": 2 }), "{:?}", rows(&operator, &import).await);
    assert_eq!(import["counts"], json!({ "create": 2, "invalid": 1 }));
    for slug in ["acme", "other"] {
        let list = operator.get(&format!("/api/v1/clients/{slug}/learners")).await.ok();
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{slug}");
    }
    let own = app.admin_of("acme").await;
    assert_eq!(own.get(&path(&import)).await.problem(404), "not_found");
    assert_eq!(own.get(&format!("{}/rows", path(&import))).await.problem(404), "not_found");
    assert_eq!(own.post(&format!("{}/undo", path(&import)), json!({})).await.problem(404), "not_found");
    assert_eq!(own.get(BASE).await.ok()["items"], json!([]));
    assert_eq!(operator.get(BASE).await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_is_over_takes_nobody() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let import = checked(&app, &operator, "", &people(0..2)).await;
    operator.patch("/api/v1/clients/acme", json!({ "status": "disabled" })).await.ok();
    operator.post(&format!("{}/confirm", path(&import)), json!({ "rows": "all" })).await.ok();
    work(&app).await;
    let done = show(&operator, &import).await;
    assert_eq!(done["results"], json!({ "invalid": 2 }));
    assert_eq!(rows(&operator, &done).await[0]["problem"]["code"], "imports.client_not_live");
    assert_eq!(count(&app, "select count(*) from learners").await, 0);
}
