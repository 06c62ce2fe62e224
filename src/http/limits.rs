//! Rates per address and per client, counted in Redis so that every replica counts the same.

use super::{ClientAddress, Problem};
use crate::{
    app::App,
    cache::{Allowance, Key},
    fault::Fault,
    ids::ClientId,
};
use axum::http::StatusCode;

/// Takes one sign-in request from the address's rate, and then from the client's: what one address sends beyond its own
/// rate costs the client nothing, so that one machine cannot close a client's sign-in.
pub async fn sign_in(app: &App, address: ClientAddress, client: ClientId) -> Result<(), Problem> {
    of_address(app, address).await?;
    of_client(app, client).await
}

/// Takes one from the address's rate.
pub async fn of_address(app: &App, address: ClientAddress) -> Result<(), Problem> {
    let key = Key::global("sign-in-address", address.limit_unit());
    verdict(app.cache.allow(&key, app.settings.limits.sign_in_per_address).await.map_err(Fault::from)?)
}

/// Takes one from the client's rate. A return that fits a pending attempt is not charged: its start was.
pub async fn of_client(app: &App, client: ClientId) -> Result<(), Problem> {
    let key = Key::of_client(client, "sign-in", "all");
    verdict(app.cache.allow(&key, app.settings.limits.sign_in_per_client).await.map_err(Fault::from)?)
}

/// Takes one new learner with a password from the address's rate. Only whoever holds a genuine code comes this far.
pub async fn sign_up(app: &App, address: ClientAddress) -> Result<(), Problem> {
    let key = Key::global("sign-up-address", address.limit_unit());
    verdict(app.cache.allow(&key, app.settings.limits.sign_ups_per_address).await.map_err(Fault::from)?)
}

/// Too many wrong codes.
pub fn slowed(wait: std::time::Duration) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "codes.slowed",
        "Too many codes that do not work. Wait, then try again.",
    )
    .retry_after(wait)
}

fn verdict(allowance: Allowance) -> Result<(), Problem> {
    match allowance {
        Allowance::Allowed => Ok(()),
        Allowance::RetryAfter(wait) => Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many sign-ins at once. Wait a moment and try again.",
        )
        .retry_after(wait)),
    }
}
