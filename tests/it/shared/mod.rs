//! One identity provider that serves several clients: a district and its schools.
//!
//! | file | holds |
//! |---|---|
//! | `choice.rs` | which client a sign-in is for, begun at a page or by the identity provider |
//! | `lists.rs` | the list of clients: written, validated, taken from, and what ends with it |
//! | `tenancy.rs` | what tokens of the owner and of a listed client see and may do |
//! | `limits.rs` | seats, trust, suspension and rates, of the chosen client alone |

mod choice;
mod limits;
mod lists;
mod tenancy;

use idp_fixtures::{
    people::{Org, Person},
    saml,
};
use serde_json::{Value, json};

use crate::support::{App, Browser, Page, SamlScene, client};

/// The district `acme` owns the connection; its schools `north` and `south` are listed, and it is not.
pub struct District(pub SamlScene);

impl std::ops::Deref for District {
    type Target = SamlScene;

    fn deref(&self) -> &SamlScene {
        &self.0
    }
}

fn pupil(name: &str, schools: Value) -> Person {
    Person::new(name, &format!("{name}@north.example"), name, "Pupil").extra("school", schools)
}

fn people() -> Org {
    let mut org = Org::acme();
    org.people = vec![
        pupil("ann", json!("north")),
        pupil("ben", json!("SOUTH")),
        pupil("cho", json!("S-40")),
        pupil("eva", json!(["north", "elsewhere", "south"])),
        pupil("foe", json!("globex")),
        pupil("own", json!("acme")),
        Person::new("nil", "nil@north.example", "nil", "Pupil"),
    ];
    org.people.extend((0..8).map(|number| pupil(&format!("p{number}"), json!("north"))));
    org
}

impl District {
    pub async fn start() -> Self {
        Self::with(App::start().await, json!({}), json!({})).await
    }

    pub async fn with(app: App, connection: Value, mapping: Value) -> Self {
        let mut draft = json!({ "name": "District sign-on", "status": "draft" });
        crate::support::merge(&mut draft, &connection);
        let mut rules = json!({ "client": "school" });
        crate::support::merge(&mut rules, &mapping);
        let idp = saml::Options { org: people(), ..saml::Options::default() };
        let scene = SamlScene::with_idp(app, idp, draft, rules).await;
        for slug in ["north", "south", "globex"] {
            client(&scene.operator, slug).await;
        }
        scene.operator.patch("/api/v1/clients/south", json!({ "sku": "S-40" })).await.ok();
        let district = Self(scene);
        district.patch(json!({ "clients": ["north", "south"], "status": "active" })).await;
        district
    }

    pub fn path(&self) -> String {
        format!("/api/v1/clients/acme/connections/{}", self.connection)
    }

    pub async fn patch(&self, changes: Value) -> Value {
        self.operator.patch(&self.path(), changes).await.ok()
    }

    pub fn start_at(&self, slug: &str) -> String {
        self.app.url(&format!("/{slug}/login/{}", self.connection))
    }

    /// A sign-in that begins at a client's page; where it ends.
    pub async fn sign_in_at(&self, slug: &str, browser: &Browser, who: &str) -> Page {
        let page = browser.open(self.start_at(slug)).await.expect(303);
        let form = self.idp.sign_in(page.location().as_str(), who).await.unwrap();
        self.post_back(browser, &form).await
    }

    /// The response that the identity provider's own tile sends.
    pub async fn tile(&self, who: &str, relay_state: Option<&str>) -> saml::PostForm {
        let app = saml::App { entity_id: self.entity_id(), acs_url: self.acs_url() };
        self.idp.open_app(&app, who, relay_state).await.unwrap()
    }

    pub async fn learners_of(&self, slug: &str) -> Vec<Value> {
        let list = self.operator.get(&format!("/api/v1/clients/{slug}/learners")).await.ok();
        list["items"].as_array().unwrap().clone()
    }

    /// The codes of a client's attempts, the newest first; a sign-in that succeeded is null.
    pub async fn attempts_of(&self, slug: &str) -> Vec<Value> {
        let list = self.operator.get(&format!("/api/v1/clients/{slug}/attempts")).await.ok();
        list["items"].as_array().unwrap().iter().map(|item| item["code"].clone()).collect()
    }

    /// What is in each of the three clients: learners and attempts.
    pub async fn census(&self) -> [(usize, usize); 3] {
        let mut counted = [(0, 0); 3];
        for (place, slug) in counted.iter_mut().zip(["acme", "north", "south"]) {
            *place = (self.learners_of(slug).await.len(), self.attempts_of(slug).await.len());
        }
        counted
    }
}
