//! Local accounts over HTTP: signing in, proving an address, resetting and changing. What they share is here.

mod browser;
mod change;
mod clean;
mod confirm;
mod enumeration;
mod faults;
mod join;
mod merge;
mod reset;
mod sign_in;
mod throttle;
mod verify_first;

use chrono::{DateTime, Duration, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use usher::{
    access::{By, Ledger, Offer, Source},
    accounts::{self, NewPerson, passwords},
    audit::Actor,
    claims::Role,
    clients::ClientFacts,
    ids::{ClientId, LearnerId, SublicenseId},
    learners::EmailAddress,
};
use uuid::Uuid;

use crate::support::{Admin, App, Browser, Options, Page};

/// Passwords that are taken, for whomever a test is about.
pub const OLD: &str = "violet kettle under the moss";
pub const NEW: &str = "seven brisk otters at dawn";

/// A gateway with two clients, `acme` and `globex`, whose people sign in with passwords.
pub struct Scene {
    pub app: App,
    pub operator: Admin,
}

impl Scene {
    pub async fn start() -> Self {
        Self::with(App::with()).await
    }

    /// The clock stands still until it is advanced.
    pub async fn with(options: Options) -> Self {
        let app = options.clock_at(Utc::now()).start().await;
        let operator = app.operator().await;
        for slug in ["acme", "globex"] {
            operator.post("/api/v1/clients", json!({ "slug": slug, "name": format!("{slug} Learning") })).await.ok();
        }
        Self { app, operator }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    /// Lets a moment pass, so that what comes next is later.
    fn tick(&self) {
        self.app.clock.advance(Duration::milliseconds(2));
    }

    pub async fn client(&self, slug: &str) -> std::sync::Arc<ClientFacts> {
        self.app.clients.by_slug(&self.app.db, slug).await.unwrap().unwrap()
    }

    pub async fn person(&self, email: &str, password: &str) -> NewPerson {
        NewPerson {
            first_name: "Zoë".into(),
            last_name: "Müller".into(),
            email: EmailAddress::parse(email).unwrap(),
            password_hash: passwords::hash(&self.app, SecretString::from(password)).await.unwrap(),
            locale: None,
        }
    }

    /// Signs up as the form does: a provisional learner and a mail.
    pub async fn sign_up(&self, slug: &str, email: &str, password: &str) -> LearnerId {
        let (client, person) = (self.client(slug).await, self.person(email, password).await);
        self.tick();
        let mut tx = self.app.db.begin().await.unwrap();
        let learner = accounts::sign_up_provisional(&mut tx, &self.app, &client, person, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        learner
    }

    /// An account with a learner, as an accepted invite makes it.
    pub async fn account(&self, slug: &str, email: &str, password: &str) -> LearnerId {
        let (client, person) = (self.client(slug).await, self.person(email, password).await);
        let mut tx = self.app.db.begin().await.unwrap();
        let joined = accounts::create_proved(&mut tx, &self.app, &client, person, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        joined.learner
    }

    /// A learner as single sign-on leaves one: a proved address and no password.
    pub async fn sso_learner(&self, slug: &str, email: &str) -> LearnerId {
        let client = self.client(slug).await.id;
        let id: LearnerId = self.app.entropy.id(self.now());
        sqlx::query("insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, created_at, updated_at) values ($1, $2, $3, $4, $4, true, 'Sam', $5, $5)")
            .bind(client.uuid()).bind(id.uuid()).bind(Uuid::from_bytes(self.app.entropy.bytes())).bind(email).bind(self.now())
            .execute(&self.app.db).await.unwrap();
        id
    }

    /// Grants a sublicense as a code would.
    pub async fn grant(&self, slug: &str, learner: LearnerId, sublicense: &str) {
        let client = self.client(slug).await;
        let id: SublicenseId = client.sublicenses.iter().find(|one| one.slug == sublicense).unwrap().id;
        let mut tx = self.app.db.begin().await.unwrap();
        let mut ledger = Ledger::open(&mut tx, client.id, &[learner], &[id], self.now()).await.unwrap();
        let offer = Offer {
            learner,
            source: Source::RegistrationCode,
            source_ref: format!("reg_{sublicense}"),
            role: Role::Learner,
            sublicenses: vec![id],
            starts_at: None,
            ends_at: None,
            access_days: None,
            reservation: None,
            overrides_block: false,
            by: By { actor: Actor::System, reference: None },
        };
        ledger.offer(&offer);
        ledger.write(&mut tx, &self.app.entropy).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The mails to an address, oldest first: kind, and the link opened.
    pub async fn mails(&self, email: &str) -> Vec<(String, Option<String>)> {
        type Waiting = (Uuid, Uuid, String, String, Option<Vec<u8>>);
        let rows: Vec<Waiting> = sqlx::query_as(
            "select m.client_id, m.id, s.slug, m.kind, m.link_sealed from mails m join slugs s on s.client_id = m.client_id
             where m.recipient = $1 order by m.created_at, m.id",
        )
        .bind(email)
        .fetch_all(&self.app.db)
        .await
        .unwrap();
        let open = |client: Uuid, id: Uuid, slug: String, sealed: Vec<u8>| {
            let place = format!("mails.link:{}:{}", ClientId::from(client), usher::ids::MailId::from(id));
            let path = String::from_utf8(self.app.sealer.open(&place, &sealed).unwrap().to_vec()).unwrap();
            format!("/{slug}{path}")
        };
        rows.into_iter()
            .map(|(client, id, slug, kind, sealed)| (kind, sealed.map(|sealed| open(client, id, slug, sealed))))
            .collect()
    }

    /// The link in the newest mail of a kind.
    pub async fn link(&self, email: &str, kind: &str) -> String {
        let mails = self.mails(email).await;
        let newest = mails.iter().rev().find(|(found, _)| found == kind);
        newest.and_then(|(_, link)| link.clone()).unwrap_or_else(|| panic!("no {kind} to {email}: {mails:?}"))
    }

    pub async fn kinds(&self, email: &str) -> Vec<String> {
        self.mails(email).await.into_iter().map(|(kind, _)| kind).collect()
    }

    /// Fills in the sign-in page; what comes back.
    pub async fn sign_in(&self, browser: &Browser, slug: &str, email: &str, password: &str) -> Page {
        let page = browser.open(self.app.url(&format!("/{slug}/login/password"))).await;
        browser.submit(&page.form().fill("email", email).fill("password", password)).await
    }

    /// A browser in which this person is signed in.
    pub async fn signed_in(&self, slug: &str, email: &str, password: &str) -> Browser {
        let browser = self.app.browser();
        self.sign_in(&browser, slug, email, password).await.expect(303);
        browser
    }

    /// Whether the browser is signed in.
    pub async fn is_in(&self, browser: &Browser, slug: &str) -> bool {
        browser.open(self.app.url(&format!("/{slug}/dashboard"))).await.status == 200
    }

    /// Opens a link and posts its form with a password.
    pub async fn use_link(&self, browser: &Browser, link: &str, password: &str) -> Page {
        let page = browser.open(self.app.url(link)).await.expect(200);
        self.tick();
        browser.submit(&page.form().fill("password", password)).await
    }

    /// Asks for a new password.
    pub async fn forgot(&self, slug: &str, email: &str) -> Page {
        self.tick();
        let browser = self.app.browser();
        let page = browser.open(self.app.url(&format!("/{slug}/password/forgot"))).await;
        browser.submit(&page.form().fill("email", email)).await
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.app.db).await.unwrap()
    }

    /// Learners of `acme` with this address: id, and whether it is verified.
    pub async fn learners(&self, email: &str) -> Vec<(LearnerId, bool)> {
        let acme = self.client("acme").await.id;
        let rows: Vec<(Uuid, bool)> = sqlx::query_as(
            "select id, email_verified from learners where client_id = $1 and email_key = $2 order by id",
        )
        .bind(acme.uuid())
        .bind(email)
        .fetch_all(&self.app.db)
        .await
        .unwrap();
        rows.into_iter().map(|(id, verified)| (id.into(), verified)).collect()
    }

    /// The actions in a client's audit trail, oldest first.
    pub async fn trail(&self, slug: &str) -> Vec<(String, Option<String>)> {
        let client = self.client(slug).await.id;
        sqlx::query_as("select action, reason from audit_events where client_id = $1 order by id")
            .bind(client.uuid())
            .fetch_all(&self.app.db)
            .await
            .unwrap()
    }

    /// The kinds of outgoing events of a client.
    pub async fn told(&self, slug: &str) -> Vec<String> {
        let client = self.client(slug).await.id;
        sqlx::query_scalar("select type from outbox_events where client_id = $1 order by id")
            .bind(client.uuid())
            .fetch_all(&self.app.db)
            .await
            .unwrap()
    }

    pub async fn patch(&self, slug: &str, change: Value) {
        self.operator.patch(&format!("/api/v1/clients/{slug}"), change).await.ok();
    }

    pub async fn suspend(&self, slug: &str, learner: LearnerId) {
        let path = format!("/api/v1/clients/{slug}/learners/{learner}");
        self.operator.patch(&path, json!({ "status": "suspended" })).await.ok();
    }
}
