//! Every page that a learner may see, rendered from samples that are hard on it.

use std::{fs, path::PathBuf};

use askama::Template;
use usher::{
    codes::pages::page::{AccountForm, CarryingWay, Line, RedeemPage},
    content::pages::{DashboardPage, Ends, Item, Pass},
    http::{
        notice::{Notice, Tone},
        page::{AdvicePage, Brand, Field, ForwardPage},
        text,
        theme::Theme,
    },
    login::pages::{
        by_email::{LoginPage, Trouble},
        confirm::ConfirmPage,
        landing::{LandingPage, Way},
        logout::SignedOutPage,
    },
};

use super::support::App;

const MARKUP: &str = r#""><script>alert('x')</script><img src=x onerror=alert(1)>"#;

struct Sample {
    name: String,
    html: String,
}

fn brands() -> Vec<(&'static str, Brand<'static>)> {
    let theme = |text: &str| text.parse::<Theme>().unwrap();
    let long: &'static str = "Institut für berufsbegleitende Weiterbildung und ".repeat(4).leak();
    let acme = Brand {
        root: "/acme",
        name: "Acme Academy",
        theme: theme("b3261e-e8833a"),
        logo_url: Some("/static/demo/acme.svg"),
        background_url: None,
        welcome_text: Some("Skills for everybody who builds, ships and repairs."),
        footer: Some("Acme Academy is a service of Acme Corporation."),
        support_email: Some("learning@acme.example"),
        stylesheet: Some("/acme/branding/00000000000000000000000000000000.css"),
    };
    let globex = Brand {
        root: "/globex",
        name: "Globex Learning",
        theme: theme("0b57d0-0a1f44"),
        logo_url: Some("/static/demo/globex.svg"),
        background_url: Some("/static/demo/globex-background.svg"),
        welcome_text: Some("Every journey begins with a question."),
        footer: None,
        support_email: Some("academy@globex.example"),
        stylesheet: None,
    };
    let plain = Brand { root: "/plain", name: long, theme: theme("ffffff-ffff00"), ..Brand::default() };
    let rtl = Brand {
        root: "/rtl", name: "أكاديمية المستقبل", welcome_text: Some("مرحبا بكم في منصة التعلم"), ..acme
    };
    let hostile = Brand {
        root: "/hostile",
        name: MARKUP,
        logo_url: Some(MARKUP),
        background_url: Some(MARKUP),
        welcome_text: Some(MARKUP),
        footer: Some(MARKUP),
        support_email: Some(MARKUP),
        stylesheet: Some(MARKUP),
        ..globex
    };
    vec![
        ("acme", acme),
        ("globex", globex),
        ("long", Brand { logo_url: None, ..plain }),
        ("rtl", rtl),
        ("markup", hostile),
    ]
}

fn person(brand: &str) -> (&'static str, &'static str, Option<&'static str>) {
    match brand {
        "long" => ("Wolfgang ".repeat(22).leak(), "Wolfgang ".repeat(22).leak(), None),
        "rtl" => ("فاطمة الزهراء", "فاطمة", Some("fatima@acme.example")),
        "markup" => (MARKUP, MARKUP, Some(MARKUP)),
        _ => ("Zoë Müller", "Zoë", Some("zoe.mueller@acme.example")),
    }
}

fn dashboard(brand: Brand<'_>, kind: &str) -> String {
    let (name, first_name, email) = person(kind);
    let title = |text: &str| if kind == "markup" { MARKUP.to_owned() } else { text.to_owned() };
    let ends = |shown: &str, soon| Some(Ends { machine: "2027-03-14T00:00:00Z".into(), shown: shown.into(), soon });
    let sublicenses = [
        Pass { name: title("Main programme"), is_manager: false, ends: None },
        Pass { name: title("Sales"), is_manager: true, ends: ends("14 March 2027", false) },
        Pass { name: title("Onboarding 2026"), is_manager: false, ends: ends("28 November 2026", true) },
    ];
    let notice = |tone| Notice {
        tone,
        title: title("Sales Academy is yours now"),
        text: title("Your code opened it until 14 March 2027. Nothing that you had before was taken away."),
    };
    let item = |name: &str, text: &str, through: &[&str]| Item {
        title: title(name),
        description: title(text),
        url: Some(format!("https://learn.example/{}", name.len())),
        sublicenses: through.iter().map(|name| title(name)).collect(),
    };
    let content = [
        item("Welcome tour", "Ten minutes: where things are and whom to ask.", &[]),
        item("Information security for everybody", "What to look out for in mail, on the road and at your desk.", &[]),
        item("Negotiating without bruises", "A course in six evenings, with exercises in pairs.", &["Sales"]),
        item("Your first ninety days", "", &["Onboarding 2026", "Main programme"]),
    ];
    let page = DashboardPage {
        brand,
        person: name,
        first_name,
        email,
        sublicenses: &sublicenses,
        content: &content,
        unproved: Some(text::accounts::own::NOT_CONFIRMED_NEXT),
        notices: &[notice(Tone::Good), notice(Tone::Plain), notice(Tone::Warn)],
    };
    page.render().unwrap()
}

/// The redeem page as learners, strangers and mistaken people see it.
fn redeem_samples(kind: &str, brand: Brand<'_>, add: &mut dyn FnMut(&str, RedeemPage<'_>)) {
    let (person, _, email) = person(kind);
    let hard = |text: &str| if kind == "markup" { MARKUP.to_owned() } else { text.to_owned() };
    let line = |code: &str, opens: &str| Line { code: hard(code), opens: hard(opens) };
    let one = [line("SPRING-2027", "Sales Academy")];
    let two = [line("SPRING-2027", "Sales Academy"), line("7KQ2-M9XR-4TDA", "Main programme and Onboarding 2026")];
    let warn = |title: &str, text: &str| Notice { tone: Tone::Warn, title: hard(title), text: hard(text) };
    let bad =
        [warn("This code has expired", "The time of WINTER-2026 is over. Ask whoever gave it to you for a new one.")];
    let way = |name: &str| CarryingWay { name: hard(name), action: "/acme/login/con_1".into() };
    let ways = [way("Acme ID"), way("Partner sign-in")];
    let fresh = AccountForm::default();
    let wrong = AccountForm {
        first_name: hard("Zoë"),
        email: hard("zoe@acme"),
        last_name_wrong: true,
        email_wrong: true,
        password_wrong: Some(hard("Choose at least 10 characters.")),
        ..AccountForm::default()
    };
    let page = RedeemPage {
        brand,
        typed: "",
        trouble: None,
        bad: &[],
        good: &[],
        good_codes: "",
        person: None,
        ways: &[],
        account: Some(&fresh),
        sign_in: "/acme/login",
    };
    add("redeem-box", page.clone());
    let trouble = Some((hard("There is no code in the box"), hard("Type or paste your code, then try again.")));
    add("redeem-bad", RedeemPage { trouble, bad: &bad, typed: &hard("WINTER-2026"), person: email, ..page.clone() });
    let page = || RedeemPage { good_codes: "SPRING-2027", good: &one, ..page.clone() };
    add("redeem-confirm", RedeemPage { person: Some(person), good: &two, ..page() });
    add("redeem-new", page());
    add("redeem-both", RedeemPage { ways: &ways, bad: &bad, ..page() });
    add("redeem-sso", RedeemPage { ways: &ways[..1], account: None, ..page() });
    add("redeem-wrong", RedeemPage { account: Some(&wrong), ..page() });
    add("redeem-closed", RedeemPage { account: None, ..page() });
}

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |kind: &str, page: &str, html: Result<String, askama::Error>| {
        samples.push(Sample { name: format!("{page}-{kind}"), html: html.unwrap() });
    };
    for (kind, brand) in brands() {
        let (person, _, email) = person(kind);
        let hard = (kind == "markup").then_some(MARKUP);
        let way = |name: &'static str| Way { name: hard.unwrap_or(name), href: "/acme/login/con_1".into() };
        let ways = [way("Acme ID"), way("Partner sign-in")];
        let count = if kind == "acme" { 2 } else { 1 };
        add(
            kind,
            "landing",
            LandingPage {
                brand,
                ways: &ways[..count],
                by_email: "/acme/login",
                passwords: false,
                signed_in: kind == "globex",
                typed: "",
            }
            .render(),
        );
        add(
            kind,
            "landing-empty",
            LandingPage {
                brand,
                ways: &[],
                by_email: "/acme/login",
                passwords: kind == "acme",
                signed_in: false,
                typed: "",
            }
            .render(),
        );
        redeem_samples(kind, brand, &mut |name, page| add(kind, name, page.render()));
        for (name, trouble) in
            [("login", Trouble::None), ("login-bad", Trouble::Invalid), ("login-lost", Trouble::Unknown)]
        {
            let (email, return_to) = (hard.unwrap_or("zoe@acme.example"), hard);
            add(
                kind,
                name,
                LoginPage {
                    brand,
                    email,
                    trouble,
                    choices: &ways[..count - 1],
                    return_to,
                    all_ways: "/acme",
                    by_password: Some("/acme/login/password"),
                }
                .render(),
            );
        }
        add(
            kind,
            "signed-out",
            SignedOutPage { brand, signed_in: kind == "acme", words: &text::signed_out::UNANSWERED }.render(),
        );
        let fields = [Field { name: "token", value: hard.unwrap_or("x") }];
        add(
            kind,
            "confirm",
            ConfirmPage { brand, person, email, action: hard.unwrap_or("/"), fields: &fields }.render(),
        );
        add(kind, "forward", ForwardPage { brand, action: hard.unwrap_or("/"), fields: &fields }.render());
        for (name, advice) in [("refused", &text::refused::SEATS_FULL), ("untrusted", &text::refused::UNTRUSTED_ANSWER)]
        {
            let page =
                AdvicePage { brand, advice, message: hard, reference: Some("7KQ2-M9XR-4TDA"), retry: Some("/acme") };
            add(kind, name, page.render());
        }
        add(kind, "dashboard", Ok(dashboard(brand, kind)));
        let (person, first_name, email) = self::person(kind);
        let empty = DashboardPage {
            brand,
            person,
            first_name,
            email,
            sublicenses: &[],
            content: &[],
            unproved: None,
            notices: &[],
        };
        add(kind, "dashboard-empty", empty.render());
        let pass = [Pass { name: "Main".into(), is_manager: false, ends: None }];
        let idle = DashboardPage {
            brand,
            person,
            first_name,
            email,
            sublicenses: &pass,
            content: &[],
            unproved: None,
            notices: &[],
        };
        add(kind, "dashboard-idle", idle.render());
    }
    for (name, advice) in [("not-found", &text::neutral::NOT_FOUND), ("internal", &text::neutral::INTERNAL)] {
        let reference = (name == "internal").then_some("7KQ2-M9XR-4TDA");
        let page = AdvicePage { brand: Brand::default(), advice, message: None, reference, retry: None };
        add("neutral", name, page.render());
    }
    samples
}

/// Leaves the pages and their themes in the target folder, for whoever wants to look at them.
fn keep(samples: &[Sample]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(folder.join("static/theme")).unwrap();
    for sample in samples {
        fs::write(folder.join(format!("{}.html", sample.name)), &sample.html).unwrap();
    }
    for (_, brand) in brands() {
        fs::write(folder.join(format!("static/theme/{}.css", brand.theme)), brand.theme.stylesheet()).unwrap();
    }
    fs::write(folder.join(format!("static/theme/{}.css", Theme::default())), Theme::default().stylesheet()).unwrap();
    folder
}

#[test]
fn every_page_renders_from_samples_and_no_sample_becomes_markup() {
    let samples = samples();
    keep(&samples);
    for Sample { name, html } in &samples {
        assert!(html.starts_with("<!doctype html>"), "{name}");
        // Ours are the scripts with `src`; nothing is inline.
        assert_eq!(html.matches("<script").count(), html.matches("<script src=\"/static/v-").count(), "{name}");
        for inline in ["<style", " style=", "onerror=alert(1)>", "<img src=x", "javascript:"] {
            assert!(!html.contains(inline), "{name} holds {inline}");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{name} has one heading of the first level");
        assert_eq!(html.matches("<main").count(), 1, "{name} has one main part");
    }
}

#[test]
fn names_with_umlauts_and_of_other_scripts_come_out_as_they_are() {
    let find = |wanted: &str| samples().into_iter().find(|sample| sample.name == wanted).unwrap().html;
    assert!(find("dashboard-acme").contains("Zoë Müller"));
    assert!(find("dashboard-rtl").contains("فاطمة الزهراء"));
}

#[tokio::test]
async fn static_files_of_this_release_are_revalidated_by_their_tag() {
    let app = App::start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = app.url(&format!("{}/usher.css", usher::http::assets::prefix()));
    let first = client.get(&url).send().await.unwrap();
    assert_eq!(
        (first.status().as_u16(), first.headers()["content-type"].to_str().unwrap()),
        (200, "text/css; charset=utf-8")
    );
    let tag = first.headers()["etag"].clone();
    let again = client.get(&url).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let other = client.get(&url).header("if-none-match", "\"other\"").send().await.unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn a_theme_is_served_for_colours_and_for_nothing_else() {
    let app = App::start().await;
    let get = async |path: &str| reqwest::get(app.url(path)).await.unwrap();
    let theme = get("/static/theme/2b43c8-0fa697.css").await;
    assert_eq!(theme.status(), 200);
    assert!(theme.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert!(theme.text().await.unwrap().starts_with(":root{--accent:#2b43c8;"));
    for path in ["red-blue.css", "2b43c8.css", "2B43C8-0fa697.css", "2b43c8-0fa697", "2b43c8-0fa697}body{.css"] {
        assert_eq!(get(&format!("/static/theme/{path}")).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_a_page_for_people_and_a_problem_for_programs() {
    let app = App::start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str, accept: &str| {
        let url = app.url(path);
        let response = client.get(url).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        (response.headers()["content-type"].to_str().unwrap().to_owned(), response.text().await.unwrap())
    };
    let (kind, body) = get("/no/such/page", "text/html,*/*;q=0.8").await;
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(body.contains(text::neutral::NOT_FOUND.title));
    let (kind, body) = get("/no/such/page", "application/json").await;
    assert_eq!(kind, "application/problem+json");
    assert!(body.contains("\"code\":\"not_found\""));
    let (kind, _) = get("/api/v1/no/such", "text/html").await;
    assert_eq!(kind, "application/problem+json");
}
