//! Invites, from the admin's wish to the learner's dashboard.

mod accepting;
mod due;
mod in_a_browser;
mod making;
mod many;
mod refusing;
mod single_sign_on;
mod together;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use usher::{
    ids::{ClientId, InviteId, LearnerId},
    invites,
    mail::MailOutcome,
};
use uuid::Uuid;

use crate::support::{Admin, App, Browser, Page};

pub const INVITES: &str = "/api/v1/clients/acme/invites";
pub const PASSWORD: &str = "tapir walks over seven bridges";

pub fn now() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A gateway with the client `acme`, whose domain is vouched for, and its sublicense `sales`.
pub struct Scene {
    pub app: App,
    pub operator: Admin,
    pub client: ClientId,
}

impl Scene {
    pub async fn start() -> Self {
        Self::with(App::with().clock_at(now()).start().await).await
    }

    pub async fn with(app: App) -> Self {
        let operator = app.operator().await;
        let body = json!({ "slug": "acme", "name": "Acme Learning", "email_domains": [{ "domain": "acme.example" }] });
        let client = operator.post("/api/v1/clients", body).await.ok();
        operator.post("/api/v1/clients/acme/domains/acme.example/vouch", json!({})).await.ok();
        operator
            .post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales Academy" }))
            .await
            .ok();
        let client = client["id"].as_str().unwrap().parse().unwrap();
        Self { app, operator, client }
    }

    /// Invites an address to `sales`.
    pub async fn invite(&self, email: &str) -> Value {
        let body = json!({ "email": email, "first_name": "Ada", "last_name": "Lovelace", "sublicenses": ["sales"] });
        self.operator.post(INVITES, body).await.ok()
    }

    /// The invite as the API shows it now.
    pub async fn read(&self, invite: &Value) -> Value {
        self.operator.get(&format!("{INVITES}/{}", id(invite))).await.ok()
    }

    pub async fn status(&self, invite: &Value) -> String {
        self.read(invite).await["status"].as_str().unwrap().to_owned()
    }

    /// The links of the invite's mails that wait, oldest first, as paths.
    pub async fn links(&self, invite: &Value) -> Vec<String> {
        let slug: String = sqlx::query_scalar("select slug from slugs where client_id = $1")
            .bind(self.client.uuid())
            .fetch_one(&self.app.db)
            .await
            .unwrap();
        let rows = sqlx::query("select id, link_sealed from mails where client_id = $1 and about = $2 order by id")
            .bind(self.client.uuid())
            .bind(id(invite))
            .fetch_all(&self.app.db)
            .await
            .unwrap();
        let open = |row: &sqlx::postgres::PgRow| {
            let sealed: Option<Vec<u8>> = row.get(1);
            let mail: usher::ids::MailId = row.get::<Uuid, _>(0).into();
            let place = format!("mails.link:{}:{mail}", self.client);
            let path =
                |sealed: Vec<u8>| String::from_utf8(self.app.sealer.open(&place, &sealed).unwrap().to_vec()).unwrap();
            sealed.map(|sealed| format!("/{slug}{}", path(sealed)))
        };
        rows.iter().filter_map(open).collect()
    }

    /// The newest link, as a whole URL.
    pub async fn link(&self, invite: &Value) -> String {
        self.app.url(&self.links(invite).await.pop().expect("a mail with a link waits"))
    }

    /// What the mail part says when a mail went out, came back or was given up.
    pub async fn hear(&self, invite: &Value, outcome: MailOutcome) {
        let mut conn = self.app.acquire().await.unwrap();
        let (entropy, now) = (&self.app.entropy, self.app.clock.now());
        invites::mail_heard(&mut conn, entropy, self.client, &id(invite), outcome, now).await.unwrap();
    }

    /// How many audit events of this kind there are.
    pub async fn events(&self, action: &str) -> usize {
        let list = self.operator.get("/api/v1/clients/acme/events?limit=200").await.ok();
        list["items"].as_array().unwrap().iter().filter(|event| event["action"] == action).count()
    }

    /// How many outgoing events of this kind there are.
    pub async fn announced(&self, kind: &str) -> i64 {
        let sql = "select count(*) from outbox_events where client_id = $1 and type = $2";
        sqlx::query_scalar(sql).bind(self.client.uuid()).bind(kind).fetch_one(&self.app.db).await.unwrap()
    }

    /// Used and reserved seats of the client, as the API shows them.
    pub async fn seats(&self) -> (i64, i64) {
        let client = self.operator.get("/api/v1/clients/acme").await.ok();
        (client["seats_used"].as_i64().unwrap(), client["seats_reserved"].as_i64().unwrap())
    }

    /// An admin removes a learner from a sublicense, or clears that again.
    pub async fn block(&self, learner: &Value, slug: &str, is_blocked: bool) {
        let sql = if is_blocked {
            "insert into blocks (client_id, learner_id, sublicense_id, created_at, created_by)
             select client_id, $2, id, created_at, 'a test' from sublicenses where client_id = $1 and slug = $3"
        } else {
            "delete from blocks where client_id = $1 and learner_id = $2 and sublicense_id in
             (select id from sublicenses where client_id = $1 and slug = $3)"
        };
        let learner: LearnerId = learner["id"].as_str().unwrap().parse().unwrap();
        let block = sqlx::query(sql).bind(self.client.uuid()).bind(learner.uuid()).bind(slug);
        assert_eq!(block.execute(&self.app.db).await.unwrap().rows_affected(), 1);
    }

    pub async fn limit_seats(&self, limit: i64) {
        self.operator.patch("/api/v1/clients/acme", json!({ "seat_limit": limit })).await.ok();
    }

    pub async fn learners(&self) -> Vec<Value> {
        self.operator.get("/api/v1/clients/acme/learners").await.ok()["items"].as_array().unwrap().clone()
    }

    /// Opens the link and accepts with a name and a new password; the answer to the form.
    pub async fn accept_new(&self, browser: &Browser, invite: &Value) -> Page {
        let page = browser.open(self.link(invite).await).await.expect(200);
        browser.submit(&page.form_with("first_name").fill("password", PASSWORD).press("step", "password")).await
    }

    /// A person with an account and access, by an invite of their own; the browser is signed in.
    pub async fn member(&self, email: &str) -> (Browser, Value) {
        let browser = self.app.browser();
        let invite = self.invite(email).await;
        let page = self.accept_new(&browser, &invite).await;
        assert_eq!(page.location().path(), "/acme/dashboard");
        let learner = self.operator.get(&format!("/api/v1/clients/acme/learners?email={email}")).await.ok();
        (browser, learner["items"][0].clone())
    }
}

/// The id of an invite.
pub fn id(invite: &Value) -> String {
    let id = invite["id"].as_str().unwrap();
    id.parse::<InviteId>().unwrap().to_string()
}
