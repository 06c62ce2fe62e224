//! PgBouncer in transaction mode between two gateways and PostgreSQL: few servers, so that each statement meets what
//! others left there.

use futures_util::future::join_all;
use serde_json::json;

use super::{everything_holds, let_in, scene};
use crate::support::{App, servers::PgBouncer};

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_in_transaction_mode_everything_holds() {
    let bouncer = PgBouncer::start().await;
    let port = bouncer.port();
    let scene = scene(App::with().settings(move |raw| PgBouncer::before(port, raw))).await;
    everything_holds(&scene).await;
    // Many at once over two servers.
    let people = ["ada", "nora"].into_iter().cycle().take(24);
    let pages = join_all(people.map(async |who| scene.sign_in(&scene.app.browser(), who).await)).await;
    pages.into_iter().for_each(let_in);
    // What cannot be done is told, and what it began is gone.
    let (one, other) = tokio::join!(
        scene.operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })),
        scene.operator.post("/api/v1/clients", json!({ "slug": "globex", "name": "Globex" })),
    );
    let mut answers = [one.status.as_u16(), other.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [201, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_a_statement_has_its_limit_and_what_only_reads_cannot_write() {
    let bouncer = PgBouncer::start().await;
    let port = bouncer.port();
    let change = move |raw: &mut usher::config::Raw| {
        PgBouncer::before(port, raw);
        raw.database.statement_timeout_ms = 100;
    };
    let app = App::with().settings(change).start().await;
    let code = |error: sqlx::Error| error.as_database_error().and_then(|error| error.code()).map(String::from);
    let late = sqlx::query("select pg_sleep(20)").execute(&app.db).await.unwrap_err();
    assert_eq!(code(late).as_deref(), Some("57014"));
    let mut conn = app.db.acquire().await.unwrap();
    let refused = sqlx::query("delete from tokens where id = $1").bind(uuid::Uuid::nil()).execute(&mut *conn).await;
    assert_eq!(code(refused.unwrap_err()).as_deref(), Some("25006"));
    drop(conn);
    // One that failed leaves nothing behind for whoever has the server next.
    for _ in 0..8 {
        let one: i32 = sqlx::query_scalar("select $1::int4").bind(1).fetch_one(&app.db).await.unwrap();
        assert_eq!(one, 1);
    }
}
