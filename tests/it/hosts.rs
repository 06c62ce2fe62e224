//! Clients' own host names: what is served there, what never is, and which headers choose among them (security 29).

use serde_json::{Value, json};
use url::Url;

use crate::support::{Admin, App, Browser, Page, client, post::Post, sign_in, smtp::Smtp};

/// A gateway with the clients acme, at two hosts, and globex, at `learn.globex.localhost`.
async fn start() -> (App, Admin) {
    let app = App::start().await;
    let operator = app.operator().await;
    for (slug, hosts) in [
        ("acme", json!(["learn.acme.localhost", "academy.acme.localhost"])),
        ("globex", json!(["learn.globex.localhost"])),
    ] {
        client(&operator, slug).await;
        set_hosts(&operator, slug, hosts).await;
    }
    (app, operator)
}

async fn set_hosts(operator: &Admin, slug: &str, hosts: Value) -> Value {
    operator.patch(&format!("/api/v1/clients/{slug}"), json!({ "hosts": hosts })).await.ok()
}

/// A URL of one of the gateway's hosts.
fn at(app: &App, host: &str, path: &str) -> String {
    let mut url = app.settings.server.public_origin.clone();
    url.set_host(Some(host)).unwrap();
    format!("{}{path}", url.as_str().trim_end_matches('/'))
}

const LEARN: &str = "learn.acme.localhost";

/// Every address that a page leads to or loads.
fn addresses(page: &Page) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in ["href=\"", "src=\"", "action=\""] {
        found.extend(page.html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    found.retain(|address| !address.starts_with('#') && !address.starts_with("mailto:"));
    found
}

#[tokio::test]
async fn a_clients_pages_stand_at_the_root_of_its_own_host() {
    let (app, _) = start().await;
    let browser = app.browser();
    for path in ["/", "/login", "/redeem", "/logout", "/password/forgot", "/login/password"] {
        let page = browser.open(at(&app, LEARN, path)).await.expect(200);
        assert!(page.says("acme Learning"), "{path}: {}", page.text());
        for address in addresses(&page) {
            assert!(address.starts_with('/') && !address.starts_with("/acme"), "{path} leads to {address}");
        }
    }
    // The same page below the client's name, and the other client at its own.
    assert!(browser.open(app.url("/acme")).await.expect(200).says("acme Learning"));
    assert!(browser.open(at(&app, "learn.globex.localhost", "/")).await.expect(200).says("globex Learning"));
    assert!(browser.open(at(&app, "academy.acme.localhost", "/")).await.expect(200).says("acme Learning"));
    assert!(browser.open(at(&app, "LEARN.Acme.LOCALHOST", "/")).await.expect(200).says("acme Learning"));
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_to_the_same_hosts_landing_page() {
    let (app, _) = start().await;
    let browser = app.browser();
    let page = browser.open(at(&app, LEARN, "/dashboard")).await.expect(303);
    assert_eq!(page.location().as_str(), at(&app, LEARN, "/"));
    let page = browser.open(at(&app, LEARN, "/account")).await.expect(303);
    assert_eq!(page.location().as_str(), at(&app, LEARN, "/?return_to=%2Faccount"));
    let page = browser.open(app.url("/acme/account")).await.expect(303);
    assert_eq!(page.location().as_str(), app.url("/acme?return_to=%2Facme%2Faccount"));
}

#[tokio::test]
async fn a_clients_host_serves_its_pages_and_static_files_and_nothing_else() {
    let (app, operator) = start().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |host: &str, path: &str| {
        let request = http.get(format!("http://{}{path}", app.address)).header("host", host);
        let response = request.bearer_auth(&operator.token).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let paths = [
        "/api/v1/clients",
        "/api/openapi.json",
        "/api/docs",
        "/metrics",
        "/healthz",
        "/readyz",
        "/admin",
        "/setup/x",
        "/saml/con_x/metadata",
        "/oidc/con_x/jwks",
        "/oauth2/authorize",
        "/acme",
        "/acme/dashboard",
        "/globex/dashboard",
    ];
    for path in paths {
        let (status, body) = get(LEARN, path).await;
        assert!(matches!(status, 404 | 405), "{path}: {status} {body}");
        assert!(!body.contains("usher_http") && !body.contains("\"items\""), "{path}");
    }
    assert_eq!(get(LEARN, &format!("{}/usher.css", usher::http::assets::prefix())).await.0, 200);
    // The same addresses on the base origin are there.
    let base = app.origin().split_once("://").unwrap().1.to_owned();
    for path in ["/api/v1/clients", "/api/openapi.json", "/metrics", "/healthz", "/readyz", "/acme"] {
        assert_eq!(get(&base, path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_host_that_is_nobodys_gets_a_page_that_says_nothing() {
    let (app, operator) = start().await;
    let browser = app.browser();
    for path in ["/", "/acme", "/acme/login", "/api/v1/clients"] {
        let page = browser.open(at(&app, "learn.nobody.localhost", path)).await.expect(404);
        assert!(!page.html.contains("acme") && page.html.contains("</html>"), "{}", page.html);
        assert!(page.headers.contains_key("content-security-policy") && page.headers.contains_key("usher-reference"));
        let sheet = page.html.split('"').find(|part| part.ends_with(".css") && part.starts_with("/static/")).unwrap();
        browser.open(at(&app, "learn.nobody.localhost", sheet)).await.expect(200);
    }
    let host = [("host", "10.1.2.3:8080")];
    assert_eq!(operator.call(reqwest::Method::GET, "/api/v1/clients", None, &host).await.status, 404);
    // A replica's health is asked for by its address.
    assert_eq!(operator.call(reqwest::Method::GET, "/readyz", None, &host).await.status, 200);
    assert_eq!(operator.call(reqwest::Method::GET, "/healthz", None, &host).await.status, 200);
}

#[tokio::test]
async fn a_host_that_was_moved_or_taken_away_a_moment_ago_shows_nothing_of_its_former_client() {
    let (app, operator) = start().await;
    let replica = app.replica();
    let (here, there) = (app.browser(), Browser::new().via(&replica));
    for browser in [&here, &there] {
        assert!(browser.open(at(&app, LEARN, "/")).await.expect(200).says("acme Learning"));
    }
    set_hosts(&operator, "acme", json!([])).await;
    set_hosts(&operator, "globex", json!([LEARN])).await;
    for browser in [&here, &there] {
        // What this replica remembered leads nowhere, and is forgotten by that.
        browser.open(at(&app, LEARN, "/")).await.expect(404);
        assert!(browser.open(at(&app, LEARN, "/")).await.expect(200).says("globex Learning"));
    }
    set_hosts(&operator, "globex", json!([])).await;
    for browser in [&here, &there] {
        for _ in 0..2 {
            let page = browser.open(at(&app, LEARN, "/dashboard")).await;
            assert!(!page.html.contains("globex"), "{}", page.html);
            assert!(matches!(page.status.as_u16(), 303 | 404));
            browser.open(at(&app, LEARN, "/login")).await.expect(404);
        }
    }
}

#[tokio::test]
async fn a_session_belongs_to_the_host_that_it_began_on() {
    let (app, _) = start().await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    browser.open(app.url("/acme/dashboard")).await.expect(200);
    browser.open(at(&app, LEARN, "/dashboard")).await.expect(303);
    // The cookie as such would be good: it names the client.
    let cookie = browser.cookies().into_iter().find(|cookie| cookie.name.starts_with("usher_cli_")).unwrap();
    browser.set_cookie(LEARN, &cookie.name, &cookie.value);
    let home = browser.open(at(&app, LEARN, "/dashboard")).await.expect(200);
    assert!(addresses(&home).iter().all(|address| !address.starts_with("/acme")), "{:?}", addresses(&home));
    browser.set_cookie("learn.globex.localhost", &cookie.name, &cookie.value);
    browser.open(at(&app, "learn.globex.localhost", "/dashboard")).await.expect(303);
}

#[tokio::test]
async fn a_form_of_another_host_is_refused_and_one_of_the_same_host_taken() {
    let (app, _) = start().await;
    let (browser, _) = sign_in(&app, "acme", "zoe@acme.example").await;
    let cookie = browser.cookies().into_iter().find(|cookie| cookie.name.starts_with("usher_cli_")).unwrap();
    browser.set_cookie(LEARN, &cookie.name, &cookie.value);
    let logout = at(&app, LEARN, "/logout");
    for from in
        [app.url("/acme/dashboard"), at(&app, "learn.globex.localhost", "/"), at(&app, "academy.acme.localhost", "/")]
    {
        browser.post_from(&from, &logout, &[]).await.expect(403);
    }
    browser.post_from(&at(&app, LEARN, "/dashboard"), app.url("/acme/logout"), &[]).await.expect(403);
    browser.open(at(&app, LEARN, "/dashboard")).await.expect(200);
    let left = browser.post_from(&at(&app, LEARN, "/dashboard"), &logout, &[]).await.expect(303);
    assert_eq!(left.location().as_str(), logout);
    browser.open(at(&app, LEARN, "/dashboard")).await.expect(303);
}

#[tokio::test]
async fn headers_of_whoever_is_no_proxy_choose_nothing() {
    let (app, _) = start().await;
    let mut browser = app.browser();
    browser.headers =
        [("x-forwarded-host", LEARN), ("x-forwarded-proto", "https"), ("forwarded", "host=learn.acme.localhost")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    browser.open(app.url("/")).await.expect(404);
    let page = browser.open(app.url("/acme/account")).await.expect(303);
    assert_eq!(page.location().as_str(), app.url("/acme?return_to=%2Facme%2Faccount"));
    let metadata = browser.open(at(&app, "evil.example", "/acme")).await;
    assert_eq!(metadata.status, 404);
}

#[tokio::test]
async fn a_configured_proxys_header_selects_among_registered_hosts_alone() {
    let app = App::with().settings(|raw| raw.server.trusted_proxies = vec!["127.0.0.0/8".into()]).start().await;
    let operator = app.operator().await;
    client(&operator, "acme").await;
    set_hosts(&operator, "acme", json!([LEARN])).await;
    let mut browser = app.browser();
    browser.headers = vec![("x-forwarded-host".into(), LEARN.into()), ("x-forwarded-proto".into(), "gopher".into())];
    let page = browser.open(app.url("/account")).await.expect(303);
    // Scheme and port are the public origin's, whatever the proxy says.
    assert_eq!(page.headers["location"], "/?return_to=%2Faccount");
    browser.headers = vec![("x-forwarded-host".into(), "evil.example".into())];
    browser.open(app.url("/acme")).await.expect(404);
    browser.headers = vec![("x-forwarded-host".into(), format!("{LEARN}, evil.example"))];
    browser.open(app.url("/")).await.expect(404);
}

#[tokio::test]
async fn an_operator_names_hosts_in_their_order_and_nobody_takes_the_gateways_own() {
    let (app, operator) = start().await;
    let made = set_hosts(&operator, "acme", json!(["Z.acme.localhost", "a.acme.localhost", "z.acme.localhost"])).await;
    assert_eq!(made["hosts"], json!(["z.acme.localhost", "a.acme.localhost"]));
    let read = operator.get("/api/v1/clients/acme").await.ok();
    assert_eq!(read["hosts"], made["hosts"]);
    let swapped = set_hosts(&operator, "acme", json!(["a.acme.localhost", "z.acme.localhost"])).await;
    assert_eq!(swapped["hosts"], json!(["a.acme.localhost", "z.acme.localhost"]));
    let patch = async |hosts: Value| operator.patch("/api/v1/clients/acme", json!({ "hosts": hosts })).await.status;
    assert_eq!(patch(json!(["learn.globex.localhost"])).await, 409);
    for hosts in [
        json!(["localhost"]),
        json!(["learn.acme.localhost:8080"]),
        json!(["https://x.example"]),
        json!(["*.acme.example"]),
    ] {
        assert_eq!(patch(hosts.clone()).await, 422, "{hosts}");
    }
    let own = App::with().settings(|raw| {
        let port = Url::parse(&raw.server.public_origin).unwrap().port().unwrap();
        raw.server.public_origin = format!("https://usher.example:{port}");
    });
    let own = own.start().await;
    let operator = own.operator().await;
    client(&operator, "acme").await;
    let refused = operator.patch("/api/v1/clients/acme", json!({ "hosts": ["Usher.example"] })).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("the gateway itself"), "{}", refused.text);
    drop(app);
}

#[tokio::test]
async fn links_in_mails_lead_to_the_clients_first_host_as_it_is_when_the_mail_goes_out() {
    let smtp = Smtp::start();
    let post = Post::start(smtp).await;
    post.invite("kim@example.com").await;
    set_hosts(&post.operator, "acme", json!(["learn.acme.localhost", "other.acme.localhost"])).await;
    post.deliver().await;
    let mail = post.smtp.mails().pop().expect("a mail");
    let link = at(&post.app, LEARN, crate::support::post::LINK);
    assert!(mail.text.contains(&link), "{}", mail.text);
    assert!(!mail.text.contains("/acme/invites"));
}
