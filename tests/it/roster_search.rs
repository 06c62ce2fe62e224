//! Lists of learners and searching them: what is found, in which order, over how many pages, and by which plans.

use serde_json::json;
use sqlx::{Connection, PgConnection};
use usher::{ids::ClientId, roster};

use crate::support::{Admin, App, log_text};

const ACME: &str = "/api/v1/clients/acme/learners";

async fn start() -> (App, Admin) {
    let app = App::start().await;
    let operator = app.operator().await;
    for slug in ["acme", "globex"] {
        operator.post("/api/v1/clients", json!({ "slug": slug, "name": slug })).await.ok();
    }
    (app, operator)
}

async fn add(admin: &Admin, first: &str, last: &str, email: Option<&str>, external: Option<&str>) -> String {
    let body = json!({ "first_name": first, "last_name": last, "email": email, "external_id": external });
    admin.post(ACME, body).await.ok()["id"].as_str().unwrap().to_owned()
}

/// First names of what a query lists, page after page.
async fn names(admin: &Admin, limit: usize, parameters: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters).append_pair("limit", &limit.to_string());
        if let Some(cursor) = &cursor {
            query.append_pair("cursor", cursor);
        }
        let page = admin.get(&format!("{ACME}?{}", query.finish())).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().map(|item| item["first_name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

async fn search(admin: &Admin, text: &str) -> Vec<String> {
    names(admin, 50, &[("q", text)]).await
}

#[tokio::test]
async fn a_search_finds_names_addresses_and_external_ids_by_their_beginning_and_from_three_letters_inside() {
    let (_app, operator) = start().await;
    add(&operator, "Ada", "Lovelace", Some("ada@acme.example"), Some("E-0042")).await;
    add(&operator, "Grace", "Hopper", Some("grace.hopper@acme.example"), Some("E-0043")).await;
    add(&operator, "Radia", "Perlman", Some("radia@tree.example"), None).await;
    assert_eq!(search(&operator, "ad").await, ["Ada"], "two letters are found at a beginning only");
    assert_eq!(search(&operator, "adi").await, ["Radia"], "three letters are found inside");
    assert_eq!(search(&operator, "lov").await, ["Ada"]);
    assert_eq!(search(&operator, "l").await, ["Ada"]);
    assert_eq!(search(&operator, "hopper gr").await, ["Grace"], "the last name first");
    assert_eq!(search(&operator, "  grace   hop ").await, ["Grace"]);
    assert_eq!(search(&operator, "ace hopp").await, ["Grace"], "each word somewhere");
    assert_eq!(search(&operator, "grace.h").await, ["Grace"]);
    assert_eq!(search(&operator, "tree.exam").await, ["Radia"]);
    assert_eq!(search(&operator, "e-00").await, ["Ada", "Grace"]);
    assert_eq!(search(&operator, "0043").await, ["Grace"]);
    assert_eq!(search(&operator, "perl ada").await, Vec::<String>::new());
    assert_eq!(search(&operator, "nobody").await, Vec::<String>::new());
    assert_eq!(search(&operator, "acme.example").await, ["Ada", "Grace"]);
    let (nothing, long) = ("%20", "x".repeat(101));
    for q in ["", nothing, long.as_str()] {
        assert_eq!(operator.get(&format!("{ACME}?q={q}")).await.problem(422), "api.query", "{q}");
    }
    assert_eq!(operator.get(&format!("{ACME}?q=%00")).await.problem(422), "api.query");
}

#[tokio::test]
async fn case_accents_and_scripts_do_not_keep_anybody_from_being_found() {
    let (_app, operator) = start().await;
    add(&operator, "Zoë", "Müller-Groß", None, None).await;
    add(&operator, "ÉMILE", "Søndergård", None, None).await;
    add(&operator, "Ольга", "Ильина", None, None).await;
    add(&operator, "فاطمة", "الزهراء", None, None).await;
    add(&operator, "ﬁona", "Ｗｉｄｅ", None, None).await;
    for (text, name) in [
        ("zoe", "Zoë"),
        ("ZOË", "Zoë"),
        ("zoe\u{308}", "Zoë"),
        ("muller", "Zoë"),
        ("gross", "Zoë"),
        ("emile sonder", "ÉMILE"),
        ("ОЛЬ", "Ольга"),
        ("ильи", "Ольга"),
        ("فاط", "فاطمة"),
        ("fiona", "ﬁona"),
        ("wide", "ﬁona"),
    ] {
        assert_eq!(search(&operator, text).await, [name], "{text}");
    }
}

#[tokio::test]
async fn signs_of_a_pattern_are_letters_like_others() {
    let (_app, operator) = start().await;
    add(&operator, "Ada", "50% off", None, Some("a_b\\c")).await;
    add(&operator, "Bob", "50 of", None, Some("axbxc")).await;
    assert_eq!(search(&operator, "50%").await, ["Ada"]);
    assert_eq!(search(&operator, "50% off").await, ["Ada"]);
    assert_eq!(search(&operator, "a_b").await, ["Ada"]);
    assert_eq!(search(&operator, "a_b\\c").await, ["Ada"]);
    for text in ["%", "___", "%%%", "\\", "'; drop table learners; --", "%da", "a%"] {
        assert_eq!(search(&operator, text).await, Vec::<String>::new(), "{text}");
    }
}

#[tokio::test]
async fn each_learner_is_found_once_however_many_of_their_words_fit_and_over_any_pages() {
    let (_app, operator) = start().await;
    for number in 0..9 {
        let (first, email) = (format!("Ann{number}"), format!("ann{number}@acme.example"));
        add(&operator, &first, "Ann", Some(&email), Some(&format!("ann-{number}"))).await;
    }
    add(&operator, "Joanna", "Ann", None, None).await;
    add(&operator, "Hannah", "Other", None, None).await;
    add(&operator, "Susanna", "Other", None, None).await;
    let mut whole = search(&operator, "ann").await;
    // Beginnings first, in alphabetical order of what begins so; then those who contain it, oldest first.
    assert_eq!(&whole[9..], ["Joanna", "Hannah", "Susanna"], "{whole:?}");
    for limit in [1, 2, 5, 12] {
        assert_eq!(names(&operator, limit, &[("q", "ann")]).await, whole, "pages of {limit}");
    }
    whole.sort();
    whole.dedup();
    assert_eq!(whole.len(), 12);
}

#[tokio::test]
async fn filters_go_together_with_each_other_and_with_a_search() {
    let (app, operator) = start().await;
    operator.post("/api/v1/clients/acme/sublicenses", json!({ "slug": "sales", "name": "Sales" })).await.ok();
    let mut ids = Vec::new();
    for number in 0..6 {
        let email = format!("p{number}@acme.example");
        ids.push(add(&operator, &format!("P{number}"), "Person", Some(&email), None).await);
    }
    for (index, sublicense) in [(0, "main"), (1, "sales"), (2, "sales"), (2, "main")] {
        operator.post(&format!("{ACME}/{}/access", ids[index]), json!({ "sublicense": sublicense })).await.ok();
    }
    operator.patch(&format!("{ACME}/{}", ids[2]), json!({ "status": "suspended" })).await.ok();
    sqlx::query("update learners set email_verified = true, is_unclaimed = false where email in ('p0@acme.example', 'p1@acme.example')")
        .execute(&app.db)
        .await
        .unwrap();
    let list = async |parameters: &[(&str, &str)]| {
        let one = names(&operator, 1, parameters).await;
        assert_eq!(one, names(&operator, 200, parameters).await, "{parameters:?}");
        one
    };
    assert_eq!(list(&[]).await.len(), 6);
    assert_eq!(list(&[("sublicense", "sales")]).await, ["P1", "P2"]);
    assert_eq!(list(&[("sublicense", "sales"), ("status", "active")]).await, ["P1"]);
    assert_eq!(list(&[("sublicense", "main"), ("verified", "false")]).await, ["P2"]);
    assert_eq!(list(&[("source", "admin")]).await, ["P0", "P1", "P2"]);
    assert_eq!(list(&[("source", "sso")]).await, Vec::<String>::new());
    assert_eq!(list(&[("source", "admin"), ("sublicense", "sales"), ("status", "suspended")]).await, ["P2"]);
    assert_eq!(list(&[("verified", "true")]).await, ["P0", "P1"]);
    assert_eq!(list(&[("verified", "false")]).await, ["P2", "P3", "P4", "P5"]);
    assert_eq!(list(&[("status", "moved")]).await, Vec::<String>::new());
    assert_eq!(list(&[("q", "pers"), ("verified", "true")]).await, ["P0", "P1"]);
    assert_eq!(list(&[("q", "erson"), ("sublicense", "sales")]).await, ["P1", "P2"]);
    assert_eq!(list(&[("q", "p"), ("source", "admin"), ("status", "active")]).await, ["P0", "P1"]);
    operator.delete(&format!("{ACME}/{}/access/sales", ids[1])).await.ok();
    assert_eq!(list(&[("sublicense", "sales")]).await, ["P2"], "what ended is not held");
    for query in ["source=magic", "verified=maybe", "status=gone", "sublicense=other", "limit=0", "limit=201"] {
        assert_eq!(operator.get(&format!("{ACME}?{query}")).await.status, 422, "{query}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let (_app, operator) = start().await;
    for number in 0..3 {
        add(&operator, &format!("Ann{number}"), "X", None, None).await;
    }
    let cursor = async |query: &str| {
        let page = operator.get(&format!("{ACME}?{query}")).await.ok();
        page["next_cursor"].as_str().unwrap().to_owned()
    };
    let (plain, search) = (cursor("limit=1").await, cursor("limit=1&q=ann").await);
    for query in [
        format!("cursor={search}"),
        format!("q=ann&cursor={plain}"),
        "cursor=nonsense".into(),
        "q=ann&cursor=AAAA".into(),
    ] {
        assert_eq!(operator.get(&format!("{ACME}?{query}")).await.problem(422), "page.cursor", "{query}");
    }
}

#[tokio::test]
async fn a_search_stays_inside_its_client() {
    let (app, operator) = start().await;
    add(&operator, "Ada", "Lovelace", Some("ada@acme.example"), None).await;
    let stranger = app.admin_of("globex").await;
    for q in ["ada", "lovel", "ovelace", "ada@acme.example"] {
        let found = stranger.get(&format!("/api/v1/clients/globex/learners?q={q}")).await.ok();
        assert_eq!(found, json!({ "items": [], "next_cursor": null }), "{q}");
        assert_eq!(stranger.get(&format!("{ACME}?q={q}")).await.problem(404), "not_found");
    }
}

/// Learners enough that a plan without an index would show.
async fn seed(conn: &mut PgConnection, client: ClientId) {
    sqlx::query(
        "insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, last_name, external_id,
                               status, created_at, updated_at)
         select $1, ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(), e, e, n % 10 <> 0,
                (array['Ada', 'Anna', 'Boris', 'Zoë'])[1 + n % 4], 'Schmid' || n % 97, 'E-' || lpad(n::text, 7, '0'),
                case when n % 500 = 0 then 'suspended' else 'active' end, now(), now()
         from (select n, 'person' || n || '@acme.example' as e from generate_series(1, 20000) n) people",
    )
    .bind(client.uuid())
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        "insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, starts_at, created_at)
         select l.client_id, l.id, s.id, case when l.external_id like '%00' then 'admin' else 'sso' end, 'x', now(), now()
         from learners l join sublicenses s on s.client_id = l.client_id where l.client_id = $1",
    )
    .bind(client.uuid())
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("analyze learners, access_grants").execute(conn).await.unwrap();
}

#[tokio::test]
async fn every_list_is_read_by_an_index() {
    let (app, operator) = start().await;
    let client = usher::admin::find_client(&app.db, "acme").await.unwrap().unwrap();
    let main = operator.get("/api/v1/clients/acme/sublicenses").await.ok()["items"][0]["id"].clone();
    let url: String = {
        let database: String = sqlx::query_scalar("select current_database()::text").fetch_one(&app.db).await.unwrap();
        format!("{}/{database}", std::env::var("USHER_TEST_POSTGRES_URL").unwrap())
    };
    let mut conn = PgConnection::connect(&url).await.unwrap();
    seed(&mut conn, client).await;
    // PostgreSQL tells the plan of each statement as it was run, as a notice, which is logged.
    for statement in [
        "load 'auto_explain'",
        "set auto_explain.log_min_duration = 0",
        "set auto_explain.log_level = notice",
        "set client_min_messages = notice",
    ] {
        sqlx::query(statement).execute(&mut conn).await.unwrap();
    }
    let query = |change: &dyn Fn(&mut roster::Query)| {
        let mut query = roster::Query { limit: 50, ..roster::Query::default() };
        change(&mut query);
        query
    };
    let text = |text: &str| query(&|query: &mut roster::Query| query.text = Some(text.to_owned()));
    let sublicense = main.as_str().unwrap().parse().unwrap();
    let shapes = [
        ("list", query(&|_| {}), 50),
        ("suspended", query(&|query| query.status = Some(roster::RecordStatus::Suspended)), 40),
        ("provisional", query(&|query| query.verified = Some(false)), 50),
        ("address", query(&|query| query.email_key = Some("person7@acme.example".into())), 1),
        ("sublicense", query(&|query| query.sublicense = Some(sublicense)), 50),
        ("source", query(&|query| query.source = Some("admin")), 50),
        ("one letter", text("z"), 50),
        ("beginning", text("schmid12"), 50),
        ("external id", text("e-00123"), 50),
        ("inside, common", text("chmid"), 50),
        ("inside, rare", text("erson19999"), 1),
        ("absent", text("qqqqq"), 0),
    ];
    for (name, query, count) in shapes {
        let before = log_text().len();
        let found = roster::find(&mut conn, client, &query, app.clock.now()).await.unwrap();
        assert_eq!(found.learners.len(), count, "{name}");
        let log = log_text();
        let plans = &log[before..];
        assert!(plans.contains("Query Text: "), "{name}: no plan was told");
        let scans: Vec<&str> = plans.lines().filter(|line| line.contains("Seq Scan on")).collect();
        assert!(scans.is_empty(), "{name}: {scans:?}\n{plans}");
    }
}
