//! Declarative client files: what they make, that they make it once, and what they refuse.

use std::collections::HashMap;

use idp_fixtures::{oidc, saml};
use serde_json::Value;
use usher::apply::{self, Action, Api, Mode, Plan};

use crate::support::App;

/// The two demo files, as `usher dev` reads them, and the providers that they name.
struct Demo {
    app: App,
    api: Api,
    saml: saml::SamlIdp,
    oidc: oidc::OidcOp,
}

impl Demo {
    async fn start() -> Self {
        let app = App::start().await;
        let api = Api::new(&app, app.operator().await.token.into());
        let saml = saml::SamlIdp::start(saml::Options::default()).await.unwrap();
        let oidc = oidc::OidcOp::start(oidc::Options::default()).await.unwrap();
        Self { app, api, saml, oidc }
    }

    fn text(name: &str) -> String {
        std::fs::read_to_string(format!("config/clients/{name}.toml")).unwrap()
    }

    async fn apply(&self, text: &str, mode: Mode) -> anyhow::Result<Plan> {
        let variables = HashMap::from([
            ("USHER_DEV_SAML_METADATA_URL", self.saml.metadata_url()),
            ("USHER_DEV_OIDC_ISSUER", self.oidc.issuer().to_owned()),
            ("USHER_DEV_OIDC_CLIENT_ID", "usher".to_owned()),
            ("USHER_DEV_OIDC_CLIENT_SECRET", "first secret".to_owned()),
        ]);
        let file = apply::parse(text, &|name| variables.get(name).cloned())?;
        apply::apply(&self.api, &file, mode).await
    }

    async fn client(&self, slug: &str) -> Value {
        self.app.operator().await.get(&format!("/api/v1/clients/{slug}")).await.json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_files_make_what_they_say_and_change_nothing_when_applied_again() {
    let demo = Demo::start().await;
    for name in ["acme", "globex"] {
        let text = Demo::text(name);
        let first = demo.apply(&text, Mode::Apply).await.unwrap();
        assert!(first.steps.iter().any(|step| step.kind == "connection" && step.action == Action::Create), "{first}");
        let second = demo.apply(&text, Mode::Apply).await.unwrap();
        assert!(second.is_unchanged(), "{second}");
        let operator = demo.app.operator().await;
        let list = operator.get(&format!("/api/v1/clients/{name}/connections")).await.ok();
        assert_eq!(list["items"][0]["status"], "active", "{list}");
        let content = operator.get(&format!("/api/v1/clients/{name}/content")).await.ok();
        assert_eq!(content["items"].as_array().unwrap().len(), 4, "{content}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_the_same_and_changes_nothing() {
    let demo = Demo::start().await;
    let text = Demo::text("globex");
    let planned = demo.apply(&text, Mode::DryRun).await.unwrap();
    assert_eq!(demo.client("globex").await["code"], "not_found");
    let done = demo.apply(&text, Mode::Apply).await.unwrap();
    let created =
        |plan: &Plan| -> Vec<String> { plan.steps.iter().map(|step| format!("{} {}", step.kind, step.name)).collect() };
    assert_eq!(created(&planned), created(&done));

    let changed = text.replace("session_idle_s = 3600", "session_idle_s = 600");
    let planned = demo.apply(&changed, Mode::DryRun).await.unwrap();
    assert!(planned.to_string().contains("session_idle_s: 3600 -> 600"), "{planned}");
    assert_eq!(demo.client("globex").await["session_idle_s"], 3600);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_is_written_and_what_is_not_named_stays() {
    let demo = Demo::start().await;
    let text = Demo::text("globex");
    demo.apply(&text, Mode::Apply).await.unwrap();
    let operator = demo.app.operator().await;
    operator.patch("/api/v1/clients/globex", serde_json::json!({ "default_locale": "de", "sku": "G-1" })).await.ok();
    let without_locale = text.replace("default_locale = \"en\"\n", "");
    let mapped = without_locale.replace("contains = \"support\"", "contains = \"helpdesk\"");
    let secret = mapped.replace("${USHER_DEV_OIDC_CLIENT_SECRET}", "second secret");
    for (text, field) in [(&mapped, "mapping.access"), (&secret, "oidc.client_secret")] {
        let plan = demo.apply(text, Mode::Apply).await.unwrap();
        let updates: Vec<_> = plan.steps.iter().filter(|step| step.action != Action::Unchanged).collect();
        let [step] = updates.as_slice() else { panic!("one update: {plan}") };
        let Action::Update(differences) = &step.action else { panic!("an update: {plan}") };
        assert_eq!((step.kind, differences[0].field.as_str(), differences.len()), ("connection", field, 1), "{plan}");
        assert!(!plan.to_string().contains("second secret"), "{plan}");
        assert!(demo.apply(text, Mode::Apply).await.unwrap().is_unchanged());
    }
    let client = demo.client("globex").await;
    assert_eq!((client["default_locale"].as_str(), client["sku"].as_str()), (Some("de"), Some("G-1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_in_a_file_is_named_and_nothing_of_its_thing_is_written() {
    let demo = Demo::start().await;
    let text = Demo::text("globex");
    let cases = [
        ("session_idle_s = 3600", "session_idel_s = 3600", "session_idel_s"),
        ("session_idle_s = 3600", "session_idle_s = 1", "/session_idle_s"),
        ("[client]\n", "[clients]\n", "needs a `slug`"),
        ("${USHER_DEV_OIDC_ISSUER}", "${NOT_SET}", "NOT_SET is not set"),
        ("slug = \"support\"", "slug = \"engineering\"", "two [[sublicenses]] have the slug `engineering`"),
    ];
    for (from, to, told) in cases {
        assert!(text.contains(from), "{from}");
        let error = demo.apply(&text.replacen(from, to, 1), Mode::Apply).await.expect_err(to);
        assert!(format!("{error:#}").contains(told), "{to}: {error:#}");
        assert_eq!(demo.client("globex").await["code"], "not_found", "{to}");
    }
}
