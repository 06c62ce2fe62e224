//! The way in and the learner's home, over HTTP with real servers.

use chrono::{DateTime, Duration, Utc};
use sqlx::AssertSqlSafe;
use usher::{
    http::{cookies, text},
    ids::{ClientId, LearnerId},
    sessions::{self, Beginning, Session},
};
use uuid::Uuid;

use super::support::{App, Page};

const NOW: &str = "2026-11-22T12:00:00Z";

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// Runs SQL whose names in capitals stand for ids: `ACME`, `ZOE` and so on.
async fn seed(app: &App, sql: &str) {
    let ids = [
        "ACME", "GLOBEX", "ZOE", "BEA", "MAIN", "SALES", "LAPSED", "OTHER", "WELCOME", "PITCH", "OLD", "ALIEN", "OIDC",
        "SAML",
    ];
    let mut text = sql.to_owned();
    for name in ids {
        text = text.replace(name, &format!("'{}'::uuid", id(name)));
    }
    text = text.replace("NOW", &format!("'{NOW}'::timestamptz"));
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&app.db).await.unwrap();
}

fn id(name: &str) -> Uuid {
    let mut bytes = [7_u8; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Uuid::from_bytes(bytes)
}

const CLIENTS: &str = r##"
    insert into clients (id, name, branding, time_zone, created_at, updated_at) values
        (ACME, 'Acme <b>Learning</b>', '{"accent_color": "#2b43c8", "support_email": "help@acme.example"}', 'Europe/Berlin', NOW, NOW),
        (GLOBEX, 'Globex', '{}', 'UTC', NOW, NOW);
    insert into slugs (slug, client_id) values ('acme', ACME), ('globex', GLOBEX);
    insert into sublicenses (client_id, id, slug, name, is_default, ends_at, created_at, updated_at) values
        (ACME, MAIN, 'main', 'Main programme', true, null, NOW, NOW),
        (ACME, SALES, 'sales', 'Sales floor', false, null, NOW, NOW),
        (ACME, LAPSED, 'lapsed', 'Last season', false, NOW - interval '1 second', NOW, NOW),
        (ACME, OTHER, 'other', 'Board room', false, null, NOW, NOW),
        (GLOBEX, ALIEN, 'main', 'Globex main', true, null, NOW, NOW);
    insert into learners (client_id, id, sub, email, email_key, first_name, last_name, created_at, updated_at) values
        (ACME, ZOE, ZOE, 'zoe@acme.example', 'zoe@acme.example', 'Zoë', 'Müller', NOW, NOW),
        (GLOBEX, BEA, BEA, null, null, '', '', NOW, NOW);
    insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, role, starts_at, ends_at, created_at) values
        (ACME, ZOE, MAIN, 'sso', 'a', 'learner', NOW - interval '9 days', null, NOW),
        (ACME, ZOE, SALES, 'sso', 'a', 'learner', NOW - interval '9 days', '2027-03-14T23:00:00Z', NOW),
        (ACME, ZOE, SALES, 'admin', 'b', 'manager', NOW - interval '9 days', '2027-01-01T00:00:00Z', NOW),
        (ACME, ZOE, OTHER, 'sso', 'a', 'learner', NOW - interval '9 days', NOW - interval '1 day', NOW),
        (ACME, ZOE, LAPSED, 'sso', 'a', 'learner', NOW - interval '9 days', null, NOW);
    insert into content_items (client_id, id, title, url, audience, created_at, updated_at) values
        (ACME, WELCOME, 'Welcome tour', 'https://learn.example/tour', 'client', NOW, NOW),
        (ACME, PITCH, 'Pitching <i>well</i>', 'https://learn.example/pitch', 'sublicenses', NOW, NOW),
        (ACME, OLD, 'Secrets of the board', 'https://learn.example/board', 'sublicenses', NOW, NOW),
        (GLOBEX, ALIEN, 'Globex only', 'https://learn.example/globex', 'client', NOW, NOW);
    insert into content_sublicenses (client_id, content_id, sublicense_id) values
        (ACME, PITCH, SALES), (ACME, OLD, OTHER), (ACME, OLD, LAPSED);"##;

const CONNECTIONS: &str = r##"
    insert into connections (client_id, id, name, protocol, status, domains, config, created_at, updated_at) values
        (ACME, OIDC, 'Acme ID', 'oidc', 'active', '{acme.example}', '{}', NOW, NOW),
        (ACME, SAML, 'Partner door', 'saml', 'active', '{partner.example}', '{}', NOW, NOW),
        (GLOBEX, ALIEN, 'Off', 'saml', 'disabled', '{globex.example}', '{}', NOW, NOW);
    insert into connection_clients (client_id, connection_id, owner_id) values
        (ACME, OIDC, ACME), (ACME, SAML, ACME), (GLOBEX, ALIEN, GLOBEX);"##;

async fn start() -> App {
    let app = App::with().clock_at(now()).start().await;
    seed(&app, CLIENTS).await;
    app
}

/// A `Cookie` header with a live session.
async fn session(app: &App, client: &str, learner: &str) -> String {
    let client = ClientId::from(id(client));
    let session = Session {
        learner: LearnerId::from(id(learner)),
        epoch: 1,
        began_at: now(),
        ends_at: now() + Duration::hours(8),
        idp: None,
    };
    let idle = std::time::Duration::from_secs(600);
    let beginning = Beginning { client, session: &session, idle, replaces: None };
    let token = sessions::begin(app, &beginning, now()).await.unwrap().unwrap();
    format!("{}={}", cookies::session_name(client), token.expose())
}

async fn get(app: &App, path: &str, cookie: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = app.url(path);
    client.get(url).header("accept", "text/html").header("cookie", cookie).send().await.unwrap()
}

async fn home(app: &App, cookie: &str) -> String {
    let response = get(app, "/acme/dashboard", cookie).await;
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn a_learner_sees_their_sublicenses_and_exactly_their_content() {
    let app = start().await;
    let html = home(&app, &session(&app, "ACME", "ZOE").await).await;
    for shown in ["Hello, Zoë", "Zoë Müller", "zoe@acme.example", "Main programme", "Sales floor", "Welcome tour"] {
        assert!(html.contains(shown), "{shown}");
    }
    assert!(html.contains("Acme &#60;b&#62;Learning") && html.contains("Pitching &#60;i&#62;well"));
    for hidden in ["Board room", "Last season", "Secrets of the board", "Globex"] {
        assert!(!html.contains(hidden), "{hidden}");
    }
    // The longer of two grants counts, the higher role too, and the day is the client's.
    assert!(html.contains("Until 14 March 2027") && html.contains("Manager"));
}

#[tokio::test]
async fn access_ends_with_the_earliest_of_grant_sublicense_and_licence() {
    let app = start().await;
    let cookie = session(&app, "ACME", "ZOE").await;
    seed(&app, "update sublicenses set ends_at = '2027-02-01T23:00:00Z' where id = SALES").await;
    assert!(home(&app, &cookie).await.contains("Until 1 February 2027"));
    seed(&app, "update clients set license_ends_at = '2026-12-31T23:00:00Z', version = version + 1 where id = ACME")
        .await;
    let html = home(&app, &cookie).await;
    assert!(
        !html.contains("February") && html.matches("Until 31 December 2026").count() == 2,
        "main ends with the licence too"
    );
    seed(&app, "update clients set license_ends_at = NOW, version = version + 1 where id = ACME").await;
    let response = get(&app, "/acme/dashboard", &cookie).await;
    assert_eq!(response.status(), 403);
    let html = response.text().await.unwrap();
    assert!(html.contains(text::refused::ENDED.title) && html.contains("help@acme.example"));
    assert!(!html.contains("Welcome tour"));
}

#[tokio::test]
async fn whoever_holds_nothing_sees_no_content_either() {
    let app = start().await;
    let cookie = session(&app, "ACME", "ZOE").await;
    seed(&app, "update access_grants set ends_at = NOW where learner_id = ZOE").await;
    let html = home(&app, &cookie).await;
    assert!(html.contains(text::dashboard::NO_ACCESS) && !html.contains("Welcome tour"));
}

#[tokio::test]
async fn a_suspended_learner_is_out_at_once_even_where_redis_was_not_told() {
    let app = start().await;
    let cookie = session(&app, "ACME", "ZOE").await;
    home(&app, &cookie).await;
    seed(&app, "update learners set session_epoch = session_epoch + 1 where id = ZOE").await;
    let response = get(&app, "/acme/dashboard", &cookie).await;
    assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (303, "/acme"));
}

#[tokio::test]
async fn a_session_opens_the_pages_of_its_own_client_only() {
    let app = start().await;
    let cookie = session(&app, "GLOBEX", "BEA").await;
    assert_eq!(get(&app, "/globex/dashboard", &cookie).await.status(), 200);
    assert_eq!(get(&app, "/acme/dashboard", &cookie).await.status(), 303);
    let value = cookie.split_once('=').unwrap().1;
    let renamed = format!("{}={value}", cookies::session_name(ClientId::from(id("ACME"))));
    assert_eq!(get(&app, "/acme/dashboard", &renamed).await.status(), 303);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_not_only_the_cookie() {
    let app = start().await;
    let cookie = session(&app, "ACME", "ZOE").await;
    let post = async |origin: &str| {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let request = client.post(app.url("/acme/logout"));
        request.header("cookie", &cookie).header("origin", origin).send().await.unwrap()
    };
    assert_eq!(post("https://evil.example").await.status(), 403);
    home(&app, &cookie).await;
    let response = post(app.origin()).await;
    assert_eq!(response.status(), 303);
    assert!(response.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(get(&app, "/acme/dashboard", &cookie).await.status(), 303);
    let page = get(&app, "/acme/logout", "").await.text().await.unwrap();
    assert!(page.contains(text::signed_out::HERE.heading));
}

#[tokio::test]
async fn the_landing_page_offers_the_active_connections_and_keeps_the_way_back() {
    let app = start().await;
    seed(&app, CONNECTIONS).await;
    let html = get(&app, "/acme?return_to=%2Facme%2Fdashboard%3Ftab%3D2", "").await.text().await.unwrap();
    assert!(html.contains("Continue with Acme ID") && html.contains("Continue with Partner door"));
    assert_eq!(html.matches("return_to=%2Facme%2Fdashboard%3Ftab%3D2").count(), 3, "both ways and the e-mail page");
    let html = get(&app, "/acme?return_to=https%3A%2F%2Fevil.example%2F", "").await.text().await.unwrap();
    assert!(!html.contains("evil.example"));
    let html = get(&app, "/globex", "").await.text().await.unwrap();
    assert!(html.contains("href=\"/globex/login\""), "people sign in with passwords where there is no connection");
    seed(&app, "update clients set password_login = false, version = version + 1 where id = GLOBEX").await;
    let html = get(&app, "/globex", "").await.text().await.unwrap();
    assert!(html.contains(text::landing::NO_WAY_IN) && !html.contains("Continue with"));
    let cookie = session(&app, "ACME", "ZOE").await;
    assert!(get(&app, "/acme", &cookie).await.text().await.unwrap().contains(text::landing::SIGNED_IN));
}

#[tokio::test]
async fn a_client_that_never_was_is_not_found_and_a_disabled_one_says_so() {
    let app = start().await;
    let response = get(&app, "/nobody", "").await;
    assert_eq!(response.status(), 404);
    assert!(response.text().await.unwrap().contains(text::neutral::NOT_FOUND.title));
    seed(&app, "update clients set status = 'disabled', version = version + 1 where id = ACME").await;
    let response = get(&app, "/acme", "").await;
    assert_eq!(response.status(), 403);
    assert!(response.text().await.unwrap().contains(text::refused::CLIENT_OFF.title));
}

/// What the e-mail-first form answers, as a browser sends it.
async fn send_email(app: &App, email: &str) -> Page {
    let browser = app.browser();
    let page = browser.open(app.url("/acme/login?return_to=%2Facme%2Fdashboard")).await;
    browser.submit(&page.form().fill("email", email)).await
}

#[tokio::test]
async fn an_email_leads_to_the_connection_of_its_domain_with_hint_and_way_back() {
    let app = start().await;
    seed(&app, CONNECTIONS).await;
    let page = send_email(&app, " Zoe@ACME.example ").await;
    assert_eq!(page.status, 303);
    let connection = usher::ids::ConnectionId::from(id("OIDC"));
    let wanted = format!("/acme/login/{connection}?login_hint=Zoe%40ACME.example&return_to=%2Facme%2Fdashboard");
    assert_eq!(page.headers["location"].to_str().unwrap(), wanted);
}

#[tokio::test]
async fn an_email_that_leads_nowhere_is_told_what_to_do_and_nothing_about_who_exists() {
    let app = start().await;
    seed(&app, CONNECTIONS).await;
    seed(&app, "update clients set password_login = false, version = version + 1 where id = ACME").await;
    let known = send_email(&app, "zoe@globex.example").await;
    let unknown = send_email(&app, "abc@globex.example").await;
    assert_eq!(known.status, 200);
    assert!(known.html.contains(text::login::UNKNOWN_NEXT));
    assert_eq!(known.html.replace("zoe@", "abc@"), unknown.html);
    let invalid = send_email(&app, "not an address").await;
    assert_eq!(invalid.status, 422);
    assert!(invalid.html.contains(text::login::INVALID));
}

#[tokio::test]
async fn without_redis_the_home_is_a_clear_page_that_passes() {
    let app = App::with().clock_at(now()).flaky().start().await;
    seed(&app, CLIENTS).await;
    let cookie = session(&app, "ACME", "ZOE").await;
    home(&app, &cookie).await;
    app.redis().cut();
    let response = get(&app, "/acme/dashboard", &cookie).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!(response.text().await.unwrap().contains(text::neutral::UNAVAILABLE.title));
    app.redis().restore();
    let back = async { while get(&app, "/acme/dashboard", &cookie).await.status() == 503 {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), back).await.expect("the home comes back");
    assert_eq!(get(&app, "/acme/dashboard", &cookie).await.status(), 200);
}
