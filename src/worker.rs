//! What a replica does beside serving: every replica does the same, and claims work in PostgreSQL where only one may.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{app::App, jobs};

/// Histograms are folded this often, so that an unscraped replica does not grow.
const METRICS_FOLD: Duration = Duration::from_secs(5);

/// Runs until `stop`, and returns when everything has come to a good end.
pub async fn run(app: App, stop: CancellationToken) {
    let mut parts = JoinSet::new();
    parts.spawn(fold_metrics(app.clone(), stop.clone()));
    parts.spawn(jobs::run(app, stop));
    while let Some(ended) = parts.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the worker ended unexpectedly");
        }
    }
}

async fn fold_metrics(app: App, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(METRICS_FOLD);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        app.metrics.run_upkeep();
    }
}
