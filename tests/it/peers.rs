//! Whole sign-ins over HTTP against software that nobody here wrote: npm oidc-provider and PyPI pysaml2, each through its
//! own pages, with cookies and forms as a browser carries them.

use serde_json::{Map, Value, json};

use crate::support::{Admin, App, Browser, Page, Peer, merge};

/// A gateway with one client, `acme`, that trusts addresses of `acme.example`.
async fn gateway() -> (App, Admin) {
    let app = App::start().await;
    let operator = app.operator().await;
    let body = json!({ "slug": "acme", "name": "Acme Learning", "email_domains": [{ "domain": "acme.example" }] });
    operator.post("/api/v1/clients", body).await.ok();
    operator.post("/api/v1/clients/acme/domains/acme.example/vouch", json!({})).await.ok();
    operator.post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales Academy" })).await.ok();
    (app, operator)
}

/// An active connection with this mapping of groups; its id.
async fn connection(operator: &Admin, settings: Value, profile: Value, groups: &str) -> String {
    let mut body = json!({ "status": "active", "trusted_domains": ["acme.example"] });
    merge(&mut body, &settings);
    let made = operator.post("/api/v1/clients/acme/connections", body).await.ok();
    let id = made["id"].as_str().unwrap().to_owned();
    let mapping = json!({
        "profile": profile,
        "access": [{ "when": { "claim": groups, "contains": "sales" }, "sublicenses": ["sales"] }],
    });
    operator.put(&format!("/api/v1/clients/acme/connections/{id}/mapping"), mapping).await.ok();
    id
}

/// From the start of a sign-in through the peer's login page to the gateway's last word.
async fn sign_in(app: &App, browser: &Browser, connection: &str, who: &str) -> Page {
    let start = browser.open(app.url(&format!("/acme/login/{connection}"))).await;
    let login = browser.follow_all(start).await;
    let mut page = browser.submit(&login.form().fill("username", who)).await;
    for _ in 0..20 {
        let callback = page.url.as_str().starts_with(app.origin());
        page = match page.forms().into_iter().next() {
            _ if page.status.is_redirection() && callback => return page,
            _ if page.status.is_redirection() => browser.follow(&page).await,
            // The peer's self-posting form, and then our own that posts it once more with the cookies.
            Some(form) if page.status == 200 && form.value("SAMLResponse").is_some() => browser.submit(&form).await,
            _ => return page,
        };
    }
    panic!("the sign-in goes round in circles: {}", page.url)
}

/// The learner is in: on the way to the dashboard with a session, and known to the admin with what the mapping gave.
async fn is_in(app: &App, operator: &Admin, browser: &Browser, last: Page, email: &str, name: &str) {
    let next = last.expect(303).location();
    assert_eq!(next.as_str(), app.url("/acme/dashboard"));
    assert!(browser.cookies().iter().any(|cookie| cookie.name.contains("usher_cli")), "{:?}", browser.cookies());
    let list = operator.get(&format!("/api/v1/clients/acme/learners?email={email}")).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    let learner = &list["items"][0];
    assert_eq!((&learner["email"], &learner["last_name"]), (&json!(email), &json!(name)));
    let id = learner["id"].as_str().unwrap();
    let access = operator.get(&format!("/api/v1/clients/acme/learners/{id}/access")).await.ok();
    let list = operator.get("/api/v1/clients/acme/sublicenses").await.ok();
    let sales = list["items"].as_array().unwrap().iter().find(|one| one["slug"] == "sales").unwrap()["id"].clone();
    assert_eq!(access["effective_access"][0]["sublicense"], sales, "{access}");
}

async fn last_code(operator: &Admin) -> String {
    let list = operator.get("/api/v1/clients/acme/attempts?limit=1").await.ok();
    list["items"][0]["code"].as_str().unwrap_or_else(|| panic!("no code: {list}")).to_owned()
}

/// One person for each variant of the peer, so that each sign-in is a first one.
fn people(variants: &[&str]) -> Value {
    let person = |variant: &&str| {
        let attributes = json!({
            "mail": [format!("{variant}@acme.example")], "givenName": ["Zoë"], "sn": [format!("Müller-{variant}")],
            "isMemberOf": ["learning", "sales"],
        });
        ((*variant).to_owned(), attributes)
    };
    json!({ "people": variants.iter().map(person).collect::<Map<_, _>>() })
}

/// Found by their FriendlyNames, beside the OIDs under which pysaml2 sends them.
fn saml_profile() -> Value {
    json!({ "email": "mail", "first_name": "givenName", "last_name": "urn:oid:2.5.4.4" })
}

async fn pysaml2_connection(operator: &Admin, peer: &Peer, variant: &str, saml: Value) -> String {
    let mut settings = json!({
        "name": variant, "protocol": "saml",
        "saml": { "metadata_url": format!("{}/{variant}/metadata", peer.text("base_url")) },
    });
    merge(&mut settings, &json!({ "saml": saml }));
    connection(operator, settings, saml_profile(), "isMemberOf").await
}

#[tokio::test]
async fn a_learner_signs_in_through_pysaml2_however_it_signs_and_encrypts() {
    let variants = [
        "rsa-response",
        "rsa-assertion",
        "rsa-both",
        "ec-response",
        "ec-assertion",
        "ec-both",
        "rsa-both-aes128",
        "ec-both-aes256",
    ];
    let peer = Peer::pysaml2(&people(&variants)).await;
    let (app, operator) = gateway().await;
    for variant in variants {
        let connection = pysaml2_connection(&operator, &peer, variant, json!({})).await;
        let browser = app.browser();
        let last = sign_in(&app, &browser, &connection, variant).await;
        is_in(&app, &operator, &browser, last, &format!("{variant}@acme.example"), &format!("Müller-{variant}")).await;
        // Coming again finds the same learner.
        let browser = app.browser();
        let last = sign_in(&app, &browser, &connection, variant).await;
        is_in(&app, &operator, &browser, last, &format!("{variant}@acme.example"), &format!("Müller-{variant}")).await;
    }
}

#[tokio::test]
async fn what_pysaml2_encrypts_weakly_is_refused_until_an_operator_allows_it_or_for_good() {
    let variants = ["rsa-both-3des", "rsa-assertion-aes128"];
    let peer = Peer::pysaml2(&people(&variants)).await;
    let (app, operator) = gateway().await;
    for (variant, code) in variants.into_iter().zip(["login.saml.encryption_algorithm", "login.saml.cbc_unsigned"]) {
        let connection = pysaml2_connection(&operator, &peer, variant, json!({})).await;
        let last = sign_in(&app, &app.browser(), &connection, variant).await;
        assert!(!last.status.is_redirection(), "{variant}");
        assert_eq!(last_code(&operator).await, code);
    }
    let learners = operator.get("/api/v1/clients/acme/learners").await.ok();
    assert_eq!(learners["items"].as_array().unwrap().len(), 0);
    let allowed = json!({ "allow_cbc_unsigned_response": true });
    let variant = "rsa-assertion-aes128";
    let connection = pysaml2_connection(&operator, &peer, variant, allowed).await;
    let browser = app.browser();
    let last = sign_in(&app, &browser, &connection, variant).await;
    is_in(&app, &operator, &browser, last, &format!("{variant}@acme.example"), &format!("Müller-{variant}")).await;
}

async fn oidc_provider(alg: &str, claims_only_in_userinfo: bool) -> Peer {
    let client = json!({
        "client_id": "usher", "client_secret": "a secret that only two know",
        "redirect_uris": ["http://localhost/oidc/callback"], "id_token_signed_response_alg": alg,
        "backchannel_logout_uri": "http://localhost/nowhere", "backchannel_logout_session_required": true,
    });
    Peer::oidc_provider(&json!({
        "alg": alg,
        "claimsOnlyInUserinfo": claims_only_in_userinfo,
        "anyLoopbackRedirect": true,
        "clients": [client],
        "accounts": { "grace": {
            "email": "grace@acme.example", "email_verified": true, "given_name": "Grace", "family_name": "Hopper",
            "groups": ["learning", "sales"],
        } },
    }))
    .await
}

async fn oidc_connection(operator: &Admin, peer: &Peer, alg: &str, oidc: Value) -> String {
    let mut settings = json!({
        "name": "Provider", "protocol": "oidc",
        "oidc": {
            "issuer": peer.text("issuer"), "client_id": "usher", "client_secret": "a secret that only two know",
            "scopes": ["openid", "email", "profile", "groups"], "id_token_algs": [alg],
        },
    });
    merge(&mut settings, &json!({ "oidc": oidc }));
    let profile = json!({ "email": "email", "first_name": "given_name", "last_name": "family_name" });
    connection(operator, settings, profile, "groups").await
}

#[tokio::test]
async fn a_learner_signs_in_through_oidc_provider_by_every_algorithm() {
    for (alg, only_in_userinfo) in [("RS256", false), ("ES256", true), ("EdDSA", false), ("PS256", true)] {
        let peer = oidc_provider(alg, only_in_userinfo).await;
        let (app, operator) = gateway().await;
        let connection = oidc_connection(&operator, &peer, alg, json!({ "userinfo": only_in_userinfo })).await;
        for _ in 0..2 {
            let browser = app.browser();
            let last = sign_in(&app, &browser, &connection, "grace").await;
            is_in(&app, &operator, &browser, last, "grace@acme.example", "Hopper").await;
        }
    }
}

#[tokio::test]
async fn an_algorithm_that_the_connection_does_not_list_is_refused_although_the_provider_is_right() {
    let peer = oidc_provider("ES256", false).await;
    let (app, operator) = gateway().await;
    let connection = oidc_connection(&operator, &peer, "RS256", json!({})).await;
    let last = sign_in(&app, &app.browser(), &connection, "grace").await;
    assert!(!last.status.is_redirection());
    assert!(last_code(&operator).await.starts_with("login.oidc."));
    let learners = operator.get("/api/v1/clients/acme/learners").await.ok();
    assert_eq!(learners["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn nobody_of_that_name_at_the_provider_ends_in_a_page_and_a_typed_reason() {
    let peer = oidc_provider("RS256", false).await;
    let (app, operator) = gateway().await;
    let connection = oidc_connection(&operator, &peer, "RS256", json!({})).await;
    let last = sign_in(&app, &app.browser(), &connection, "nobody").await;
    assert!(!last.status.is_redirection());
    assert!(last_code(&operator).await.starts_with("login.oidc."));
}

/// Two browsers that share one session at the peer, signed in here on two replicas.
async fn two_browsers(app: &App, replica: &App, peer: &Peer, connection: &str) -> [Browser; 2] {
    let told_at = app.url(&format!("/oidc/{connection}/backchannel-logout"));
    let control = reqwest::Client::builder().no_proxy().build().unwrap();
    let control = control.post(format!("{}/control/told-at", peer.text("issuer")));
    let body = json!({ "client": "usher", "uri": told_at }).to_string();
    assert_eq!(control.body(body).send().await.unwrap().status(), 204);
    let (first, second) = (app.browser(), app.browser().via(replica));
    sign_in(app, &first, connection, "grace").await.expect(303);
    for cookie in first.cookies().iter().filter(|cookie| !cookie.name.contains("usher")) {
        second.set_cookie("127.0.0.1", &cookie.name, &cookie.value);
    }
    let start = second.open(app.url(&format!("/acme/login/{connection}"))).await;
    let landed = second.follow_all(start).await.expect(200);
    assert_eq!(landed.url.path(), "/acme/dashboard", "the peer knows the second browser without its form");
    [first, second]
}

async fn sees_dashboard(app: &App, browser: &Browser) -> bool {
    browser.open(app.url("/acme/dashboard")).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_oidc_provider_ends_the_sessions_of_both_browsers_on_both_replicas() {
    let peer = oidc_provider("ES256", false).await;
    let (app, operator) = gateway().await;
    let replica = app.replica();
    let connection = oidc_connection(&operator, &peer, "ES256", json!({})).await;
    let [first, second] = two_browsers(&app, &replica, &peer, &connection).await;
    let another = app.browser();
    sign_in(&app, &another, &connection, "grace").await.expect(303);
    assert!(
        sees_dashboard(&app, &first).await
            && sees_dashboard(&app, &second).await
            && sees_dashboard(&app, &another).await
    );
    let page = first.visit(format!("{}/session/end", peer.text("issuer"))).await.expect(200);
    first.submit(&page.form()).await;
    assert!(!sees_dashboard(&app, &first).await && !sees_dashboard(&app, &second).await);
    assert!(sees_dashboard(&app, &another).await, "it has a session of its own at the peer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_who_signs_out_here_is_signed_out_at_oidc_provider_and_comes_back() {
    let peer = oidc_provider("RS256", false).await;
    let (app, operator) = gateway().await;
    let replica = app.replica();
    let connection = oidc_connection(&operator, &peer, "RS256", json!({})).await;
    let [first, second] = two_browsers(&app, &replica, &peer, &connection).await;
    let dashboard = first.open(app.url("/acme/dashboard")).await.expect(200);
    let button = dashboard.forms().into_iter().find(|form| form.action.ends_with("/logout")).unwrap();
    let page = first.submit(&button).await;
    let question = first.follow_all(page).await.expect(200);
    assert!(question.url.as_str().starts_with(peer.text("issuer")), "{}", question.url);
    let page = first.submit(&question.form()).await;
    let page = first.follow_all(page).await.expect(200);
    assert!(page.says(usher::http::text::signed_out::EVERYWHERE.heading), "{}", page.text());
    assert!(!sees_dashboard(&app, &first).await && !sees_dashboard(&app, &second).await);
    let start = second.open(app.url(&format!("/acme/login/{connection}"))).await;
    let login = second.follow_all(start).await.expect(200);
    assert!(login.form().value("username").is_some(), "the peer asks who it is again");
}

/// Carries what pages and redirects say until neither leads on.
async fn carried(browser: &Browser, mut page: Page) -> Page {
    for _ in 0..20 {
        let form =
            page.forms().into_iter().find(|form| form.value("SAMLRequest").or(form.value("SAMLResponse")).is_some());
        page = match form {
            _ if page.status.is_redirection() => browser.follow(&page).await,
            Some(form) => browser.submit(&form).await,
            None => return page,
        };
    }
    panic!("the logout goes round in circles: {}", page.url)
}

#[tokio::test]
async fn a_learner_is_signed_out_by_pysaml2_and_there_by_us_by_both_bindings() {
    let variants = ["rsa-assertion-by-redirect", "rsa-both-by-post"];
    let peer = Peer::pysaml2(&people(&variants)).await;
    let (app, operator) = gateway().await;
    for variant in variants {
        let connection = pysaml2_connection(&operator, &peer, variant, json!({})).await;
        let browser = app.browser();
        sign_in(&app, &browser, &connection, variant).await.expect(303);
        browser.open(app.url("/acme/dashboard")).await.expect(200);
        // It begins, and verifies our answer.
        let page = browser.open(format!("{}/{variant}/logout", peer.text("base_url"))).await;
        let page = browser.submit(&page.form()).await;
        let page = carried(&browser, page).await;
        assert!(page.says("The application said Success; RelayState begun-at-pysaml2"), "{variant}: {}", page.html);
        browser.open(app.url("/acme/dashboard")).await.expect(303);
        // We begin, it verifies our request, and we its answer.
        sign_in(&app, &browser, &connection, variant).await.expect(303);
        let dashboard = browser.open(app.url("/acme/dashboard")).await.expect(200);
        let form = dashboard.forms().into_iter().find(|form| form.action.ends_with("/logout")).unwrap();
        let page = browser.submit(&form).await;
        let page = carried(&browser, page).await;
        assert!(page.says("You are signed out everywhere"), "{variant}: {} {}", page.url, page.html);
        browser.open(app.url("/acme/dashboard")).await.expect(303);
    }
}
