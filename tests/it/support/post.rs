//! A gateway with a client whose mails go to a test's mail server.

use chrono::Utc;
use serde_json::{Value, json};
use usher::{
    admin,
    ids::{ClientId, MailId},
    mail::{self, MailKind, NewMail},
};

use super::{Admin, App, Options, Smtp};

/// The path of the link in the mails of this scene, below the client's site; what must not be seen where links must not be.
pub const LINK: &str = "/invites/wqJHnVZ0c2VjcmV0LWxpbmstdG9rZW4";

/// A gateway, a client `acme`, and a mail server.
pub struct Post {
    pub app: App,
    pub operator: Admin,
    pub client: ClientId,
    pub smtp: Smtp,
}

impl Post {
    pub async fn start(smtp: Smtp) -> Self {
        Self::with(App::with(), smtp, |_| {}).await
    }

    /// The clock stands still until a test moves it. `change` comes after the settings that name the server.
    pub async fn with(options: Options, smtp: Smtp, change: impl Fn(&mut usher::config::Raw) + Send + 'static) -> Self {
        let url = smtp.url("");
        let options = options.clock_at(Utc::now()).settings(move |raw| {
            raw.mail.url = url.clone().into();
            raw.mail.from = Some("no-reply@learn.example".into());
            change(raw);
        });
        let app = options.start().await;
        let operator = app.operator().await;
        operator.post("/api/v1/clients", json!({ "slug": "acme", "name": "Acme Academy" })).await.ok();
        let client = admin::find_client(&app.db, "acme").await.unwrap().unwrap();
        Self { app, operator, client, smtp }
    }

    /// Queues a mail with a link.
    pub async fn queue(&self, kind: MailKind, to: &str, values: Value) -> MailId {
        self.queue_for(self.client, kind, to, "Ada Lovelace", values).await
    }

    pub async fn queue_for(&self, client: ClientId, kind: MailKind, to: &str, name: &str, values: Value) -> MailId {
        let mail = NewMail { kind, to, to_name: name, locale: None, path: Some(LINK.into()), values, about: None };
        let mut transaction = self.app.begin().await.unwrap();
        let id = mail::queue(&mut transaction, &self.app, client, mail, self.app.clock.now()).await.unwrap();
        self.app.commit(transaction).await.unwrap();
        id
    }

    /// An invite to this address.
    pub async fn invite(&self, to: &str) -> MailId {
        self.queue(MailKind::Invite, to, json!({})).await
    }

    /// Sends what is due.
    pub async fn deliver(&self) -> usize {
        Box::pin(mail::deliver_due(&self.app)).await.unwrap()
    }

    /// A mail as the API shows it.
    pub async fn see(&self, id: MailId) -> Value {
        self.operator.get(&format!("/api/v1/clients/acme/mail/{id}")).await.ok()
    }

    /// Its status and its answer.
    pub async fn fate(&self, id: MailId) -> (String, Option<String>) {
        let mail = self.see(id).await;
        (mail["status"].as_str().unwrap().to_owned(), mail["answer"].as_str().map(str::to_owned))
    }

    /// Whether its sealed link is still there, and reads as nothing.
    pub async fn has_link(&self, id: MailId) -> bool {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("select link_sealed from mails where id = $1")
            .bind(id.uuid())
            .fetch_one(&self.app.db)
            .await
            .unwrap();
        let sealed = sealed.unwrap_or_default();
        assert!(!String::from_utf8_lossy(&sealed).contains("acme"), "the link is sealed");
        !sealed.is_empty()
    }
}
