//! Codes of both kinds: over the admin API, by their rules, in races, through faults, and when records merge.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use usher::{
    audit::Actor,
    clients::ClientFacts,
    codes::{self, CodeOutcome, CodeResult, CodeText, RedeemOrder},
    fault::Fault,
    ids::{ClientId, LearnerId, SublicenseId},
    learners::EmailAddress,
};
use uuid::Uuid;

use crate::support::{Admin, App};

mod api;
mod batches;
mod faults;
mod merge;
mod races;
mod rules;

/// A client with the sublicenses `main` and `sales`.
pub struct Scene {
    pub app: App,
    pub operator: Admin,
    pub client: ClientId,
}

pub const BASE: &str = "/api/v1/clients/acme";

impl Scene {
    pub async fn start() -> Self {
        Self::with(App::start().await).await
    }

    pub async fn with(app: App) -> Self {
        let operator = app.operator().await;
        operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme" })).await.ok();
        operator.post(&format!("{BASE}/sublicenses"), json!({ "slug": "sales", "name": "Sales" })).await.ok();
        let client = usher::admin::find_client(&app.db, "acme").await.unwrap().unwrap();
        Self { app, operator, client }
    }

    pub async fn sublicense(&self, slug: &str) -> SublicenseId {
        let list = self.operator.get(&format!("{BASE}/sublicenses")).await.ok();
        let found = list["items"].as_array().unwrap().iter().find(|item| item["slug"] == slug).unwrap();
        found["id"].as_str().unwrap().parse().unwrap()
    }

    /// A registration code of `main`, with changes.
    pub async fn registration(&self, changes: Value) -> Value {
        let mut body = json!({ "label": "Spring", "sublicenses": ["main"] });
        crate::support::merge(&mut body, &changes);
        self.operator.post(&format!("{BASE}/registration-codes"), body).await.ok()
    }

    /// A batch of `main`, with changes; its codes in order.
    pub async fn batch(&self, changes: Value) -> (String, Vec<Value>) {
        let mut body = json!({ "label": "Vouchers", "sublicenses": ["main"] });
        crate::support::merge(&mut body, &changes);
        let made = self.operator.post(&format!("{BASE}/redemption-batches"), body).await.ok();
        let id = made["batch"]["id"].as_str().unwrap().to_owned();
        let codes = self.operator.get(&format!("{BASE}/redemption-batches/{id}/codes?limit=200")).await.ok();
        (id, codes["items"].as_array().unwrap().clone())
    }

    pub async fn facts(&self) -> Arc<ClientFacts> {
        self.app.clients.by_slug(&self.app.db, "acme").await.unwrap().unwrap()
    }

    /// A learner with an address, verified or not.
    pub async fn learner(&self, email: &str, is_verified: bool) -> LearnerId {
        learner(&self.app, self.client, email, is_verified).await
    }

    /// Sessions of the database that wait for another's lock.
    pub async fn waiting_for_locks(&self) -> i64 {
        let sql =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        sqlx::query_scalar(sql).fetch_one(&self.app.db).await.unwrap()
    }

    pub async fn learners(&self, count: usize) -> Vec<LearnerId> {
        let now = self.app.clock.now();
        let ids: Vec<LearnerId> = (0..count).map(|_| self.app.entropy.id(now)).collect();
        let uuids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        sqlx::query(
            "insert into learners (client_id, id, sub, first_name, created_at, updated_at)
             select $1, id, id, 'Ada', $3, $3 from unnest($2::uuid[]) t (id)",
        )
        .bind(self.client.uuid())
        .bind(&uuids)
        .bind(now)
        .execute(&self.app.db)
        .await
        .unwrap();
        ids
    }

    pub fn order(&self, facts: &Arc<ClientFacts>, learner: LearnerId, codes: &[&str]) -> RedeemOrder {
        RedeemOrder {
            client: facts.clone(),
            learner,
            verified_email: None,
            codes: codes.iter().map(|code| CodeText::read(code).unwrap()).collect(),
            actor: Actor::Learner(learner),
            reference: Some("TEST-REFE-RENC".into()),
            now: self.app.clock.now(),
        }
    }

    /// Redeems codes for a learner who is signed in; the result of each.
    pub async fn redeem(&self, learner: LearnerId, codes: &[&str]) -> Vec<CodeResult> {
        self.redeem_as(learner, None, codes).await
    }

    pub async fn redeem_as(&self, learner: LearnerId, email: Option<&str>, codes: &[&str]) -> Vec<CodeResult> {
        let facts = self.facts().await;
        let mut order = self.order(&facts, learner, codes);
        order.verified_email = email.map(|email| EmailAddress::parse(email).unwrap());
        results(codes::redeem(&self.app, order).await)
    }

    /// How many grants of a learner run now.
    pub async fn grants(&self, learner: LearnerId) -> i64 {
        sqlx::query_scalar(
            "select count(*) from access_grants where client_id = $1 and learner_id = $2 and (ends_at is null or ends_at > $3)",
        )
        .bind(self.client.uuid())
        .bind(learner.uuid())
        .bind(self.app.clock.now())
        .fetch_one(&self.app.db)
        .await
        .unwrap()
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).bind(self.client.uuid()).fetch_one(&self.app.db).await.unwrap()
    }

    /// The reasons of the refusals in the audit trail, oldest first.
    pub async fn refusals(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select reason from audit_events where client_id = $1 and action = 'code.refused' order by id",
        )
        .bind(self.client.uuid())
        .fetch_all(&self.app.db)
        .await
        .unwrap()
    }
}

pub fn results(outcomes: Result<Vec<CodeOutcome>, Fault>) -> Vec<CodeResult> {
    outcomes.unwrap().into_iter().map(|outcome| outcome.result).collect()
}

pub fn is_redeemed(result: &CodeResult) -> bool {
    matches!(result, CodeResult::Redeemed { .. })
}

pub fn text(code: &Value) -> &str {
    code["code"].as_str().unwrap()
}

pub async fn learner(app: &App, client: ClientId, email: &str, is_verified: bool) -> LearnerId {
    let now = app.clock.now();
    let id: LearnerId = app.entropy.id(now);
    sqlx::query(
        "insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, created_at, updated_at)
         values ($1, $2, $2, $3, $3, $4, 'Ada', $5, $5)",
    )
    .bind(client.uuid())
    .bind(id.uuid())
    .bind(email)
    .bind(is_verified)
    .bind(now)
    .execute(&app.db)
    .await
    .unwrap();
    id
}

/// A moment at which manual clocks stand.
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}
