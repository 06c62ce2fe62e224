//! Redemptions of one client that arrive together are committed together. Each client has a line in the process: the
//! first order that finds nobody serving starts a task that serves up to a batch at once, again and again, until the
//! line is empty; meanwhile others queue up. Clients take turns. Whoever waits hears of success only after the commit.
//!
//! Lines are bounded, hold nothing that a retry would not bring again, and are no truth: replicas meet in PostgreSQL.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, oneshot};

use super::{
    model::{CodeOutcome, RedeemOrder},
    redeem::{self, CHANGED},
};
use crate::{app::App, fault::Fault, ids::ClientId};

/// Orders that may wait for one client.
const PER_CLIENT: usize = 2000;
/// Orders that may wait in the whole process.
const IN_ALL: usize = 20_000;
/// Orders in one transaction.
const BATCH: usize = 256;
/// Transactions at once, of all clients: redemptions leave most of the pool to everything else.
const AT_ONCE: usize = 4;
/// How often a batch that met a change or a deadlock is tried again as a whole.
const ROUNDS: usize = 3;

type Outcome = Result<Vec<CodeOutcome>, Fault>;

struct Waiting {
    order: RedeemOrder,
    reply: oneshot::Sender<Outcome>,
}

/// The lines of all clients.
pub struct Line {
    lines: Mutex<Lines>,
    turns: Semaphore,
}

#[derive(Default)]
struct Lines {
    /// A client is here exactly while somebody serves it.
    of_client: HashMap<ClientId, VecDeque<Waiting>>,
    count: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { lines: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Line {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the line; whether somebody must start to serve it.
    fn join(&self, waiting: Waiting) -> Result<bool, Fault> {
        let mut lines = self.lines();
        let client = waiting.order.client_id();
        let is_full = lines.of_client.get(&client).is_some_and(|line| line.len() >= PER_CLIENT);
        if is_full || lines.count >= IN_ALL {
            return Err(Fault::Busy("redemptions"));
        }
        lines.count += 1;
        let leads = !lines.of_client.contains_key(&client);
        lines.of_client.entry(client).or_default().push_back(waiting);
        Ok(leads)
    }

    /// The next batch; the line is closed where there is none.
    fn take(&self, client: ClientId) -> Vec<Waiting> {
        let mut lines = self.lines();
        let Some(line) = lines.of_client.get_mut(&client) else { return Vec::new() };
        let batch: Vec<Waiting> = line.drain(..line.len().min(BATCH)).collect();
        if batch.is_empty() {
            lines.of_client.remove(&client);
        }
        lines.count -= batch.len();
        batch
    }
}

/// Closes the line when whoever serves it is gone, so that nobody waits for nobody.
struct Serving<'a> {
    line: &'a Line,
    client: ClientId,
    /// Set when the line was closed in order; somebody else may have opened it anew since.
    is_over: bool,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut lines = self.line.lines();
        if let Some(left) = lines.of_client.remove(&self.client) {
            lines.count -= left.len();
        }
    }
}

/// Redeems a learner's codes together with whatever else is redeemed at the client just now; returns when it is
/// committed. An order that was once in line is carried out even if whoever sent it goes away.
pub async fn redeem(app: &App, order: RedeemOrder) -> Outcome {
    let client = order.client_id();
    let (reply, outcome) = oneshot::channel();
    if app.redemptions.join(Waiting { order, reply })? {
        tokio::spawn(lead(app.clone(), client));
    }
    outcome.await.unwrap_or(Err(Fault::Busy("redemptions")))
}

async fn lead(app: App, client: ClientId) {
    let mut serving = Serving { line: &app.redemptions, client, is_over: false };
    loop {
        // The turn first: while waiting for it the line grows, and the batch with it.
        let Ok(turn) = app.redemptions.turns.acquire().await else { return };
        let batch = app.redemptions.take(client);
        if batch.is_empty() {
            serving.is_over = true;
            return;
        }
        metrics::histogram!("usher_redemptions_in_batch").record(u32::try_from(batch.len()).map_or(0.0, f64::from));
        let (orders, replies): (Vec<RedeemOrder>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.order, waiting.reply)).unzip();
        for (reply, outcome) in replies.into_iter().zip(all(&app, &orders).await) {
            // Whoever waited may have gone away; the redemption stands all the same.
            let _gone = reply.send(outcome);
        }
        drop(turn);
    }
}

/// Serves a batch: together, or one by one where together does not go.
async fn all(app: &App, orders: &[RedeemOrder]) -> Vec<Outcome> {
    let together: Vec<&RedeemOrder> = orders.iter().collect();
    match committed(app, &together).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(fault) if orders.len() == 1 || is_away(&fault) => {
            tracing::warn!(error = %fault, redemptions = orders.len(), "redemptions were not committed");
            let others = orders.iter().skip(1).map(|_| Err(Fault::Busy("redemptions")));
            std::iter::once(Err(fault)).chain(others).collect()
        }
        Err(fault) => {
            tracing::error!(error = %fault, redemptions = orders.len(), "a batch of redemptions is served one by one");
            let mut outcomes = Vec::with_capacity(orders.len());
            for order in orders {
                let alone = committed(app, &[order]).await;
                outcomes.push(alone.map(|mut outcomes| outcomes.pop().unwrap_or_default()));
            }
            outcomes
        }
    }
}

/// One transaction.
async fn committed(app: &App, orders: &[&RedeemOrder]) -> Result<Vec<Vec<CodeOutcome>>, Fault> {
    let Some(now) = orders.iter().map(|order| order.now).max() else { return Ok(Vec::new()) };
    let mut round = 1;
    loop {
        let mut transaction = app.begin().await?;
        let served = redeem::serve(&mut transaction, &app.entropy, orders, now).await;
        match served {
            Ok(outcomes) => {
                app.commit(transaction).await?;
                return Ok(outcomes);
            }
            Err(fault) if round < ROUNDS && may_go_better(&fault) => round += 1,
            Err(fault) => return Err(fault),
        }
    }
}

/// Whether the same batch may go through when tried again at once.
fn may_go_better(fault: &Fault) -> bool {
    match fault {
        Fault::Busy(why) => *why == CHANGED,
        fault => fault.is_conflict(),
    }
}

/// Whether no order would go through now.
fn is_away(fault: &Fault) -> bool {
    fault.is_passing() && !matches!(fault, Fault::Busy(why) if *why == CHANGED)
}
