//! Batches of redemption codes: generated, brought, appended to, exported, revoked and restored.

use reqwest::Method;
use serde_json::{Value, json};
use usher::codes::{self, CodeResult};

use super::{BASE, Scene, is_redeemed, text};

#[tokio::test]
async fn a_batch_is_generated_with_its_look_and_appended_to() {
    let scene = Scene::start().await;
    let (batch, codes) = scene.batch(json!({ "count": 120, "prefix": "ACME-", "length": 8 })).await;
    assert_eq!(codes.len(), 120);
    let mut texts: Vec<&str> = codes.iter().map(text).collect();
    for text in &texts {
        let rest = text.strip_prefix("ACME-").unwrap_or_else(|| panic!("{text}"));
        assert_eq!(rest.replace('-', "").len(), 8);
        assert!(!rest.contains(['0', '1', 'I', 'O']), "{rest}");
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 120);
    let path = format!("{BASE}/redemption-batches/{batch}");
    let more = scene.operator.post(&format!("{path}/append"), json!({ "count": 5 })).await.ok();
    assert_eq!(more["batch"]["codes_total"], 125);
    let shown = scene.operator.get(&path).await.ok();
    assert_eq!((&shown["codes_unused"], &shown["codes_to_come"]), (&json!(125), &json!(0)));
}

#[tokio::test]
async fn each_code_that_is_brought_is_answered_for() {
    let scene = Scene::start().await;
    scene.registration(json!({ "code": "TAKEN-2027" })).await;
    let codes = ["GOOD-0001", "good 0001", "GOOD-0001", "BAD_CODE", "", "SHORT", "LOGIN-", "taken2027", "OTHER-O0I1"];
    let body = json!({ "label": "Printed", "sublicenses": ["main"], "codes": codes });
    let made = scene.operator.post(&format!("{BASE}/redemption-batches"), body).await.ok();
    let report = &made["report"];
    let expected = json!([
        { "line": 2, "outcome": "malformed" },
        { "line": 3, "outcome": "duplicate", "same_as": 1 },
        { "line": 4, "outcome": "malformed" },
        { "line": 5, "outcome": "malformed" },
        { "line": 6, "outcome": "malformed" },
        { "line": 7, "outcome": "malformed" },
        { "line": 8, "outcome": "in_use" },
    ]);
    assert_eq!(report["lines"], expected);
    assert_eq!((&report["valid"], &report["in_use"], &made["batch"]["codes_total"]), (&json!(2), &json!(1), &json!(2)));
}

async fn append_text(scene: &Scene, batch: &str, media: &str, text: &str, key: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = scene.app.url(&format!("{BASE}/redemption-batches/{batch}/append"));
    let request = client.post(url).bearer_auth(&scene.operator.token).header("content-type", media);
    let reply = request.header("idempotency-key", key).body(text.to_owned()).send().await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_str(&reply.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn lines_of_a_file_are_taken_as_they_come() {
    let scene = Scene::start().await;
    let (batch, _) = scene.batch(json!({})).await;
    let file =
        "\u{feff}Code;Note\r\n\"CSV-CODE-1\";\"first\"\r\nCSV-CODE-2;=1+1\r\n\r\ncsv code 1;again\r\nCSV-CODE-3;";
    let (status, reply) = append_text(&scene, &batch, "text/csv; charset=utf-8", file, "k-1").await;
    assert_eq!((status, &reply["report"]["valid"], &reply["report"]["malformed"]), (200, &json!(3), &json!(1)));
    let (status, replay) = append_text(&scene, &batch, "text/csv; charset=utf-8", file, "k-1").await;
    assert_eq!((status, replay), (200, reply));
    let (status, other) = append_text(&scene, &batch, "text/csv", "CSV-CODE-9", "k-1").await;
    assert_eq!((status, &other["code"]), (422, &json!("idempotency.mismatch")));
    let (_, pasted) = append_text(&scene, &batch, "text/plain", "CSV-CODE-1\nPASTED-01\n", "k-2").await;
    assert_eq!((&pasted["report"]["valid"], &pasted["report"]["in_use"]), (&json!(1), &json!(1)));
    let (status, wrong) = append_text(&scene, &batch, "application/xml", "<a/>", "k-3").await;
    assert_eq!((status, &wrong["code"]), (415, &json!("api.not_json")));
    let many: String = (0..100_001).map(|line| format!("MANY-{line:06}\n")).collect();
    let (status, refused) = append_text(&scene, &batch, "text/plain", &many, "k-4").await;
    assert_eq!((status, &refused["code"]), (422, &json!("codes.too_many")));
    let shown = scene.operator.get(&format!("{BASE}/redemption-batches/{batch}")).await.ok();
    assert_eq!(shown["codes_total"], 4, "nothing of a file that is refused stands");
}

#[tokio::test]
async fn a_file_that_breaks_off_leaves_nothing() {
    use tokio::io::AsyncWriteExt;

    let scene = Scene::start().await;
    let (batch, _) = scene.batch(json!({})).await;
    let lines: String = (0..30_000).map(|line| format!("BROKEN-{line:06}\n")).collect();
    let mut socket = tokio::net::TcpStream::connect(scene.app.address).await.unwrap();
    let head = format!(
        "POST {BASE}/redemption-batches/{batch}/append HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\ncontent-length: {}\r\n\r\n",
        scene.operator.token,
        lines.len() + 10,
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(lines.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    drop(socket);
    let path = format!("{BASE}/redemption-batches/{batch}");
    let appended = scene.operator.post(&format!("{path}/append"), json!({ "count": 1 })).await.ok();
    assert_eq!(appended["batch"]["codes_total"], 1);
    assert_eq!(scene.count("select count(*) from codes where client_id = $1").await, 1);
}

#[tokio::test]
async fn a_large_batch_comes_in_turns_and_goes_on_where_it_stopped() {
    let scene = Scene::start().await;
    let body = json!({ "label": "Large", "sublicenses": ["main"], "count": 100_001 });
    let made = scene.operator.post(&format!("{BASE}/redemption-batches"), body).await.ok();
    let path = format!("{BASE}/redemption-batches/{}", made["batch"]["id"].as_str().unwrap());
    assert_eq!((&made["batch"]["codes_total"], &made["batch"]["codes_to_come"]), (&json!(0), &json!(100_001)));
    assert_eq!(scene.operator.get(&format!("{path}/codes.csv")).await.problem(409), "codes.filling");
    let more = scene.operator.post(&format!("{path}/append"), json!({ "count": 100_001 })).await;
    assert_eq!(more.problem(409), "codes.filling");
    // A turn that dies leaves nothing of itself, and does not count.
    let now = scene.app.clock.now();
    let dying = tokio::spawn({
        let app = (*scene.app).clone();
        async move { codes::batches_due(&app, now).await }
    });
    tokio::task::yield_now().await;
    dying.abort();
    let _aborted = dying.await;
    let mut turns = 0;
    while codes::batches_due(&scene.app, now).await.unwrap() {
        turns += 1;
    }
    assert!(turns <= 3, "{turns}");
    let shown = scene.operator.get(&path).await.ok();
    if shown["codes_to_come"] != json!(0) {
        // The aborted turn still held its claim when the last one asked.
        while codes::batches_due(&scene.app, now).await.unwrap() {}
    }
    let shown = scene.operator.get(&path).await.ok();
    assert_eq!((&shown["codes_total"], &shown["codes_to_come"]), (&json!(100_001), &json!(0)));
    assert_eq!(scene.count("select count(*) from codes where client_id = $1").await, 100_001);
    let export = scene.operator.get(&format!("{path}/codes.csv")).await;
    assert_eq!(export.text.lines().count(), 100_002);
}

#[tokio::test]
async fn limits_of_a_batch_are_told() {
    let scene = Scene::start().await;
    let path = format!("{BASE}/redemption-batches");
    for (change, code) in [
        (json!({ "count": 1_000_001 }), "codes.too_many"),
        (json!({ "count": 0 }), "api.invalid"),
        (json!({ "count": 1, "codes": ["A-CODE-1"] }), "codes.count_and_codes"),
        (json!({ "count": 1, "length": 7 }), "api.invalid"),
        (json!({ "count": 1, "prefix": "a b" }), "api.invalid"),
    ] {
        let mut body = json!({ "label": "x", "sublicenses": ["main"] });
        crate::support::merge(&mut body, &change);
        assert_eq!(scene.operator.post(&path, body).await.problem(422), code, "{change}");
    }
    let (batch, _) = scene.batch(json!({ "count": 1 })).await;
    let path = format!("{path}/{batch}");
    assert_eq!(scene.operator.patch(&path, json!({ "count": 3 })).await.problem(422), "codes.append");
    assert_eq!(scene.operator.post(&format!("{path}/append"), json!({})).await.problem(422), "api.required");
    let most = json!({ "count": 1_000_000 });
    assert_eq!(scene.operator.post(&format!("{path}/append"), most).await.problem(422), "codes.too_many");
    assert_eq!(scene.operator.patch(&path, json!({ "label": "New", "length": 9 })).await.ok()["length"], 9);
}

#[tokio::test]
async fn the_export_is_safe_for_spreadsheets_and_audited() {
    let scene = Scene::start().await;
    let (batch, codes) = scene.batch(json!({ "codes": ["-CODE-001", "PLAIN-0002"] })).await;
    let learner = scene.learner("ada@acme.example", true).await;
    assert!(is_redeemed(&scene.redeem(learner, &["PLAIN-0002"]).await[0]));
    assert_eq!(codes.len(), 2);
    let reply = scene.operator.get(&format!("{BASE}/redemption-batches/{batch}/codes.csv")).await;
    assert!(reply.headers["content-disposition"].to_str().unwrap().contains(".csv"));
    let text = reply.text.strip_prefix('\u{feff}').expect("a byte order mark");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "code,state,learner,redeemed_at");
    assert_eq!(lines[1], "'-CODE-001,unused,,");
    assert!(lines[2].starts_with(&format!("PLAIN-0002,redeemed,{learner},")), "{}", lines[2]);
    let query = "select count(*) from audit_events where client_id = $1 and action = 'redemption_batch.exported'";
    assert_eq!(scene.count(query).await, 1);
}

#[tokio::test]
async fn the_rest_of_a_batch_is_revoked_and_what_was_redeemed_stays() {
    let scene = Scene::start().await;
    let (batch, codes) = scene.batch(json!({ "count": 4 })).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    assert!(is_redeemed(&scene.redeem(ada, &[text(&codes[0])]).await[0]));
    let path = format!("{BASE}/redemption-batches/{batch}");
    assert_eq!(scene.operator.post(&format!("{path}/revoke"), json!({})).await.ok()["revoked"], 3);
    assert_eq!(scene.operator.post(&format!("{path}/revoke"), json!({})).await.ok()["revoked"], 0);
    assert_eq!(scene.redeem(bob, &[text(&codes[1])]).await, [CodeResult::NotValid]);
    assert_eq!((scene.grants(ada).await, scene.grants(bob).await), (1, 0));
    let shown = scene.operator.get(&path).await.ok();
    assert_eq!(
        (&shown["codes_total"], &shown["codes_redeemed"], &shown["codes_revoked"], &shown["codes_unused"]),
        (&json!(4), &json!(1), &json!(3), &json!(0))
    );
    let state = async |state: &str| {
        scene.operator.get(&format!("{path}/codes?state={state}")).await.ok()["items"].as_array().unwrap().len()
    };
    assert_eq!((state("unused").await, state("redeemed").await, state("revoked").await), (0, 1, 3));
    // A restored one works, and so does what is appended later.
    let restored =
        scene.operator.post(&format!("{BASE}/codes/{}/restore", codes[1]["id"].as_str().unwrap()), json!({})).await;
    assert_eq!(restored.ok()["state"], "unused");
    assert!(is_redeemed(&scene.redeem(bob, &[text(&codes[1])]).await[0]));
}

#[tokio::test]
async fn a_restored_code_takes_its_access_and_its_seat_back_and_keeps_its_history() {
    let scene = Scene::start().await;
    scene.operator.patch(BASE, json!({ "seat_limit": 1 })).await.ok();
    let (batch, codes) = scene.batch(json!({ "count": 1 })).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    let id = codes[0]["id"].as_str().unwrap();
    assert!(is_redeemed(&scene.redeem(ada, &[text(&codes[0])]).await[0]));
    assert_eq!(
        scene.operator.post(&format!("{BASE}/codes/{id}/revoke"), json!({})).await.problem(409),
        "codes.redeemed"
    );
    let call = async || {
        let path = format!("{BASE}/codes/{id}/restore");
        scene.operator.call(Method::POST, &path, None, &[("idempotency-key", "k-1")]).await
    };
    let restored = call().await.ok();
    assert_eq!((&restored["state"], &restored["learner"]), (&json!("unused"), &json!(null)));
    assert_eq!(scene.operator.get(BASE).await.ok()["seats_used"], 0);
    assert_eq!(scene.grants(ada).await, 0);
    assert!(is_redeemed(&scene.redeem(bob, &[text(&codes[0])]).await[0]));
    // The repeated request is answered as before, and takes nothing from Bob.
    assert_eq!(call().await.ok(), restored);
    assert_eq!(scene.grants(bob).await, 1);
    let shown = scene.operator.get(&format!("{BASE}/redemption-batches/{batch}")).await.ok();
    assert_eq!(shown["codes_redeemed"], 1);
    assert_eq!(
        scene.count("select count(*) from redemptions where client_id = $1 and undone_why = 'restored'").await,
        1
    );
    let query = "select count(*) from outbox_events where client_id = $1 and type in ('code.restored', 'access.ended')";
    assert_eq!(scene.count(query).await, 2);
}

/// Gives a batch so many codes more, as if they had been generated.
async fn fill(scene: &Scene, batch: &str, count: i32) {
    let digits = batch.strip_prefix("bat_").unwrap();
    sqlx::query(
        "with more as (
             insert into codes (client_id, id, offer_id, key, text)
             select client_id, gen_random_uuid(), id, 'FILLED' || n, 'FILLED' || n
             from code_offers, generate_series(1, $2) n where id = $1::uuid)
         update code_offers set codes_total = codes_total + $2 where id = $1::uuid",
    )
    .bind(digits)
    .bind(count)
    .execute(&scene.app.db)
    .await
    .unwrap();
}

#[tokio::test]
async fn the_rest_of_a_large_batch_is_dead_at_once_and_marked_in_turns() {
    let scene = Scene::start().await;
    let (batch, codes) = scene.batch(json!({ "count": 2 })).await;
    fill(&scene, &batch, 100_001).await;
    let (ada, bob) = (scene.learner("ada@acme.example", true).await, scene.learner("bob@acme.example", true).await);
    assert!(is_redeemed(&scene.redeem(ada, &[text(&codes[0])]).await[0]));
    let path = format!("{BASE}/redemption-batches/{batch}");
    assert_eq!(scene.operator.post(&format!("{path}/revoke"), json!({})).await.ok()["revoked"], 100_002);
    let marked = "select count(*) from codes where client_id = $1 and state = 'revoked'";
    assert_eq!(scene.count(marked).await, 0, "the request itself marks none");
    assert_eq!(scene.redeem(bob, &[text(&codes[1])]).await, [CodeResult::NotValid]);
    let shown = scene.operator.get(&path).await.ok();
    assert_eq!((&shown["codes_redeemed"], &shown["codes_unused"]), (&json!(1), &json!(0)));
    // Meanwhile nothing else happens to the batch that the marking could undo.
    let restore = format!("{BASE}/codes/{}/restore", codes[1]["id"].as_str().unwrap());
    assert_eq!(scene.operator.post(&restore, json!({})).await.problem(409), "codes.revoking");
    let more = scene.operator.post(&format!("{path}/append"), json!({ "count": 1 })).await;
    assert_eq!(more.problem(409), "codes.revoking");
    assert_eq!(scene.operator.post(&format!("{path}/revoke"), json!({})).await.ok()["revoked"], 0);
    let now = scene.app.clock.now();
    assert!(codes::batches_due(&scene.app, now).await.unwrap());
    let some = scene.count(marked).await;
    assert!((1..=20_000).contains(&some), "a turn marks a part: {some}");
    while codes::batches_due(&scene.app, now).await.unwrap() {}
    assert_eq!(scene.count(marked).await, 100_002);
    let restored = scene.operator.post(&restore, json!({})).await.ok();
    assert_eq!(restored["state"], "unused");
    assert!(is_redeemed(&scene.redeem(bob, &[text(&codes[1])]).await[0]));
    scene.operator.post(&format!("{path}/append"), json!({ "count": 1 })).await.ok();
    assert_eq!(scene.operator.get(&path).await.ok()["codes_unused"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_that_waits_for_the_batch_finds_it_revoked() {
    let scene = Scene::start().await;
    let (batch, codes) = scene.batch(json!({ "count": 1 })).await;
    let ada = scene.learner("ada@acme.example", true).await;
    // The batch as it is while an admin revokes a million codes of it, before the commit.
    let mut revoking = scene.app.db.begin().await.unwrap();
    sqlx::query(
        "update code_offers set rest_revoked_at = now(), revoking_from = $2::uuid, revoking_to = $3::uuid
         where id = $1::uuid",
    )
    .bind(batch.strip_prefix("bat_").unwrap())
    .bind("00000000000000000000000000000000")
    .bind("ffffffffffffffffffffffffffffffff")
    .execute(&mut *revoking)
    .await
    .unwrap();
    let texts = [text(&codes[0])];
    let redeemed = scene.redeem(ada, &texts);
    let commit = async {
        while scene.waiting_for_locks().await == 0 {
            tokio::task::yield_now().await;
        }
        revoking.commit().await.unwrap();
    };
    let (redeemed, ()) = tokio::join!(redeemed, commit);
    assert_eq!(redeemed, [CodeResult::NotValid]);
    assert_eq!(scene.grants(ada).await, 0);
}
