//! Files as people have them, and those that are refused.

use serde_json::{Value, json};

use crate::support::App;

use super::{BASE, acme, checked, count, path, people, rows, send, send_form, show, work};

#[tokio::test]
async fn a_file_is_read_whatever_its_delimiter_order_and_spelling() {
    let app = App::start().await;
    let operator = acme(&app).await;
    for (mark, delimiter) in [("", ","), ("\u{feff}", ";"), ("", "\t")] {
        let cells = |cells: &[&str]| cells.join(delimiter);
        let text = format!(
            "{mark}{}\r\n{}\r\n{}\r\n",
            cells(&["Last Name", "E-MAIL", "shoe size", "First name", "attributes.Team", "sublicenses"]),
            cells(&["Love\u{308}lace ", " Ada@ACME.example", "37", "\"Ada\"", "\"Blue\"", "\"main|S-1\""]),
            cells(&["Byron", "bob@acme.example", "", "Bob", "", ""]),
        );
        let import = checked(&app, &operator, "file_name=people.csv", &text).await;
        assert_eq!((&import["state"], &import["rows_total"]), (&json!("ready"), &json!(2)), "{import}");
        assert_eq!(import["file"]["delimiter"], delimiter);
        assert_eq!(import["file"]["unknown_columns"], json!(["shoe size"]));
        assert_eq!(import["file_name"], "people.csv");
        let rows = rows(&operator, &import).await;
        assert_eq!(rows[0]["email"], "Ada@ACME.example");
        assert_eq!(rows[0]["last_name"], "Lovëlace");
        assert_eq!(rows[0]["attributes"], json!({ "Team": "Blue" }));
        assert_eq!(rows[0]["sublicenses"], json!(["main", "S-1"]));
        assert_eq!((&rows[0]["row"], &rows[0]["outcome"]), (&json!(2), &json!("create")), "{}", rows[0]);
    }
    let quoted =
        checked(&app, &operator, "", "email,first_name\n\"ada@acme.example\",\"two\nlines\"\nbob@acme.example,Bob\n")
            .await;
    assert_eq!(quoted["counts"], json!({ "create": 1, "invalid": 1 }));
    let rows = rows(&operator, &quoted).await;
    assert_eq!(rows[0]["problem"]["code"], "imports.name_invalid");
    assert_eq!(rows[0]["problem"]["column"], "first_name");
}

#[tokio::test]
async fn the_template_is_anybodys_and_reads() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let template = app.admin("").get("/api/v1/imports/template.csv").await;
    assert_eq!(template.status, 200);
    assert!(template.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let import = checked(&app, &operator, "", &template.text).await;
    assert_eq!((&import["counts"], &import["file"]["unknown_columns"]), (&json!({ "invite": 1 }), &json!([])));
}

#[tokio::test]
async fn a_file_that_does_not_read_is_refused_and_leaves_nothing() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let utf16: Vec<u8> = "email,name\r\na@acme.example,Ada".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files: [(&[u8], &str); 7] = [
        (b"", "imports.empty"),
        (&utf16, "imports.utf16"),
        (b"email,first_name\na@acme.example,Zo\xeb\n", "imports.not_utf8"),
        (b"email,first_name\na@acme.example,Zo\0e\n", "imports.not_text"),
        (b"first_name,last_name\nAda,Lovelace\n", "imports.no_key_column"),
        (b"email,E-Mail\na@acme.example,b@acme.example\n", "imports.column_twice"),
        (&b"email\n\"".iter().chain(&[b'a'; 100_000]).copied().collect::<Vec<u8>>(), "imports.row_too_long"),
    ];
    for (file, code) in files {
        let reply = send(&app, &operator, BASE, file, &[]).await;
        assert_eq!(reply.problem(422), code);
    }
    let reply = send(&app, &operator, BASE, "email\n", &[("content-type", "application/json")]).await;
    assert_eq!(reply.status, 415);
    let charset = [("content-type", "text/csv; charset=windows-1252")];
    let reply = operator.call(reqwest::Method::POST, BASE, None, &charset).await;
    assert_eq!(reply.problem(415), "imports.not_utf8");
    for query in ["role=boss", "send_invite=perhaps", "action=delete", "shoes=37"] {
        assert_eq!(send(&app, &operator, &format!("{BASE}?{query}"), "email\n", &[]).await.status, 422, "{query}");
    }
    assert_eq!(count(&app, "select count(*) from imports").await, 0);
    assert_eq!(count(&app, "select count(*) from import_rows").await, 0);
}

#[tokio::test]
async fn rows_bytes_and_imports_at_once_are_limited() {
    let limits = |raw: &mut usher::config::Raw| {
        raw.imports.max_rows = 3;
        raw.imports.max_bytes = 2000;
        raw.imports.at_once_per_client = 1;
    };
    let app = App::with().settings(limits).start().await;
    let operator = acme(&app).await;
    assert_eq!(send(&app, &operator, BASE, people(0..4), &[]).await.problem(422), "imports.too_many_rows");
    let large = format!("email,first_name\na@acme.example,{}\n", "x".repeat(3000));
    assert_eq!(send(&app, &operator, BASE, large.clone(), &[]).await.problem(413), "imports.too_large");
    let form = [("file", Some("large.csv"), large.as_str())];
    assert_eq!(send_form(&app, &operator, &form).await.problem(413), "imports.too_large");
    send(&app, &operator, BASE, people(0..3), &[]).await.ok();
    let second = send(&app, &operator, BASE, people(0..3), &[]).await;
    assert_eq!(second.problem(429), "imports.too_many_at_once");
    work(&app).await;
    // One that waits to be confirmed is not under way.
    send(&app, &operator, BASE, people(0..3), &[]).await.ok();
    assert_eq!(count(&app, "select count(*) from imports").await, 2);
}

#[tokio::test]
async fn a_form_carries_a_file_and_its_options() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let text = people(0..2);
    let file = ("file", Some("people.csv"), text.as_str());
    // Fields behind the file count as well.
    let form = [("role", None, "manager"), file, ("sublicenses", None, "sales, main"), ("message", None, "Hello!")];
    let made = send_form(&app, &operator, &form).await.ok();
    assert_eq!(made["options"]["role"], "manager");
    assert_eq!(
        (&made["options"]["sublicenses"], &made["options"]["message"]),
        (&json!(["sales", "main"]), &json!("Hello!"))
    );
    assert_eq!((&made["rows_total"], &made["file_name"]), (&json!(2), &json!("people.csv")));
    assert_eq!(send_form(&app, &operator, &[file, file]).await.problem(422), "api.invalid");
    assert_eq!(send_form(&app, &operator, &[("role", None, "learner")]).await.problem(422), "api.required");
    assert_eq!(send_form(&app, &operator, &[("shoes", None, "37"), file]).await.problem(422), "api.unknown_field");
    assert_eq!(count(&app, "select count(*) from imports").await, 1);
}

#[tokio::test]
async fn an_upload_that_is_repeated_with_its_key_makes_one_import() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let key = [("idempotency-key", "monday")];
    let first = send(&app, &operator, BASE, people(0..3), &key).await;
    let again = send(&app, &operator, BASE, people(0..3), &key).await;
    assert_eq!(first.ok()["id"], again.ok()["id"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = send(&app, &operator, BASE, people(0..4), &key).await;
    assert_eq!(other.problem(422), "idempotency.mismatch");
    let other = send(&app, &operator, &format!("{BASE}?role=manager"), people(0..3), &key).await;
    assert_eq!(other.problem(422), "idempotency.mismatch");
    assert_eq!(operator.get(BASE).await.ok()["items"].as_array().unwrap().len(), 1);
    assert_eq!(count(&app, "select count(*) from import_rows").await, 3);

    work(&app).await;
    let import = first.json();
    let confirm = async || {
        let body = json!({ "rows": "all" });
        operator.call(reqwest::Method::POST, &format!("{}/confirm", path(&import)), Some(&body), &key).await
    };
    let (one, two) = (confirm().await, confirm().await);
    assert_eq!(one.ok(), two.ok());
    work(&app).await;
    assert_eq!(show(&operator, &import).await["results"], json!({ "create": 3 }));
    let late = operator.post(&format!("{}/confirm", path(&import)), json!({ "rows": "all" })).await;
    assert_eq!(late.problem(409), "imports.wrong_state");
}

#[tokio::test]
async fn a_result_is_a_file_that_no_spreadsheet_runs() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let text = "email,first_name,last_name,attributes.note\nada@acme.example,=1+1,\"+49, home\",@SUM(A1)\nbad,-x,y,\n";
    let import = super::imported(&app, &operator, "", text).await;
    let file = operator.get(&format!("{}/rows.csv", path(&import))).await;
    assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let text = file.text.trim_start_matches('\u{feff}');
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<Value> = reader
        .records()
        .map(|row| {
            headers
                .iter()
                .zip(row.unwrap().iter())
                .map(|(name, cell)| (name.to_owned(), json!(cell)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        })
        .collect();
    assert_eq!((&rows[0]["first_name"], &rows[0]["last_name"]), (&json!("'=1+1"), &json!("'+49, home")));
    assert_eq!((&rows[0]["result"], &rows[1]["problem"]), (&json!("create"), &json!("imports.email_invalid")));
    assert_eq!(rows[1]["first_name"], "'-x");
    let only = operator.get(&format!("{}/rows.csv?outcome=invalid", path(&import))).await;
    assert_eq!(only.text.lines().count(), 2);
}
