//! The one state that every handler takes: settings, time, chance, and the few long-lived parts.

use std::{
    ops::Deref,
    sync::{Arc, atomic::AtomicBool},
};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    access, accounts,
    cache::Cache,
    clients,
    clock::Clock,
    codes,
    config::Settings,
    connections,
    crypto::Sealer,
    db::{Db, Reading},
    entropy::Entropy,
    fault::Fault,
    ids::ClientId,
    invites,
    login::record::Recorder,
    mail::{self, MailOutcome},
    outbound::Outbound,
    work::Bounded,
};

/// Cheap to clone; the same for every request of the process.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What [`App`] holds.
pub struct Parts {
    pub settings: Settings,
    pub clock: Clock,
    pub entropy: Entropy,
    pub sealer: Sealer,
    pub db: Db,
    pub cache: Cache,
    pub outbound: Outbound,
    pub clients: clients::Directory,
    pub connections: connections::Directory,
    /// The keys of OpenID providers.
    pub key_sets: connections::jwks::KeySets,
    /// Where passwords are hashed.
    pub passwords: accounts::Passwords,
    /// Where XML signatures are verified.
    pub verify: Bounded,
    /// Where uploaded pictures are decoded.
    pub pictures: Bounded,
    pub recorder: Recorder,
    /// Redemptions that wait for each other's transaction.
    pub redemptions: codes::Line,
    /// The way to the mail server.
    pub carrier: mail::Carrier,
    /// Who is told, in their transactions, that an address was proved and that two records become one.
    pub proofs: accounts::ProofListeners,
    /// Who is told what became of a mail.
    pub mail_listener: mail::Listener,
    pub metrics: PrometheusHandle,
    /// Set when the process was asked to stop: it finishes what it has and takes no more.
    pub draining: AtomicBool,
}

impl App {
    /// Puts the parts together, inside a tokio runtime. Connects to nothing yet: PostgreSQL and Redis may come later.
    pub fn new(settings: Settings, clock: Clock, metrics: PrometheusHandle) -> Result<Self, Fault> {
        let sealer = Sealer::new(&settings.sealing_keys)?;
        let db = Db::new(&settings.database)?;
        let cache = Cache::connect(&settings.redis)?;
        let outbound = Outbound::new(&settings.outbound)?;
        let verify = Bounded::new("signatures", settings.login.verify_threads, settings.login.verify_queue);
        let passwords = accounts::Passwords::new(&settings.accounts)?;
        let recorder = Recorder::start(db.clone());
        let carrier = mail::Carrier::new(&settings.mail)?;
        Ok(Self(Arc::new(Parts {
            settings,
            clock,
            entropy: Entropy::default(),
            sealer,
            db,
            cache,
            outbound,
            clients: clients::Directory::default(),
            connections: connections::Directory::default(),
            key_sets: connections::jwks::KeySets::default(),
            passwords,
            verify,
            pictures: Bounded::new("pictures", 1, 8),
            recorder,
            redemptions: codes::Line::default(),
            carrier,
            proofs: accounts::ProofListeners { merging, address_proved },
            mail_listener: mail_heard,
            metrics,
            draining: AtomicBool::new(false),
        })))
    }

    /// A connection to PostgreSQL to read by.
    pub async fn acquire(&self) -> Result<Reading, Fault> {
        Ok(self.db.acquire().await?)
    }

    /// A transaction; it rolls back unless [`App::commit`] is called.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, Fault> {
        Ok(self.db.begin().await?)
    }

    /// Makes a transaction's changes true.
    pub async fn commit(&self, transaction: Transaction<'static, Postgres>) -> Result<(), Fault> {
        Ok(transaction.commit().await?)
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Tells each domain what became of a mail about something of its own.
fn mail_heard<'a>(
    conn: &'a mut PgConnection,
    entropy: &'a Entropy,
    client: ClientId,
    about: &'a str,
    outcome: MailOutcome,
    now: DateTime<Utc>,
) -> BoxFuture<'a, Result<(), Fault>> {
    Box::pin(invites::mail_heard(conn, entropy, client, about, outcome, now))
}

/// Tells each domain that one learner's record is about to become part of another's.
fn merging<'a>(
    app: &'a App,
    conn: &'a mut PgConnection,
    merging: &'a accounts::Merging,
) -> BoxFuture<'a, Result<(), Fault>> {
    let accounts::Merging { client, from, to, by, now } = merging;
    Box::pin(codes::give_back_on_merge(conn, &app.entropy, client.id, *from, *to, by, *now))
}

/// Tells each domain that a learner has proved their address.
fn address_proved<'a>(
    app: &'a App,
    conn: &'a mut PgConnection,
    proved: &'a accounts::AddressProved,
) -> BoxFuture<'a, Result<(), Fault>> {
    Box::pin(async move {
        let accounts::AddressProved { client, learner, email, by, now } = proved;
        codes::redeem_waiting(conn, &app.entropy, client, *learner, email.clone(), by.clone(), *now).await?;
        invites::consume_by_address(conn, &app.entropy, client.id, *learner, email.key(), by, *now).await?;
        access::claim(conn, &app.entropy, client.id, *learner, email.key(), by, *now).await?;
        Ok(())
    })
}
