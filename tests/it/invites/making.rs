//! Inviting over the admin API: one at a time, again, back, and everybody who cannot be invited.

use chrono::Duration;
use serde_json::{Value, json};
use usher::mail::MailOutcome;

use super::{INVITES, Scene, id, now};
use crate::support::log_text;

#[tokio::test]
async fn an_invite_is_made_shown_and_mailed_and_its_link_is_shown_nowhere() {
    let scene = Scene::start().await;
    let body = json!({
        "email": "Ada@Acme.example", "first_name": " Ada ", "last_name": "Lovelace", "sublicenses": ["sales", "main"],
        "role": "manager", "locale": "de", "message": "Welcome!\nSee you.", "expires_at": "2026-12-01T00:00:00Z",
    });
    let made = scene.operator.post(INVITES, body).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    assert_eq!(
        (&made["email"], &made["first_name"], &made["status"], &made["role"], &made["times_sent"]),
        (&json!("Ada@Acme.example"), &json!("Ada"), &json!("pending"), &json!("manager"), &json!(1))
    );
    assert_eq!(made["sublicenses"].as_array().unwrap().len(), 2);
    assert_eq!(made["expires_at"], "2026-12-01T00:00:00Z");
    assert_eq!(scene.read(&made).await, made);
    let links = scene.links(&made).await;
    let token = links[0].rsplit('/').next().unwrap();
    assert_eq!((links.len(), token.len()), (1, 43));
    let listed = scene.operator.get(INVITES).await;
    let events = scene.operator.get("/api/v1/clients/acme/events").await;
    let mails = scene.operator.get("/api/v1/clients/acme/mail").await;
    for shown in [&made.to_string(), &listed.text, &events.text, &mails.text, &log_text()] {
        assert!(!shown.contains(token), "the link is shown: {shown}");
    }
    assert!(!events.text.contains("Acme.example") && !events.text.contains("Lovelace"), "{}", events.text);
    assert_eq!((scene.events("invite.created").await, scene.announced("invite.created").await), (1, 1));
    let sql = "select kind || ' ' || recipient || ' ' || name || ' ' || locale || ' ' || content::text from mails";
    let mail: String = sqlx::query_scalar(sql).fetch_one(&scene.app.db).await.unwrap();
    for said in ["invite Ada@Acme.example Ada Lovelace de", "Welcome!", "Sales Academy", "2026-12-01T00:00:00Z"] {
        assert!(mail.contains(said), "{said}: {mail}");
    }
    let stored: i64 =
        sqlx::query_scalar("select count(*) from invite_links where encode(hash, 'escape') like '%' || $1 || '%'")
            .bind(token)
            .fetch_one(&scene.app.db)
            .await
            .unwrap();
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn what_is_left_out_is_the_clients_default() {
    let scene = Scene::start().await;
    scene.operator.patch("/api/v1/clients/acme", json!({ "invite_ttl_days": 3 })).await.ok();
    let made = scene.operator.post(INVITES, json!({ "email": "bob@acme.example" })).await.ok();
    let parts = scene.operator.get("/api/v1/clients/acme/sublicenses").await.ok();
    let main = parts["items"].as_array().unwrap().iter().find(|part| part["is_default"] == true).unwrap()["id"].clone();
    assert_eq!(
        (&made["sublicenses"], &made["role"], &made["first_name"]),
        (&json!([main]), &json!("learner"), &json!(""))
    );
    assert_eq!(made["expires_at"], "2026-11-25T12:00:00Z");
}

#[tokio::test]
async fn a_wish_that_does_not_hold_is_refused_with_a_pointer() {
    let scene = Scene::start().await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let theirs = scene.operator.get("/api/v1/clients/other/sublicenses").await.ok()["items"][0]["id"].clone();
    let cases = [
        (json!({ "email": "nobody" }), "invites.email", "/email"),
        (json!({ "email": "a@acme.example,b@acme.example" }), "invites.email", "/email"),
        (json!({ "email": "a@acme.example\r\nBcc: eve@evil.example" }), "invites.email", "/email"),
        (json!({ "sublicenses": [] }), "api.invalid", "/sublicenses"),
        (json!({ "sublicenses": ["sales", "nothing"] }), "sublicense.unknown", "/sublicenses/1"),
        (json!({ "sublicenses": [theirs] }), "sublicense.unknown", "/sublicenses/0"),
        (json!({ "role": "owner" }), "api.invalid", "/role"),
        (json!({ "locale": "German" }), "api.invalid", "/locale"),
        (json!({ "message": "x".repeat(2001) }), "api.invalid", "/message"),
        (json!({ "first_name": "x".repeat(201) }), "api.invalid", "/first_name"),
        (json!({ "first_name": "a\u{7}b" }), "api.invalid", "/first_name"),
        (json!({ "expires_at": "2026-11-22T12:00:00Z" }), "api.invalid", "/expires_at"),
        (json!({ "expires_at": "2028-11-22T12:00:00Z" }), "api.invalid", "/expires_at"),
        (json!({ "status": "accepted" }), "api.read_only_field", "/status"),
        (json!({ "link": "x" }), "api.unknown_field", "/link"),
    ];
    for (change, code, pointer) in cases {
        let mut body = json!({ "email": "ada@acme.example" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = scene.operator.post(INVITES, body).await;
        assert_eq!(reply.problem(422), code, "{change}");
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{change}");
    }
    assert_eq!(scene.operator.get(INVITES).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn invites_are_listed_by_status_address_and_sublicense_in_pages() {
    let scene = Scene::start().await;
    // Invites of one millisecond have no order.
    let ada = scene.invite("ada@acme.example").await;
    scene.app.clock.advance(Duration::milliseconds(1));
    let bob = scene.operator.post(INVITES, json!({ "email": "bob@acme.example" })).await.ok();
    scene.app.clock.advance(Duration::milliseconds(1));
    let eve = scene.invite("eve@acme.example").await;
    scene.operator.post(&format!("{INVITES}/{}/revoke", id(&eve)), json!({})).await.ok();
    let ids = |list: Value| -> Vec<String> { list["items"].as_array().unwrap().iter().map(id).collect() };
    let list = async |query: &str| ids(scene.operator.get(&format!("{INVITES}?{query}")).await.ok());
    assert_eq!(list("").await, [id(&ada), id(&bob), id(&eve)]);
    assert_eq!(list("status=revoked").await, [id(&eve)]);
    assert_eq!(list("email=ADA@acme.example").await, [id(&ada)]);
    assert_eq!(list("sublicense=sales").await, [id(&ada), id(&eve)]);
    assert_eq!(list("sublicense=sales&status=pending").await, [id(&ada)]);
    assert_eq!(list("email=eve@acme.example&status=pending&sublicense=sales").await, [""; 0]);
    let first = scene.operator.get(&format!("{INVITES}?limit=2")).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!((ids(first).len(), list(&format!("limit=2&cursor={cursor}")).await), (2, vec![id(&eve)]));
    for wrong in ["status=lost", "email=x", "sublicense=nothing", "limit=0", "cursor=x", "other=1"] {
        assert_eq!(scene.operator.get(&format!("{INVITES}?{wrong}")).await.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn inviting_again_renews_the_invite_and_kills_its_earlier_links() {
    let scene = Scene::start().await;
    let first = scene.invite("ada@acme.example").await;
    let old = scene.link(&first).await;
    scene.hear(&first, MailOutcome::Sent).await;
    scene.app.clock.advance(Duration::days(2));
    let again = json!({ "email": "ADA@acme.example", "sublicenses": ["main"], "message": "Once more" });
    let again = scene.operator.post(INVITES, again).await;
    assert_eq!(again.status, 200);
    let again = again.ok();
    assert_eq!(id(&again), id(&first));
    assert_eq!(
        (&again["times_sent"], &again["status"], &again["first_name"]),
        (&json!(2), &json!("pending"), &json!("Ada"))
    );
    assert_eq!(again["sublicenses"].as_array().unwrap().len(), 2, "what was offered stays offered");
    assert_eq!(again["expires_at"], "2026-12-08T12:00:00Z");
    let browser = scene.app.browser();
    assert!(browser.open(&old).await.expect(410).says("A newer invitation was sent"));
    let new = scene.link(&first).await;
    assert!(browser.open(&new).await.expect(200).says("Sales Academy"));
    assert_eq!((scene.events("invite.renewed").await, scene.announced("invite.renewed").await), (1, 1));
    // The mail that still waits is taken back with its link.
    let resent = scene.operator.post(&format!("{INVITES}/{}/resend", id(&first)), json!({})).await.ok();
    assert_eq!(resent["times_sent"], 3);
    assert_eq!(scene.links(&first).await.len(), 1);
    assert!(browser.open(&new).await.expect(410).says("A newer invitation was sent"));
}

#[tokio::test]
async fn an_address_is_sent_four_invites_a_day_and_no_detour_leads_to_more() {
    let scene = Scene::start().await;
    let invite = scene.invite("ada@acme.example").await;
    let resend = format!("{INVITES}/{}/resend", id(&invite));
    scene.app.clock.advance(Duration::hours(1));
    for _ in 0..3 {
        scene.operator.post(&resend, json!({})).await.ok();
    }
    let refused = scene.operator.post(&resend, json!({})).await;
    assert_eq!(refused.problem(429), "invites.too_often");
    assert_eq!(refused.headers["retry-after"], "82801");
    scene.operator.post(&format!("{INVITES}/{}/revoke", id(&invite)), json!({})).await.ok();
    let body = json!({ "email": "Ada@ACME.example" });
    assert_eq!(scene.operator.post(INVITES, body.clone()).await.problem(429), "invites.too_often");
    // Another address, and another client, are not held up.
    scene.invite("bob@acme.example").await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    scene.operator.post("/api/v1/clients/other/invites", body.clone()).await.ok();
    scene.app.clock.advance(Duration::hours(23));
    assert_eq!(scene.operator.post(INVITES, body).await.status, 201);
}

#[tokio::test]
async fn a_repeated_request_invites_once_and_answers_the_same() {
    let scene = Scene::start().await;
    let body = json!({ "email": "ada@acme.example" });
    let key = [("idempotency-key", "one")];
    let first = scene.operator.call(reqwest::Method::POST, INVITES, Some(&body), &key).await;
    let second = scene.operator.call(reqwest::Method::POST, INVITES, Some(&body), &key).await;
    assert_eq!((first.status.as_u16(), first.ok()), (201, second.ok()));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    let resend = format!("{INVITES}/{}/resend", id(&first.ok()));
    for _ in 0..3 {
        let sent = scene.operator.call(reqwest::Method::POST, &resend, None, &[("idempotency-key", "two")]).await;
        assert_eq!(sent.ok()["times_sent"], 2);
    }
}

#[tokio::test]
async fn a_revoked_invite_says_so_and_a_bounced_or_expired_one_can_be_sent_again() {
    let scene = Scene::start().await;
    scene.limit_seats(5).await;
    let ada = scene.invite("ada@acme.example").await;
    let (revoke, resend) = (format!("{INVITES}/{}/revoke", id(&ada)), format!("{INVITES}/{}/resend", id(&ada)));
    let link = scene.link(&ada).await;
    assert_eq!(scene.seats().await, (0, 1));
    scene.hear(&ada, MailOutcome::Bounced).await;
    assert_eq!(scene.status(&ada).await, "bounced");
    assert_eq!(
        scene.operator.post(INVITES, json!({ "email": "ada@acme.example" })).await.problem(409),
        "invites.bounced"
    );
    assert_eq!(scene.operator.post(&resend, json!({})).await.ok()["status"], "pending");
    scene.app.clock.advance(Duration::days(20));
    assert_eq!(scene.status(&ada).await, "expired", "before the job has noted it");
    assert_eq!(scene.operator.post(&revoke, json!({})).await.problem(409), "invites.expired");
    let reopened = scene.operator.post(&resend, json!({})).await.ok();
    assert_eq!((&reopened["status"], &reopened["expires_at"]), (&json!("pending"), &json!("2026-12-26T12:00:00Z")));
    let revoked = scene.operator.post(&revoke, json!({})).await.ok();
    assert_eq!((&revoked["status"], scene.seats().await), (&json!("revoked"), (0, 0)));
    assert!(scene.links(&ada).await.is_empty(), "the mail that waited is taken back");
    assert_eq!(scene.operator.post(&revoke, json!({})).await.problem(409), "invites.revoked");
    assert_eq!(scene.operator.post(&resend, json!({})).await.problem(409), "invites.revoked");
    assert!(scene.app.browser().open(&link).await.expect(410).says("taken back"));
    assert_eq!((scene.events("invite.revoked").await, scene.announced("invite.bounced").await), (1, 1));
    assert_eq!(now() + Duration::days(20), scene.app.clock.now());
}

#[tokio::test]
async fn another_clients_invite_is_as_one_that_never_was() {
    let scene = Scene::start().await;
    scene.operator.post("/api/v1/clients", json!({ "slug": "other", "name": "Other" })).await.ok();
    let theirs =
        scene.operator.post("/api/v1/clients/other/invites", json!({ "email": "ada@acme.example" })).await.ok();
    let never = "inv_00000000000000000000000000000001";
    for path in ["", "/resend", "/revoke"] {
        let mut answers = Vec::new();
        for id in [id(&theirs), never.to_owned()] {
            let path = format!("{INVITES}/{id}{path}");
            let reply = match path.ends_with(id.as_str()) {
                true => scene.operator.get(&path).await,
                false => scene.operator.post(&path, json!({})).await,
            };
            let mut body = reply.json();
            body["reference"] = Value::Null;
            answers.push((reply.status.as_u16(), body));
        }
        assert_eq!(answers[0].0, 404, "{path}");
        assert_eq!(answers[0], answers[1], "{path}");
    }
    // The same address, invited by two clients, is two invites.
    scene.invite("ada@acme.example").await;
}
