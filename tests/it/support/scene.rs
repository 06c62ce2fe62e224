//! A client with one connection to a fixture identity provider, made over the API as an admin would.

use idp_fixtures::saml;
use serde_json::{Value, json};

use super::{Admin, App, Browser, Page};

/// A running gateway, a client, a SAML identity provider and the connection between them.
pub struct SamlScene {
    pub app: App,
    pub operator: Admin,
    pub idp: saml::SamlIdp,
    pub slug: String,
    pub client: String,
    pub connection: String,
}

/// Merges `changes` into `base`, objects deeply.
pub fn merge(base: &mut Value, changes: &Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(base.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (base, changes) => *base = changes.clone(),
    }
}

/// Makes a client with this slug; `acme.example` is a vouched domain of it.
pub async fn client(operator: &Admin, slug: &str) -> String {
    let body = json!({ "slug": slug, "name": format!("{slug} Learning"), "email_domains": [{"domain": format!("{slug}.example")}] });
    let client = operator.post("/api/v1/clients", body).await.ok();
    operator.post(&format!("/api/v1/clients/{slug}/domains/{slug}.example/vouch"), json!({})).await.ok();
    client["id"].as_str().unwrap().to_owned()
}

impl SamlScene {
    pub async fn start() -> Self {
        Self::with(App::start().await, json!({}), json!({})).await
    }

    /// With changes to the connection's settings and to its mapping.
    pub async fn with(app: App, connection: Value, mapping: Value) -> Self {
        Self::with_idp(app, saml::Options::default(), connection, mapping).await
    }

    /// With an identity provider that behaves so from the start.
    pub async fn with_idp(app: App, idp: saml::Options, connection: Value, mapping: Value) -> Self {
        let operator = app.operator().await;
        let client = client(&operator, "acme").await;
        operator
            .post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales Academy" }))
            .await
            .ok();
        let idp = saml::SamlIdp::start(idp).await.unwrap();
        let mut body = json!({
            "name": "Acme SSO", "protocol": "saml", "status": "active",
            "saml": { "metadata_url": idp.metadata_url() },
            "trusted_domains": ["acme.example"],
        });
        merge(&mut body, &connection);
        let made = operator.post("/api/v1/clients/acme/connections", body).await.ok();
        let id = made["id"].as_str().unwrap().to_owned();
        let mut rules = json!({
            "profile": { "email": "email", "first_name": "firstName", "last_name": "lastName" },
            "access": [{ "when": { "claim": "groups", "contains": "sales" }, "sublicenses": ["sales"] }],
            "fallback": { "sublicenses": ["main"] },
        });
        merge(&mut rules, &mapping);
        operator.put(&format!("/api/v1/clients/acme/connections/{id}/mapping"), rules).await.ok();
        Self { app, operator, idp, slug: "acme".into(), client, connection: id }
    }

    /// Where a sign-in starts.
    pub fn start_url(&self) -> String {
        self.app.url(&format!("/{}/login/{}", self.slug, self.connection))
    }

    pub fn acs_url(&self) -> String {
        self.app.url(&format!("/saml/{}/acs", self.connection))
    }

    pub fn slo_url(&self) -> String {
        self.app.url(&format!("/saml/{}/slo", self.connection))
    }

    pub fn entity_id(&self) -> String {
        self.app.url(&format!("/saml/{}/metadata", self.connection))
    }

    /// The browser goes to the IdP; the form that the IdP would have it post.
    pub async fn to_idp(&self, browser: &Browser, who: &str) -> saml::PostForm {
        let page = browser.open(self.start_url()).await.expect(303);
        self.idp.sign_in(page.location().as_str(), who).await.unwrap()
    }

    /// The browser posts the IdP's form, and our own page once more with the cookies; where that ends.
    pub async fn post_back(&self, browser: &Browser, form: &saml::PostForm) -> Page {
        let relay_state = form.relay_state.clone().unwrap_or_default();
        let fields = [("SAMLResponse", form.saml_response.as_str()), ("RelayState", &relay_state)];
        let page = browser.post_from(self.idp.base_url(), &form.action, &fields).await;
        if page.status == 200 && page.forms().iter().any(|form| form.fields.iter().any(|field| field.0 == "reposted")) {
            return browser.submit(&page.form_with("reposted")).await;
        }
        page
    }

    /// A whole sign-in; the response to the last post.
    pub async fn sign_in(&self, browser: &Browser, who: &str) -> Page {
        let form = self.to_idp(browser, who).await;
        self.post_back(browser, &form).await
    }

    /// The one learner with this address.
    pub async fn learner(&self, email: &str) -> Value {
        let list = self.operator.get(&format!("/api/v1/clients/acme/learners?email={email}")).await.ok();
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
        list["items"][0].clone()
    }

    pub async fn learners(&self) -> usize {
        self.operator.get("/api/v1/clients/acme/learners").await.ok()["items"].as_array().unwrap().len()
    }

    /// The newest attempt.
    pub async fn last_attempt(&self) -> Value {
        let list = self.operator.get("/api/v1/clients/acme/attempts").await.ok();
        let id = list["items"][0]["id"].as_str().unwrap_or_else(|| panic!("no attempt: {list}")).to_owned();
        self.operator.get(&format!("/api/v1/clients/acme/attempts/{id}")).await.ok()
    }
}
