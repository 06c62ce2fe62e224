//! The command line with real processes: a new key, a rotation that is killed in the middle, and what goes on after it.

use std::process::{Output, Stdio};

use tokio::process::Command;
use usher::keys;

use super::{
    rotate::blocked,
    setup::{app, entry, keys_in_use, mails, ring, sealed},
};
use crate::support::{App, client};

/// More than the walk does in one transaction.
const MAILS: usize = 1_200;

/// `usher …` as another process of this deployment, with this ring.
fn usher(app: &App, numbers: &[u8], arguments: &[&str]) -> Command {
    let keys: Vec<String> = numbers.iter().map(|number| entry(*number)).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
    let environment = app.environment().into_iter().filter(|(name, _)| !name.starts_with("USHER__MAIL"));
    command
        .args(arguments)
        .envs(environment)
        .env("USHER__SECRETS__SEALING_KEYS", format!("{keys:?}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn text(output: &Output) -> String {
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", read(&output.stdout), read(&output.stderr))
}

/// How far the walk over links came, by its own account.
async fn resealed(app: &App) -> i64 {
    let found = sqlx::query_scalar("select resealed from reseals where part = 'links'");
    found.fetch_optional(&app.db).await.unwrap().unwrap_or(0)
}

/// A rotation that is killed while it waits for a mail in the middle of its second batch.
async fn killed_in_the_middle() -> App {
    let app = app(&[1]).await;
    client(&app.operator().await, "acme").await;
    mails(&app, MAILS).await;
    let mut hold = app.db.begin().await.unwrap();
    sqlx::query(
        "select from mails where id = (select id from mails order by client_id, id offset 700 limit 1) for update",
    )
    .execute(&mut *hold)
    .await
    .unwrap();
    let mut rotating = usher(&app, &[2, 1], &["keys", "rotate"]).spawn().unwrap();
    blocked(&app).await;
    // SIGKILL: it can tidy nothing.
    rotating.kill().await.unwrap();
    hold.rollback().await.unwrap();
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_in_the_middle_goes_on_where_it_was() {
    let app = killed_in_the_middle().await;
    let count = async |key| sealed(&app).await.get(&("link".to_owned(), key)).copied().unwrap_or(0);
    // The batch that it was in may still be on its way out of PostgreSQL; whole batches stand, and their place with them.
    assert_eq!((resealed(&app).await, count(2).await, count(1).await), (500, 500, 700));
    let output = usher(&app, &[2, 1], &["keys", "rotate"]).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("700 of 700"), "it began again: {}", text(&output));
    assert_eq!((resealed(&app).await, count(2).await, count(1).await), (1_200, 1_200, 0));
    let output = usher(&app, &[2, 1], &["keys", "status"]).output().await.unwrap();
    assert!(text(&output).contains("may leave the ring at"), "{}", text(&output));
    assert!(text(&output).contains("1200 values"), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_command_began_the_jobs_of_a_replica_finish_though_it_is_killed_too() {
    let app = killed_in_the_middle().await;
    let mut first = usher(&app, &[2, 1], &["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let reached = async |wanted: i64| {
        let walk = async {
            while resealed(&app).await < wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), walk).await.expect("the jobs do it");
    };
    reached(501).await;
    first.kill().await.unwrap();
    let _second = usher(&app, &[2, 1], &["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    reached(1_200).await;
    assert_eq!(keys_in_use(&app).await, [2]);
    let last = app.replica_with(ring(&[2]));
    let counted = keys::status(&last, last.clock.now()).await.unwrap();
    assert_eq!(counted.keys.len(), 1, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_a_key_and_refuses_to_lock_a_replica_out() {
    let app = app(&[1]).await;
    let made = usher(&app, &[1, 4], &["keys", "generate"]).output().await.unwrap();
    let line = String::from_utf8(made.stdout).unwrap();
    assert!(line.starts_with("5:") && line.trim_end().len() == "5:".len() + 44, "{line}");
    let another = usher(&app, &[1, 4], &["keys", "generate"]).output().await.unwrap();
    assert_ne!(String::from_utf8(another.stdout).unwrap(), line);

    keys::announce(&app, app.entropy.id(app.clock.now()), app.clock.now()).await.unwrap();
    let refused = usher(&app, &[5, 1], &["keys", "rotate"]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("do not hold key 5-"), "{}", text(&refused));
}
