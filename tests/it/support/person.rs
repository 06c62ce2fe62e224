//! Somebody who is signed in, without an identity provider.

use chrono::Duration;
use usher::{
    ids::{ClientId, ConnectionId, LearnerId},
    sessions::{self, Beginning, IdpSession, Session, StartedBy},
};
use uuid::Uuid;

use super::{App, Browser};

/// Makes a learner with this verified address in a client, and a browser in which they are signed in as by single
/// sign-on.
pub async fn sign_in(app: &App, slug: &str, email: &str) -> (Browser, LearnerId) {
    let client: Uuid =
        sqlx::query_scalar("select client_id from slugs where slug = $1").bind(slug).fetch_one(&app.db).await.unwrap();
    let (client, now) = (ClientId::from(client), app.clock.now());
    let learner: LearnerId = app.entropy.id(now);
    sqlx::query(
        "insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, last_name, created_at, updated_at)
         values ($1, $2, $2, $3, $3, true, 'Zoë', 'Müller', $4, $4)",
    )
    .bind(client.uuid())
    .bind(learner.uuid())
    .bind(email)
    .bind(now)
    .execute(&app.db)
    .await
    .unwrap();
    let session = Session {
        learner,
        epoch: 1,
        began_at: now,
        ends_at: now + Duration::hours(12),
        idp: Some(idp_session(app, client).await),
    };
    let idle = std::time::Duration::from_secs(3600);
    let beginning = Beginning { client, session: &session, idle, replaces: None };
    let token = sessions::begin(app, &beginning, now).await.unwrap().unwrap();
    let browser = app.browser();
    browser.set_cookie("localhost", &format!("usher_{client}"), token.expose());
    (browser, learner)
}

/// A session at the identity provider of an active connection of this client, which is made for it.
pub async fn idp_session(app: &App, client: ClientId) -> IdpSession {
    let now = app.clock.now();
    let connection: ConnectionId = app.entropy.id(now);
    sqlx::query(
        "insert into connections (client_id, id, name, protocol, status, config, created_at, updated_at)
         values ($1, $2, 'One of the client', 'saml', 'active', '{}', $3, $3)",
    )
    .bind(client.uuid())
    .bind(connection.uuid())
    .bind(now)
    .execute(&app.db)
    .await
    .unwrap();
    let (owner, issuer, subject) = (client, "https://idp.example", "somebody");
    let by = StartedBy { owner, connection, issuer, subject, session: None, browser: None, issued_at: now, hint: None };
    IdpSession::seal(&app.sealer, &app.entropy, &by)
}
