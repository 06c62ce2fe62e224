//! Logout over OpenID Connect: begun by the provider (`back_channel.rs`, `tokens.rs`) and by the learner (`learner.rs`).

mod back_channel;
mod learner;
mod tokens;

use idp_fixtures::{oidc, people::Org};
use serde_json::{Value, json};
use usher::http::text::SignedOut;

use crate::support::{Admin, App, Browser, Form, Page};

/// A client with an OpenID provider that tells of logouts, and a second replica.
struct Scene {
    app: App,
    replica: App,
    operator: Admin,
    op: oidc::OidcOp,
    connection: String,
}

const CLIENT: &str = "usher-rp";

impl Scene {
    async fn start() -> Self {
        let app = App::start().await;
        let op = oidc::OidcOp::start(oidc::Options { org: Org::globex(), ..oidc::Options::default() }).await.unwrap();
        Self::with(app, op).await
    }

    async fn with(app: App, op: oidc::OidcOp) -> Self {
        let (replica, operator) = (app.replica(), app.operator().await);
        op.register(oidc::Client::with_secret(CLIENT, "a-very-secret-secret").told_at("backchannel-logout"));
        let body = json!({ "slug": "globex", "name": "Globex", "email_domains": [{"domain": "globex.example"}] });
        operator.post("/api/v1/clients", body).await.ok();
        let body = json!({
            "name": "Globex ID", "protocol": "oidc", "status": "active",
            "oidc": { "issuer": op.issuer(), "client_id": CLIENT, "client_secret": "a-very-secret-secret" },
        });
        let made = operator.post("/api/v1/clients/globex/connections", body).await.ok();
        let connection = made["id"].as_str().unwrap().to_owned();
        Self { app, replica, operator, op, connection }
    }

    async fn authorize_url(&self, browser: &Browser) -> String {
        let page = browser.open(self.app.url(&format!("/globex/login/{}", self.connection))).await.expect(303);
        page.location().into()
    }

    /// Signs somebody in by a new session at the provider; its `sid`.
    async fn sign_in(&self, browser: &Browser, who: &str) -> String {
        let callback = self.op.sign_in(&self.authorize_url(browser).await, who).unwrap();
        browser.open(callback.url()).await.expect(303);
        assert!(self.is_in(browser).await, "{who} is in");
        self.op.sids().last().unwrap().clone()
    }

    /// Signs in by a session that the provider has already.
    async fn sign_in_again(&self, browser: &Browser, sid: &str) {
        let callback = self.op.sign_in_again(&self.authorize_url(browser).await, sid).unwrap();
        browser.open(callback.url()).await.expect(303);
        assert!(self.is_in(browser).await);
    }

    async fn is_in(&self, browser: &Browser) -> bool {
        browser.open(self.app.url("/globex/dashboard")).await.status == 200
    }

    fn subject(&self, who: &str) -> String {
        Org::globex().person(who).unwrap().subject
    }

    /// A logout token of the provider, with what the faults bend.
    fn token(&self, who: Option<&str>, sid: Option<&str>) -> String {
        let subject = who.map(|who| self.subject(who));
        self.op.logout_token(CLIENT, subject.as_deref(), sid).unwrap()
    }

    async fn tell(&self, token: &str) -> (u16, String) {
        self.post(&self.app, &self.connection, &[("logout_token", token)]).await
    }

    /// What the provider's server posts, with no browser and no cookie.
    async fn post(&self, app: &App, connection: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(app, connection, "application/x-www-form-urlencoded", body).await
    }

    async fn send(&self, app: &App, connection: &str, kind: &str, body: String) -> (u16, String) {
        let url = format!("http://{}/oidc/{connection}/backchannel-logout", app.address);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let host = self.app.origin().trim_start_matches("http://");
        let request = client.post(url).header("host", host).header("content-type", kind).body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The newest audit events of an action.
    async fn events(&self, action: &str) -> Vec<Value> {
        let list = self.operator.get("/api/v1/clients/globex/events?limit=100").await.ok();
        list["items"].as_array().unwrap().iter().filter(|event| event["action"] == action).cloned().collect()
    }

    /// The learner's button; what it leads to.
    async fn sign_out(&self, browser: &Browser) -> Page {
        let page = browser.open(self.app.url("/globex/dashboard")).await.expect(200);
        browser.submit(&logout_form(&page)).await
    }
}

fn logout_form(page: &Page) -> Form {
    page.forms().into_iter().find(|form| form.action.ends_with("/logout")).expect("a button to sign out")
}

fn reads(page: &Page, words: &SignedOut) -> bool {
    page.says(words.heading) && page.says(words.lead)
}
