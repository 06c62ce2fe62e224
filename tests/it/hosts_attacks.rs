//! Attacks over clients' own hosts: requests that no browser sends, and tickets after what they stood for has ended
//! (security 15, 23, 29, 30).

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{App, Browser, Page, SamlScene, client};

const LEARN: &str = "learn.acme.localhost";

/// A URL of the client's own host.
fn at(app: &App, path: &str) -> String {
    app.url(path).replacen("localhost", LEARN, 1)
}

/// Sends these very bytes; the status and the whole answer.
async fn raw(app: &App, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default(), answer)
}

#[tokio::test]
async fn no_spelling_of_a_path_or_host_leads_from_a_clients_host_to_anything_but_its_pages() {
    let app = App::start().await;
    let operator = app.operator().await;
    for slug in ["acme", "globex"] {
        client(&operator, slug).await;
    }
    operator.patch("/api/v1/clients/acme", json!({ "hosts": [LEARN] })).await.ok();
    let base = app.origin().trim_start_matches("http://");
    let ask = async |target: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let token = &operator.token;
        raw(
            &app,
            &format!("GET {target} HTTP/1.1\r\n{hosts}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"),
        )
        .await
    };
    // What each of them tries to reach is there, by its plain name.
    assert!(ask("/api/v1/clients", &[base]).await.1.contains("\"items\""));
    assert!(ask("/globex/login", &[base]).await.1.contains("globex Learning"));
    assert!(ask("/login", &[LEARN]).await.1.contains("acme Learning"));
    let targets = [
        "//api/v1/clients",
        "///api/v1/clients",
        "/./api/v1/clients",
        "/../api/v1/clients",
        "/%2e%2e/api/v1/clients",
        "/..%2fapi/v1/clients",
        "/.%2e%2fapi%2fv1%2fclients",
        "/..;/api/v1/clients",
        "/static/../api/v1/clients",
        "/static/%2e%2e/api/v1/clients",
        "/static/..%2f..%2fapi/v1/clients",
        "/static//api/v1/clients",
        "/../globex/login",
        "/%2e%2e/globex/login",
        "/static/../globex/login",
        "//globex/login",
        "/globex/login",
        "/acme/../globex/login",
        "*",
    ];
    let reaches = |answer: &str| answer.contains("\"items\"") || answer.contains("globex Learning");
    for target in targets {
        let (status, answer) = ask(target, &[LEARN]).await;
        assert!(matches!(status, 303 | 400 | 404 | 405) && !reaches(&answer), "{target}: {status} {answer}");
    }
    // Two hosts, in whatever way, are none; and so is one with a dot at its end.
    let doubtful: [(String, Vec<&str>); 7] = [
        (format!("http://{base}/api/v1/clients"), vec![LEARN]),
        (format!("http://{LEARN}/login"), vec![base]),
        ("/api/v1/clients".to_owned(), vec![LEARN, base]),
        ("/api/v1/clients".to_owned(), vec![base, LEARN]),
        ("/api/v1/clients".to_owned(), vec!["localhost."]),
        ("/login".to_owned(), vec!["learn.acme.localhost."]),
        ("/api/v1/clients".to_owned(), vec!["x@localhost"]),
    ];
    for (target, hosts) in doubtful {
        let (status, answer) = ask(&target, &hosts).await;
        assert!(matches!(status, 400 | 404), "{target} {hosts:?}: {status}");
        assert!(!reaches(&answer) && !answer.contains("acme Learning"), "{target} {hosts:?}: {answer}");
    }
    let (status, answer) = raw(&app, "GET /acme HTTP/1.0\r\n\r\n").await;
    assert!(status == 404 && !answer.contains("acme Learning"), "{answer}");
}

async fn start() -> SamlScene {
    let scene = SamlScene::start().await;
    scene.operator.patch("/api/v1/clients/acme", json!({ "hosts": [LEARN] })).await.ok();
    scene
}

/// A sign-in from the client's own host up to the redirect with the ticket.
async fn to_ticket(scene: &SamlScene, browser: &Browser) -> Page {
    let over = browser.open(at(&scene.app, &format!("/login/{}", scene.connection))).await.expect(303);
    let leaving = browser.follow(&over).await.expect(303);
    let form = scene.idp.sign_in(leaving.location().as_str(), "ada").await.unwrap();
    let done = scene.post_back(browser, &form).await.expect(303);
    assert!(done.location().path().ends_with("/ticket"), "{}", done.location());
    done
}

async fn is_in(scene: &SamlScene, browser: &Browser) -> bool {
    browser.open(at(&scene.app, "/dashboard")).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_begins_nothing_once_the_identity_provider_has_ended_its_session() {
    let scene = start().await;
    let replica = scene.app.replica();
    let (browser, twin) = (scene.app.browser(), Browser::new().via(&replica));
    for is_named in [true, false] {
        let done = to_ticket(&scene, &browser).await;
        let participant = scene.idp.participants().pop().unwrap();
        let message = scene.idp.logout_request(&participant).await.unwrap().with(|one| {
            if !is_named {
                one.session_indexes.clear();
            }
        });
        twin.open(format!("{}?{}", scene.slo_url(), message.query().unwrap())).await.expect(303);
        let page = browser.follow(&done).await.expect(400);
        assert!(page.says("acme Learning"), "{}", page.text());
        assert!(!is_in(&scene, &browser).await, "by session: {is_named}");
    }
    let done = to_ticket(&scene, &browser).await;
    browser.follow(&done).await.expect(303);
    assert!(is_in(&scene, &browser).await, "a sign-in after it begins again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_no_page_once_the_learner_is_suspended_or_the_connection_disabled() {
    let scene = start().await;
    let browser = scene.app.browser();
    let done = to_ticket(&scene, &browser).await;
    let path = format!("/api/v1/clients/acme/connections/{}", scene.connection);
    scene.operator.patch(&path, json!({ "status": "disabled" })).await.ok();
    browser.follow(&done).await;
    assert!(!is_in(&scene, &browser).await);
    scene.operator.patch(&path, json!({ "status": "active" })).await.ok();

    browser.forget_cookies();
    let done = to_ticket(&scene, &browser).await;
    let learners = scene.operator.get("/api/v1/clients/acme/learners").await.ok();
    let learner = format!("/api/v1/clients/acme/learners/{}", learners["items"][0]["id"].as_str().unwrap());
    scene.operator.patch(&learner, json!({ "status": "suspended" })).await.ok();
    browser.follow(&done).await;
    assert!(!is_in(&scene, &browser).await);
    scene.operator.patch(&learner, json!({ "status": "active" })).await.ok();
    assert!(!is_in(&scene, &browser).await, "what was suspended stays over");
    let done = to_ticket(&scene, &browser).await;
    browser.follow(&done).await.expect(303);
    assert!(is_in(&scene, &browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_on_one_host_leaves_no_session_on_another_in_the_same_browser() {
    let scene = start().await;
    let (browser, elsewhere) = (scene.app.browser(), scene.app.browser());
    let is_in_on_base = async |browser: &Browser| browser.open(scene.app.url("/acme/dashboard")).await.status == 200;
    // Many identity providers give every sign-in a session index of its own, as this one does here.
    for browser in [&browser, &elsewhere] {
        scene.sign_in(browser, "ada").await.expect(303);
    }
    let done = to_ticket(&scene, &browser).await;
    browser.follow(&done).await.expect(303);
    assert!(is_in(&scene, &browser).await && is_in_on_base(&browser).await);
    browser.post_from(&at(&scene.app, "/dashboard"), at(&scene.app, "/logout"), &[]).await.expect(303);
    assert!(!is_in(&scene, &browser).await && !is_in_on_base(&browser).await);
    assert!(is_in_on_base(&elsewhere).await, "another browser of the same person stays");
}
