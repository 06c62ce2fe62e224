//! Workers that die, meet, or lose PostgreSQL in the middle: nothing is lost and nothing is done twice.

use chrono::{DateTime, Duration};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_util::sync::CancellationToken;
use usher::imports::{Step, Worker};

use super::{acme, checked, count, path, people, show, work};
use crate::support::{Admin, App};

const MANY: usize = 2500;

/// Every person once, with one grant, one event of each kind, and the import's own numbers.
async fn all_done_once(app: &App, admin: &Admin, import: &Value, people: usize) {
    let done = show(admin, import).await;
    assert_eq!((&done["state"], &done["results"]), (&json!("done"), &json!({ "create": people })));
    assert_eq!(done["rows_done"], json!(people));
    let people = i64::try_from(people).unwrap();
    for sql in [
        "select count(*) from learners",
        "select count(distinct email_key) from learners",
        "select count(*) from access_grants",
        "select count(*) from audit_events where action = 'learner.created'",
        "select count(*) from audit_events where action = 'access.granted'",
        "select count(*) from outbox_events where type = 'access.granted'",
    ] {
        assert_eq!(count(app, sql).await, people, "{sql}");
    }
    assert_eq!(count(app, "select count(*) from audit_events where action = 'import.finished'").await, 1);
}

async fn running(app: &App, admin: &Admin, people: String) -> Value {
    let import = checked(app, admin, "", &people).await;
    admin.post(&format!("{}/confirm", path(&import)), json!({ "rows": "all" })).await.ok();
    import
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_is_followed_by_another_that_does_no_row_twice() {
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let app = App::with().clock_at(start).start().await;
    let operator = acme(&app).await;
    let import = running(&app, &operator, people(0..MANY)).await;
    // The first worker does one batch, and is not heard of again.
    let (dead, heir) = (Worker::new(&app), Worker::new(&app));
    let claimed = dead.claim(&app, app.clock.now()).await.unwrap().unwrap();
    assert_eq!(dead.step(&app, claimed, app.clock.now()).await.unwrap(), Step::More);
    assert_eq!(show(&operator, &import).await["rows_done"], 1000);
    assert!(!heir.turn(&app).await.unwrap(), "its lease keeps others away");
    app.clock.advance(Duration::seconds(61));
    let taken = heir.claim(&app, app.clock.now()).await.unwrap().unwrap();
    assert_eq!(heir.step(&app, taken, app.clock.now()).await.unwrap(), Step::More);
    // It was only slow after all: what it still wants to do is refused.
    assert_eq!(dead.step(&app, claimed, app.clock.now()).await.unwrap(), Step::Lost);
    while heir.turn(&app).await.unwrap() {}
    all_done_once(&app, &operator, &import, MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let import = running(&app, &operator, people(0..MANY)).await;
    let replica = app.replica();
    tokio::join!(work(&app), work(&replica));
    work(&app).await;
    all_done_once(&app, &operator, &import, MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_of_the_same_people_at_once_make_each_of_them_once() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let one = checked(&app, &operator, "", &people(0..1500)).await;
    // In another order, so that the two lock in each other's way if they do not keep to one order.
    let text = people(0..1500);
    let (header, rest) = text.split_once('\n').unwrap();
    let reversed: Vec<&str> = std::iter::once(header).chain(rest.lines().rev()).collect();
    let two = checked(&app, &operator, "", &reversed.join("\n")).await;
    for import in [&one, &two] {
        operator.post(&format!("{}/confirm", path(import)), json!({ "rows": "all" })).await.ok();
    }
    let replica = app.replica();
    tokio::join!(work(&app), work(&replica));
    work(&app).await;
    assert_eq!(count(&app, "select count(*) from learners").await, 1500);
    assert_eq!(count(&app, "select count(*) from access_grants").await, 1500);
    let (one, two) = (show(&operator, &one).await, show(&operator, &two).await);
    let of = |import: &Value, outcome: &str| import["results"][outcome].as_i64().unwrap_or(0);
    assert_eq!(of(&one, "create") + of(&two, "create"), 1500, "{one} {two}");
    assert_eq!(of(&one, "already_there") + of(&two, "already_there"), 1500, "{one} {two}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_going_away_in_the_middle_costs_a_wait_and_nothing_else() {
    let app = App::with().flaky().start().await;
    let operator = acme(&app).await;
    let import = running(&app, &operator, people(0..MANY)).await;
    let worker = Worker::new(&app);
    let claimed = worker.claim(&app, app.clock.now()).await.unwrap().unwrap();
    assert_eq!(worker.step(&app, claimed, app.clock.now()).await.unwrap(), Step::More);
    let cut = async {
        // In the midst of the second batch, or between two: either must do.
        tokio::task::yield_now().await;
        app.postgres().cut();
    };
    let (turn, ()) = tokio::join!(worker.turn(&app), cut);
    assert!(turn.is_err_and(|fault| fault.is_passing()));
    app.postgres().restore();
    while !matches!(worker.turn(&app).await, Ok(false)) {}
    all_done_once(&app, &operator, &import, MANY).await;
}

#[tokio::test]
async fn a_file_that_breaks_off_is_removed_when_its_time_is_over() {
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let app = App::with().clock_at(start).start().await;
    let operator = acme(&app).await;
    let mut line = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: text/csv\r\nContent-Length: 9999999\r\n\r\n",
        super::BASE,
        operator.token
    );
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(people(0..5000).as_bytes()).await.unwrap();
    while count(&app, "select count(*) from import_rows").await == 0 {
        tokio::task::yield_now().await;
    }
    drop(line);
    app.clock.advance(Duration::hours(2));
    // What still holds it, as the broken request does for a moment, is waited for by the next turn.
    while count(&app, "select count(*) from imports").await > 0 {
        usher::imports::clean(&app, app.clock.now()).await.unwrap();
    }
    assert_eq!(count(&app, "select count(*) from import_rows").await, 0);
    assert_eq!(operator.get(super::BASE).await.ok()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replicas_worker_does_it_all_by_itself() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(usher::worker::run((*app).clone(), stop.clone()));
    let import = super::send(&app, &operator, super::BASE, people(0..20), &[]).await.ok();
    let until = async |state: &str| {
        loop {
            let found = show(&operator, &import).await;
            assert_ne!(found["state"], "failed", "{found}");
            if found["state"] == state {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    until("ready").await;
    operator.post(&format!("{}/confirm", path(&import)), json!({ "rows": "all" })).await.ok();
    until("done").await;
    stop.cancel();
    worker.await.unwrap();
    all_done_once(&app, &operator, &import, 20).await;
}

/// Sessions of the database that wait for another's lock.
async fn waiting_for_locks(app: &App) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    count(app, sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_in_the_middle_of_a_batch_leaves_nothing_of_it() {
    let app = App::start().await;
    let operator = acme(&app).await;
    let import = running(&app, &operator, people(0..MANY)).await;
    // Somebody else is about to make a record of one of them: the second batch waits for it in its midst.
    let mut other = app.db.begin().await.unwrap();
    sqlx::query(
        "insert into learners (client_id, id, sub, email, email_key, is_unclaimed, created_at, updated_at)
         select id, gen_random_uuid(), gen_random_uuid(), 'p1500@acme.example', 'p1500@acme.example', true, now(), now()
         from clients",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    let mut worker = tokio::process::Command::new(env!("CARGO_BIN_EXE_usher"))
        .arg("serve")
        .envs(app.environment())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while waiting_for_locks(&app).await == 0 {
        assert!(worker.try_wait().unwrap().is_none(), "it serves");
        tokio::task::yield_now().await;
    }
    // SIGKILL: it can tidy nothing.
    worker.kill().await.unwrap();
    other.rollback().await.unwrap();
    while waiting_for_locks(&app).await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(show(&operator, &import).await["rows_done"], 1000);
    assert!(!Worker::new(&app).turn(&app).await.unwrap(), "its lease still runs: it might be alive");
    app.clock.advance(Duration::seconds(61));
    // PostgreSQL finds out in its own time that nobody is there any more, and holds the batch's rows until then.
    while show(&operator, &import).await["state"] != "done" {
        work(&app).await;
    }
    all_done_once(&app, &operator, &import, MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_looked_people_up_in_an_empty_table_does_not_read_the_whole_client_later() {
    // Few connections, so that each has kept its plans from when there was nobody.
    let app = App::with().settings(|raw| raw.database.max_connections = 2).start().await;
    let operator = acme(&app).await;
    sqlx::query("alter table learners set (autovacuum_enabled = false)").execute(&app.db).await.unwrap();
    for number in 0..8 {
        checked(&app, &operator, "", &people(number..number + 1)).await;
    }
    let import = running(&app, &operator, people(0..MANY)).await;
    work(&app).await;
    assert_eq!(show(&operator, &import).await["state"], "done");
    // What was read of learners is told when a session ends.
    let url = app.settings.database.url.clone();
    app.db.close().await;
    let mut conn =
        <sqlx::PgConnection as sqlx::Connection>::connect(secrecy::ExposeSecret::expose_secret(&url)).await.unwrap();
    let mut read: i64 = 0;
    let mut others: i64 = 1;
    while others > 0 {
        others = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        read = sqlx::query_scalar(
            "select (t.seq_tup_read + (select sum(i.idx_tup_read) from pg_stat_user_indexes i where i.relid = t.relid))::bigint
             from pg_stat_user_tables t where t.relname = 'learners'",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
    }
    let rows = i64::try_from(MANY).unwrap();
    assert!(read > rows && read < 20 * rows, "{read} learners looked at for {rows} rows");
}
