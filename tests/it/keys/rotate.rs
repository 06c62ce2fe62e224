//! Bringing every sealed value under a new key, and what stands in its way.

use std::collections::BTreeSet;

use chrono::Duration;
use secrecy::ExposeSecret;
use serde_json::json;
use usher::{
    ids::ReplicaId,
    keys::{self, Leave, Part, RotateError},
};

use super::setup::{app, keys_in_use, mails, ring, scene, sealed, with_secret};
use crate::support::{App, Browser};

async fn leave(app: &App, number: u8) -> Leave {
    let status = keys::status(app, app.clock.now()).await.unwrap();
    status.keys.iter().find(|key| key.number == number).unwrap().leave
}

async fn secret(app: &App, connection: &str) -> String {
    let facts = app.connections.reload(app, connection.parse().unwrap()).await.unwrap().unwrap();
    facts.oidc.as_ref().unwrap().client_secret(app).unwrap().unwrap().expose_secret().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_brings_everything_under_the_new_key_and_the_old_one_may_leave() {
    let scene = scene(&[1]).await;
    scene.sign_in(&scene.app.browser(), "ada").await.expect(303);
    let connection = with_secret(&scene.operator, "hunter2").await;
    mails(&scene.app, 3).await;
    let before = sealed(&scene.app).await;
    assert_eq!(before.len(), 4, "something of every kind: {before:?}");

    let new = scene.app.replica_with(ring(&[2, 1]));
    assert_eq!(leave(&new, 1).await, Leave::Values(before.values().sum::<i64>().unsigned_abs()));
    let mut told = Vec::new();
    let done = keys::rotate(&new, |progress| told.push((progress.resealed, progress.total))).await.unwrap();
    assert_eq!((done.key.number, done.left), (2, 0));
    assert_eq!(told.last(), Some(&(done.resealed, done.resealed)));
    let after = sealed(&new).await;
    let moved = |(kind, _): (String, i32), count| ((kind, 2), count);
    assert_eq!(after, before.into_iter().map(|(key, count)| moved(key, count)).collect());

    // Sessions that were begun before may hold what the old key sealed.
    let longest = Duration::hours(12);
    assert_eq!(leave(&new, 1).await, Leave::At(new.clock.now() + longest));
    let last = scene.app.replica_with(ring(&[2]));
    assert_eq!(secret(&last, &connection).await, "hunter2");
    scene.sign_in(&Browser::new().via(&last), "ada").await.expect(303);
    let attempt = scene.last_attempt().await["id"].clone();
    let at = format!("/api/v1/clients/acme/connections/{}/mapping/evaluate", scene.connection);
    last.operator().await.post(&at, json!({ "attempt": attempt })).await.ok();
    let (client, id, link): (uuid::Uuid, uuid::Uuid, Vec<u8>) =
        sqlx::query_as("select client_id, id, link_sealed from mails limit 1").fetch_one(&last.db).await.unwrap();
    let place = format!("mails.link:cli_{}:mal_{}", client.simple(), id.simple());
    assert_eq!(last.sealer.open(&place, &link).unwrap().as_slice(), b"/invites/secret");

    let events: Vec<String> = sqlx::query_scalar("select facts::text from audit_events where action like 'sealing.%'")
        .fetch_all(&last.db)
        .await
        .unwrap();
    assert_eq!(events.len(), 3, "{events:?}");
    let again = keys::rotate(&last, |_| {}).await.unwrap();
    assert_eq!((again.resealed, again.left), (0, 0));
    new.clock.advance(longest);
    assert_eq!(leave(&new, 1).await, Leave::Now);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sealed_column_takes_part() {
    let app = app(&[1]).await;
    let columns: BTreeSet<String> = sqlx::query_scalar::<_, String>(
        "select table_name || '.' || column_name from information_schema.columns
         where table_schema = 'public' and data_type = 'bytea' and column_name like '%\\_sealed'",
    )
    .fetch_all(&app.db)
    .await
    .unwrap()
    .into_iter()
    .collect();
    let known = Part::ALL.iter().flat_map(|part| part.columns()).map(|column| (*column).to_owned()).collect();
    assert_eq!(columns, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_for_replicas_that_could_not_open_what_it_seals() {
    let scene = scene(&[1]).await;
    let (old, new) = (&scene.app, scene.app.replica_with(ring(&[2, 1])));
    let replica: ReplicaId = old.entropy.id(old.clock.now());
    keys::announce(old, replica, old.clock.now()).await.unwrap();
    let refused = keys::rotate(&new, |_| {}).await.unwrap_err();
    assert!(matches!(&refused, RotateError::Lacking { replicas, .. } if replicas.len() == 1), "{refused}");
    assert!(refused.to_string().contains(&replica.to_string()));

    // It holds the new key and goes on with the old one: what it seals would come after the walk.
    let halfway = scene.app.replica_with(ring(&[1, 2]));
    keys::announce(&halfway, replica, old.clock.now()).await.unwrap();
    let refused = keys::rotate(&new, |_| {}).await.unwrap_err();
    assert!(matches!(refused, RotateError::Sealing { .. }), "{refused}");
    assert_eq!(keys_in_use(&new).await, [1]);
    assert_eq!(leave(&new, 1).await, Leave::Replicas(1));

    keys::announce(&new, replica, old.clock.now()).await.unwrap();
    keys::rotate(&new, |_| {}).await.unwrap();
    assert_eq!(keys_in_use(&new).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_the_old_ring_that_comes_in_the_middle_stops_the_rotation() {
    let scene = scene(&[1]).await;
    mails(&scene.app, 600).await;
    let new = scene.app.replica_with(ring(&[2, 1]));
    let mut hold = new.db.begin().await.unwrap();
    sqlx::query("select from mails where id = (select id from mails order by client_id, id limit 1) for update")
        .execute(&mut *hold)
        .await
        .unwrap();
    let rotating = tokio::spawn({
        let app = (*new).clone();
        async move { keys::rotate(&app, |_| {}).await.unwrap_err() }
    });
    blocked(&new).await;
    keys::announce(&scene.app, new.entropy.id(new.clock.now()), new.clock.now()).await.unwrap();
    hold.rollback().await.unwrap();
    let stopped = rotating.await.unwrap();
    assert!(matches!(stopped, RotateError::Lacking { .. }), "{stopped}");
    assert_eq!(sealed(&new).await[&("link".to_owned(), 1)], 100, "the batch that was under way, and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_open_stays_as_it_is_and_is_told() {
    let scene = scene(&[7]).await;
    let lost = sealed(&scene.app).await.values().sum::<i64>();
    let found = scene.app.replica_with(ring(&[2, 1]));
    let done = keys::rotate(&found, |_| {}).await.unwrap();
    assert_eq!(done.left, lost.unsigned_abs());
    assert_eq!(keys_in_use(&found).await, [7]);
    let shown = keys::status(&found, found.clock.now()).await.unwrap().to_string();
    assert!(shown.contains("key 7: not on the ring"), "{shown}");
    // With the key on the ring all of it moves.
    let whole = scene.app.replica_with(ring(&[2, 7]));
    assert_eq!(keys::rotate(&whole, |_| {}).await.unwrap().left, 0);
    assert_eq!(keys_in_use(&whole).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_changed_while_it_is_sealed_anew_stays_changed() {
    let scene = scene(&[1]).await;
    let connection = with_secret(&scene.operator, "before").await;
    let new = scene.app.replica_with(ring(&[2, 1]));
    let id: usher::ids::ConnectionId = connection.parse().unwrap();
    // An admin's change under the old key, made but not yet committed when the walk comes by.
    let client = usher::admin::find_client(&new.db, "acme").await.unwrap().unwrap();
    let place = format!("connections.secret:{client}:{connection}");
    let changed = scene.app.sealer.seal(&scene.app.entropy, &place, b"after");
    let mut change = new.db.begin().await.unwrap();
    sqlx::query("update connections set secret_sealed = $1 where id = $2")
        .bind(&changed)
        .bind(id.uuid())
        .execute(&mut *change)
        .await
        .unwrap();
    let rotating = tokio::spawn({
        let app = (*new).clone();
        async move { keys::rotate(&app, |_| {}).await.unwrap() }
    });
    blocked(&new).await;
    change.commit().await.unwrap();
    assert_eq!(rotating.await.unwrap().left, 0, "the walk after it brought that one along");
    assert_eq!(secret(&new, &connection).await, "after");
    assert_eq!(keys_in_use(&new).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_that_keeps_the_secret_does_not_bring_the_old_seal_back() {
    let scene = scene(&[1]).await;
    let connection = with_secret(&scene.operator, "kept").await;
    let new = scene.app.replica_with(ring(&[2, 1]));
    let id: usher::ids::ConnectionId = connection.parse().unwrap();
    let mut hold = new.db.begin().await.unwrap();
    sqlx::query("select from connections where id = $1 for update").bind(id.uuid()).execute(&mut *hold).await.unwrap();
    // The change has read the connection and waits to write it.
    let path = format!("/api/v1/clients/acme/connections/{connection}");
    let changing = tokio::spawn({
        let operator = new.operator().await;
        async move { operator.patch(&path, json!({ "name": "Renamed" })).await.ok() }
    });
    blocked(&new).await;
    let place = format!("connections.secret:{}:{connection}", scene.client);
    let anew = scene.app.replica_with(ring(&[2])).sealer.seal(&new.entropy, &place, b"kept");
    sqlx::query("update connections set secret_sealed = $1 where id = $2")
        .bind(&anew)
        .bind(id.uuid())
        .execute(&mut *hold)
        .await
        .unwrap();
    hold.commit().await.unwrap();
    assert_eq!(changing.await.unwrap()["name"], "Renamed");
    assert_eq!(sealed(&new).await.get(&("secret".to_owned(), 2)), Some(&1));
    assert_eq!(secret(&new, &connection).await, "kept");
}

/// Waits until somebody waits for a lock.
pub async fn blocked(app: &App) {
    let waiting = async {
        loop {
            let count: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&app.db)
            .await
            .unwrap();
            if count > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("somebody waits for the lock");
}
