//! Health: alive whatever happens, ready only with PostgreSQL and Redis.

use crate::support::App;

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_ready_when_its_servers_answer() {
    let app = App::start().await;
    let ready = app.admin("").get("/readyz").await.ok();
    insta::assert_json_snapshot!(ready, @r#"
    {
      "draining": false,
      "postgresql": true,
      "ready": true,
      "redis": true
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_it_is_alive_but_not_ready_and_recovers_by_itself() {
    let app = App::with().flaky().settings(|raw| raw.database.acquire_timeout_ms = 300).start().await;
    let probe = app.admin("");
    app.postgres().cut();
    assert_eq!(probe.get("/healthz").await.status, 200);
    let ready = probe.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.json()["postgresql"].as_bool()), (503, Some(false)), "{}", ready.text);
    app.postgres().restore();
    assert_eq!(probe.get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_it_is_alive_but_not_ready_and_recovers_by_itself() {
    let app = App::with().flaky().settings(|raw| raw.redis.timeout_ms = 300).start().await;
    let probe = app.admin("");
    assert_eq!(probe.get("/readyz").await.status, 200);
    for fail in [crate::support::Flaky::cut, crate::support::Flaky::stall] {
        fail(app.redis());
        assert_eq!(probe.get("/healthz").await.status, 200);
        let ready = probe.get("/readyz").await;
        assert_eq!((ready.status.as_u16(), ready.json()["redis"].as_bool()), (503, Some(false)), "{}", ready.text);
        app.redis().restore();
        let recovered = async { while probe.get("/readyz").await.status != 200 {} };
        tokio::time::timeout(std::time::Duration::from_secs(5), recovered).await.expect("recovers within seconds");
    }
}
