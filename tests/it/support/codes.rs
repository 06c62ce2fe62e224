//! Codes as the redeem page finds them, put straight into PostgreSQL with whatever terms a test wants.

use chrono::{DateTime, Utc};
use usher::{db::Db, entropy::Entropy};
use uuid::Uuid;

use super::App;

/// A code about to be made.
#[derive(Debug, Clone)]
pub struct Code {
    text: String,
    kind: &'static str,
    sublicenses: Vec<&'static str>,
    most: Option<i32>,
    starts_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    domains: Vec<String>,
    active: bool,
}

impl Code {
    /// A registration code that opens these sublicenses, without limits.
    pub fn registration(text: &str, sublicenses: &[&'static str]) -> Self {
        Self {
            text: text.into(),
            kind: "registration",
            sublicenses: sublicenses.to_vec(),
            most: None,
            starts_at: None,
            expires_at: None,
            domains: Vec::new(),
            active: true,
        }
    }

    /// A redemption code, in a batch of its own.
    pub fn redemption(text: &str, sublicenses: &[&'static str]) -> Self {
        Self { kind: "redemption", ..Self::registration(text, sublicenses) }
    }

    pub fn most(self, most: i32) -> Self {
        Self { most: Some(most), ..self }
    }

    pub fn starts_at(self, at: DateTime<Utc>) -> Self {
        Self { starts_at: Some(at), ..self }
    }

    pub fn expires_at(self, at: DateTime<Utc>) -> Self {
        Self { expires_at: Some(at), ..self }
    }

    pub fn domain(self, domain: &str) -> Self {
        Self { domains: vec![domain.into()], ..self }
    }

    pub fn disabled(self) -> Self {
        Self { active: false, ..self }
    }

    /// Makes it in a client.
    pub async fn make(self, app: &App, slug: &str) -> Uuid {
        let client: Uuid = sqlx::query_scalar("select client_id from slugs where slug = $1")
            .bind(slug)
            .fetch_one(&app.db)
            .await
            .unwrap();
        let id: Uuid = Entropy::default().id::<usher::ids::EventId>(app.clock.now()).uuid();
        let code = if self.kind == "registration" { id } else { Uuid::from_u128(id.as_u128() ^ 1) };
        sqlx::query(
            "insert into code_offers (client_id, id, kind, label, starts_at, expires_at, email_domains, active,
                                      max_redemptions, codes_total, created_at, updated_at)
             values ($1, $2, $3, 'a test', $4, $5, $6, $7, $8, 1, $9, $9)",
        )
        .bind(client)
        .bind(id)
        .bind(self.kind)
        .bind(self.starts_at)
        .bind(self.expires_at)
        .bind(&self.domains)
        .bind(self.active)
        .bind(self.most)
        .bind(app.clock.now())
        .execute(&app.db)
        .await
        .unwrap();
        for slug in &self.sublicenses {
            sqlx::query(
                "insert into code_offer_sublicenses (client_id, offer_id, sublicense_id)
                 select $1, $2, id from sublicenses where client_id = $1 and slug = $3",
            )
            .bind(client)
            .bind(id)
            .bind(slug)
            .execute(&app.db)
            .await
            .unwrap();
        }
        let key: String =
            self.text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect();
        sqlx::query("insert into codes (client_id, id, offer_id, key, text) values ($1, $2, $3, $4, $5)")
            .bind(client)
            .bind(code)
            .bind(id)
            .bind(key)
            .bind(&self.text)
            .execute(&app.db)
            .await
            .unwrap();
        id
    }
}

/// How often codes were redeemed, of all clients together.
pub async fn redemptions(db: &Db) -> i64 {
    sqlx::query_scalar("select count(*) from redemptions where undone_at is null").fetch_one(db).await.unwrap()
}

/// How many learners there are, of all clients together.
pub async fn learners(db: &Db) -> i64 {
    sqlx::query_scalar("select count(*) from learners").fetch_one(db).await.unwrap()
}
