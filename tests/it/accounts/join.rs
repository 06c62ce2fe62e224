//! Becoming a learner with an address that is proved already.

use std::sync::Arc;

use usher::{
    accounts::{self, JoinError, Joined},
    clients::ClientFacts,
    ids::AccountId,
};
use uuid::Uuid;

use super::{NEW, OLD, Scene};

const ZOE: &str = "zoe@acme.example";

async fn create(scene: &Scene, slug: &str, email: &str) -> Result<Joined, JoinError> {
    let (client, person) = (scene.client(slug).await, scene.person(email, OLD).await);
    let mut tx = scene.app.db.begin().await.unwrap();
    let joined = accounts::create_proved(&mut tx, &scene.app, &client, person, scene.now()).await?;
    tx.commit().await.unwrap();
    Ok(joined)
}

async fn join(scene: &Scene, client: &Arc<ClientFacts>, account: AccountId) -> Result<Joined, JoinError> {
    let mut tx = scene.app.db.begin().await.unwrap();
    let joined = accounts::join(&mut tx, &scene.app, client, account, ("Zoë", "Müller"), scene.now()).await?;
    tx.commit().await.unwrap();
    Ok(joined)
}

async fn account(scene: &Scene) -> AccountId {
    let id: Uuid = sqlx::query_scalar("select id from accounts").fetch_one(&scene.app.db).await.unwrap();
    AccountId::from(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_person_gets_an_account_and_a_verified_learner() {
    let scene = Scene::start().await;
    let joined = create(&scene, "acme", ZOE).await.unwrap();
    assert!(joined.is_new);
    assert_eq!(scene.learners(ZOE).await, [(joined.learner, true)]);
    scene.signed_in("acme", ZOE, OLD).await;
    assert!(matches!(create(&scene, "globex", ZOE).await, Err(JoinError::AccountExists)));
    assert_eq!(scene.told("acme").await, ["learner.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_learner_who_has_the_address_gets_the_account() {
    let scene = Scene::start().await;
    let learner = scene.sso_learner("acme", ZOE).await;
    let joined = create(&scene, "acme", ZOE).await.unwrap();
    assert_eq!((joined.learner, joined.is_new), (learner, false));
    scene.signed_in("acme", ZOE, OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_joins_another_client_once() {
    let scene = Scene::start().await;
    create(&scene, "acme", ZOE).await.unwrap();
    let (globex, account) = (scene.client("globex").await, account(&scene).await);
    let first = join(&scene, &globex, account).await.unwrap();
    let again = join(&scene, &globex, account).await.unwrap();
    assert_eq!((first.is_new, again.is_new, first.learner), (true, false, again.learner));
    scene.signed_in("globex", ZOE, OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_join_at_once_are_one_learner() {
    let scene = Scene::start().await;
    create(&scene, "acme", ZOE).await.unwrap();
    let (globex, account) = (scene.client("globex").await, account(&scene).await);
    let joins = (0..4).map(|_| join(&scene, &globex, account));
    let joined: Vec<Joined> = futures_util::future::join_all(joins).await.into_iter().map(Result::unwrap).collect();
    assert!(joined.iter().all(|one| one.learner == joined[0].learner));
    assert_eq!(joined.iter().filter(|one| one.is_new).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_invites_accepted_at_once_make_one_account() {
    let scene = Scene::start().await;
    let (one, other) = tokio::join!(create(&scene, "acme", ZOE), create(&scene, "acme", ZOE));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
    assert_eq!(scene.learners(ZOE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_learner_and_one_of_another_account_are_not_joined() {
    let scene = Scene::start().await;
    let learner = scene.sso_learner("acme", ZOE).await;
    scene.suspend("acme", learner).await;
    assert!(matches!(create(&scene, "acme", ZOE).await, Err(JoinError::Suspended)));
    assert_eq!(scene.count("select count(*) from accounts").await, 0, "nothing is left of it");
    create(&scene, "acme", "old@acme.example").await.unwrap();
    sqlx::query("update accounts set email = 'new@acme.example', email_key = 'new@acme.example'")
        .execute(&scene.app.db)
        .await
        .unwrap();
    assert!(matches!(create(&scene, "acme", "old@acme.example").await, Err(JoinError::Taken)));
    scene.sign_in(&scene.app.browser(), "acme", "old@acme.example", NEW).await.expect(422);
}
