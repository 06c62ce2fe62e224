//! Single sign-on from a client's own host: over to the base origin, and home by a ticket that is good once, there, and in
//! the browser that began (security 14, 21, 29, 30).

use futures_util::future::join;
use idp_fixtures::{oidc, saml};
use serde_json::{Value, json};

use crate::support::{App, Browser, Code, Page, SamlScene, client};

const LEARN: &str = "learn.acme.localhost";
const OTHER: &str = "academy.acme.localhost";

async fn start() -> SamlScene {
    let scene = SamlScene::start().await;
    set_hosts(&scene, json!([LEARN, OTHER])).await;
    scene
}

async fn set_hosts(scene: &SamlScene, hosts: Value) {
    scene.operator.patch("/api/v1/clients/acme", json!({ "hosts": hosts })).await.ok();
}

/// A URL of one of the gateway's hosts.
fn at(app: &App, host: &str, path: &str) -> String {
    app.url(path).replacen("localhost", host, 1)
}

fn start_at(scene: &SamlScene, host: &str) -> String {
    at(&scene.app, host, &format!("/login/{}", scene.connection))
}

/// From the redirect of a start on an own host to the identity provider; the form that it would have the browser post.
async fn to_idp(scene: &SamlScene, browser: &Browser, started: Page, who: &str) -> saml::PostForm {
    let over = started.expect(303);
    assert_eq!(over.location().origin(), scene.app.settings.server.public_origin.origin(), "{}", over.location());
    let leaving = browser.follow(&over).await.expect(303);
    scene.idp.sign_in(leaving.location().as_str(), who).await.unwrap()
}

/// A sign-in from an own host up to the redirect with the ticket.
async fn to_ticket(scene: &SamlScene, browser: &Browser, host: &str, who: &str) -> Page {
    let started = browser.open(start_at(scene, host)).await;
    let form = to_idp(scene, browser, started, who).await;
    let done = scene.post_back(browser, &form).await.expect(303);
    let location = done.location();
    assert_eq!(location.host_str(), Some(host), "{location}");
    assert!(location.path().ends_with("/ticket"), "{location}");
    done
}

fn session_hosts(scene: &SamlScene, browser: &Browser) -> Vec<String> {
    let name = format!("usher_{}", scene.client);
    browser.cookies().into_iter().filter(|cookie| cookie.name == name).map(|cookie| cookie.host().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saml_sign_in_begins_and_ends_on_the_clients_own_host() {
    let scene = start().await;
    let browser = scene.app.browser();
    let landing = browser.open(at(&scene.app, LEARN, "/?return_to=%2Faccount")).await.expect(200);
    let way = landing.html.split("href=\"").find(|rest| rest.contains("/login/con_")).unwrap();
    let way = way.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert!(way.starts_with("/login/con_"), "{way}");
    let started = browser.click(&way).await;
    let form = to_idp(&scene, &browser, started, "ada").await;
    assert_eq!(form.action, scene.acs_url());
    let done = scene.post_back(&browser, &form).await.expect(303);
    let home = browser.follow(&done).await.expect(303);
    assert_eq!(home.location().as_str(), at(&scene.app, LEARN, "/account"));
    browser.follow(&home).await.expect(200);
    // The session is the host's alone.
    assert_eq!(session_hosts(&scene, &browser), [LEARN]);
    browser.open(scene.app.url("/acme/dashboard")).await.expect(303);
    assert!(browser.open(at(&scene.app, LEARN, "/dashboard")).await.expect(200).says("Ada"));
    assert_eq!(scene.last_attempt().await["outcome"], "succeeded");
    // And out again, on the same host.
    let button = browser.current().join("/logout").unwrap();
    browser.post_from(&at(&scene.app, LEARN, "/dashboard"), button, &[]).await.expect(303);
    browser.open(at(&scene.app, LEARN, "/dashboard")).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_begins_on_the_base_origin_ends_there() {
    let scene = start().await;
    let browser = scene.app.browser();
    let done = scene.sign_in(&browser, "ada").await.expect(303);
    assert_eq!(done.location().as_str(), scene.app.url("/acme/dashboard"));
    assert_eq!(session_hosts(&scene, &browser), ["localhost"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openid_sign_in_begins_and_ends_on_the_clients_own_host() {
    let app = App::start().await;
    let operator = app.operator().await;
    client(&operator, "globex").await;
    operator.patch("/api/v1/clients/globex", json!({ "hosts": ["learn.globex.localhost"] })).await.ok();
    let options = oidc::Options { org: idp_fixtures::people::Org::globex(), ..Default::default() };
    let op = oidc::OidcOp::start(options).await.unwrap();
    op.register(oidc::Client::with_secret("usher-rp", "a-very-secret-secret"));
    let body = json!({
        "name": "Globex ID", "protocol": "oidc", "status": "active", "trusted_domains": ["globex.example"],
        "oidc": { "issuer": op.issuer(), "client_id": "usher-rp", "client_secret": "a-very-secret-secret" },
    });
    let made = operator.post("/api/v1/clients/globex/connections", body).await.ok();
    let id = made["id"].as_str().unwrap();
    let rules = json!({ "profile": { "email": "email" }, "access": [], "fallback": { "sublicenses": ["main"] } });
    operator.put(&format!("/api/v1/clients/globex/connections/{id}/mapping"), rules).await.ok();
    let browser = app.browser();
    let started = browser.open(at(&app, "learn.globex.localhost", &format!("/login/{id}"))).await.expect(303);
    let leaving = browser.follow(&started).await.expect(303);
    let callback = op.sign_in(leaving.location().as_str(), "grace").unwrap();
    assert!(callback.url().as_str().starts_with(app.origin()), "{}", callback.url());
    let landed = browser.visit(callback.url().as_str()).await.expect(200);
    assert_eq!(landed.url.as_str(), at(&app, "learn.globex.localhost", "/dashboard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_invites_go_along_from_the_clients_own_host() {
    let scene = start().await;
    Code::registration("SPRING-2027", &["sales"]).make(&scene.app, "acme").await;
    let browser = scene.app.browser();
    let page = browser.visit(at(&scene.app, LEARN, "/SPRING-2027")).await.expect(200);
    assert_eq!(page.url.path(), "/redeem");
    let button = page.forms().into_iter().find(|form| form.action.contains("/login/con_")).expect("a way to sign in");
    let started = browser.submit(&button).await;
    let form = to_idp(&scene, &browser, started, "nora").await;
    let done = scene.post_back(&browser, &form).await.expect(303);
    let home = browser.follow_all(done).await.expect(200);
    assert_eq!((home.url.host_str(), home.url.path()), (Some(LEARN), "/dashboard"));
    assert!(home.says("SPRING-2027") && home.says("Sales Academy"), "{}", home.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_nothing_in_another_browser_and_is_not_used_up_there() {
    let scene = start().await;
    let (mine, bare, theirs) = (scene.app.browser(), scene.app.browser(), scene.app.browser());
    let done = to_ticket(&scene, &mine, LEARN, "ada").await;
    let ticket = done.location();
    // A browser that was never on that host, and one that has a cookie of its own there.
    theirs.open(start_at(&scene, LEARN)).await.expect(303);
    for thief in [&bare, &theirs] {
        let page = thief.open(ticket.as_str()).await.expect(400);
        assert!(session_hosts(&scene, thief).is_empty());
        let attempt = scene.last_attempt().await;
        assert_eq!(
            (attempt["outcome"].as_str(), attempt["reference"].as_str()),
            (Some("refused"), Some(&*page.reference()))
        );
    }
    assert_eq!(scene.last_attempt().await["code"], "login.ticket.unknown");
    mine.follow(&done).await.expect(303);
    assert_eq!(session_hosts(&scene, &mine), [LEARN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_once_in_sequence_and_in_parallel() {
    let scene = start().await;
    let browser = scene.app.browser();
    let done = to_ticket(&scene, &browser, LEARN, "ada").await;
    browser.follow(&done).await.expect(303);
    let again = browser.follow(&done).await.expect(400);
    assert_eq!(again.url.host_str(), Some(LEARN));
    assert!(again.says("acme Learning"), "{}", again.text());

    let replica = scene.app.replica();
    let twin = Browser::new().via(&replica);
    let done = to_ticket(&scene, &browser, LEARN, "ada").await;
    let cookie =
        browser.cookies().into_iter().find(|cookie| cookie.name == "usher_browser" && cookie.host() == LEARN).unwrap();
    twin.set_cookie(LEARN, &cookie.name, &cookie.value);
    let (one, two) = join(browser.follow(&done), twin.follow(&done)).await;
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_nothing_on_another_host_or_at_another_client() {
    let scene = start().await;
    client(&scene.operator, "globex").await;
    let globex = json!({ "hosts": ["learn.globex.localhost"] });
    scene.operator.patch("/api/v1/clients/globex", globex).await.ok();
    let browser = scene.app.browser();
    for (host, path, status) in [(OTHER, "", 400), ("localhost", "/acme", 400), ("learn.globex.localhost", "", 404)] {
        let ticket = to_ticket(&scene, &browser, LEARN, "ada").await.location();
        // The cookie that the ticket is bound to, planted where it does not belong.
        let cookie =
            browser.cookies().into_iter().find(|one| one.name == "usher_browser" && one.host() == LEARN).unwrap();
        browser.set_cookie(host, &cookie.name, &cookie.value);
        let moved = at(&scene.app, host, &format!("{path}{}?{}", ticket.path(), ticket.query().unwrap()));
        browser.open(&moved).await.expect(status);
        assert!(session_hosts(&scene, &browser).is_empty(), "{host}");
        browser.forget_cookies();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_in_as_somebody_else_by_a_start_that_another_browser_made() {
    let scene = start().await;
    let (attacker, victim) = (scene.app.browser(), scene.app.browser());
    // The attacker begins on the host, and has the victim go on: the victim's own sign-in comes home to the attacker's cookie.
    let over = attacker.open(start_at(&scene, LEARN)).await.expect(303);
    victim.open(start_at(&scene, LEARN)).await.expect(303);
    let leaving = victim.follow(&over).await.expect(303);
    let form = scene.idp.sign_in(leaving.location().as_str(), "ada").await.unwrap();
    let done = scene.post_back(&victim, &form).await.expect(303);
    victim.follow(&done).await.expect(400);
    assert!(session_hosts(&scene, &victim).is_empty());
    // The attacker's own ticket, opened in the victim's browser.
    let done = to_ticket(&scene, &attacker, LEARN, "nora").await;
    victim.open(done.location().as_str()).await.expect(400);
    assert!(session_hosts(&scene, &victim).is_empty());
    attacker.follow(&done).await.expect(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_over_is_taken_once_and_for_its_connection_and_client_alone() {
    let scene = start().await;
    let browser = scene.app.browser();
    let over = browser.open(start_at(&scene, LEARN)).await.expect(303);
    browser.follow(&over).await.expect(303);
    browser.follow(&over).await.expect(400);
    let over = browser.open(start_at(&scene, LEARN)).await.expect(303).location();
    let made = scene.operator.get(&format!("/api/v1/clients/acme/connections/{}", scene.connection)).await.ok();
    let second = json!({
        "name": "Second", "protocol": "saml", "status": "active", "saml": { "metadata_url": made["saml"]["metadata_url"] },
    });
    let second = scene.operator.post("/api/v1/clients/acme/connections", second).await.ok();
    let elsewhere = over.as_str().replace(&scene.connection, second["id"].as_str().unwrap());
    browser.open(elsewhere).await.expect(400);
    // A made-up one, and one that Redis has forgotten.
    browser.open(format!("{}?from={}", scene.start_url(), "A".repeat(43))).await.expect(400);
    let over = browser.open(start_at(&scene, LEARN)).await.expect(303);
    scene.app.forget_redis().await;
    browser.follow(&over).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_taken_away_meanwhile_gets_no_ticket_and_begins_no_session() {
    let scene = start().await;
    let browser = scene.app.browser();
    // Between the ticket and its use.
    let done = to_ticket(&scene, &browser, LEARN, "ada").await;
    set_hosts(&scene, json!([OTHER])).await;
    browser.follow(&done).await.expect(404);
    assert!(session_hosts(&scene, &browser).is_empty());
    // Moved to another client: it is that client's host now.
    client(&scene.operator, "globex").await;
    scene.operator.patch("/api/v1/clients/globex", json!({ "hosts": [LEARN] })).await.ok();
    browser.follow(&done).await.expect(404);
    assert!(session_hosts(&scene, &browser).is_empty());
    // Between the start and the way over.
    let over = browser.open(start_at(&scene, OTHER)).await.expect(303);
    set_hosts(&scene, json!([])).await;
    browser.follow(&over).await.expect(400);
    // While the learner is at the identity provider: they land where every client's pages are.
    set_hosts(&scene, json!([OTHER])).await;
    let started = browser.open(start_at(&scene, OTHER)).await;
    let form = to_idp(&scene, &browser, started, "ada").await;
    set_hosts(&scene, json!([])).await;
    let done = scene.post_back(&browser, &form).await.expect(303);
    assert_eq!(done.location().as_str(), scene.app.url("/acme/dashboard"));
    browser.follow(&done).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_on_the_base_origin_leads_back_to_the_clients_host() {
    let scene = start().await;
    let browser = scene.app.browser();
    let started = browser.open(start_at(&scene, LEARN)).await;
    let form = to_idp(&scene, &browser, started, "ada").await;
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    let refused = scene.post_back(&browser, &form).await.expect(403);
    assert_eq!(refused.url.host_str(), Some("localhost"));
    assert!(refused.says("acme Learning"));
    assert!(refused.html.contains(&format!("href=\"{}\"", at(&scene.app, LEARN, ""))), "{}", refused.html);
    assert!(!refused.html.contains("href=\"/acme\""), "{}", refused.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsolicited_sign_in_that_restarts_ends_on_the_clients_first_host() {
    let scene = start().await;
    let browser = scene.app.browser();
    let tile = saml::App { entity_id: scene.entity_id(), acs_url: scene.acs_url() };
    let form = scene.idp.open_app(&tile, "ada", Some("/acme/account")).await.unwrap();
    let restarted = scene.post_back(&browser, &form).await.expect(303);
    assert_eq!(restarted.location().host_str(), Some(LEARN));
    let started = browser.follow(&restarted).await;
    let form = to_idp(&scene, &browser, started, "ada").await;
    let done = scene.post_back(&browser, &form).await.expect(303);
    let home = browser.follow_all(done).await.expect(200);
    assert_eq!(home.url.as_str(), at(&scene.app, LEARN, "/account"));
}
