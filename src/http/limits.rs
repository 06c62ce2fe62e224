//! Rates per address and per client, counted in Redis so that every replica counts the same.

use super::{ClientAddress, Problem};
use crate::{
    app::App,
    cache::{Allowance, Key},
    fault::Fault,
    ids::ClientId,
};
use axum::http::StatusCode;

/// Takes one sign-in request from the address's and the client's rate; one round trip. A flood at one client leaves the
/// others alone.
pub async fn sign_in(app: &App, address: ClientAddress, client: ClientId) -> Result<(), Problem> {
    let limits = &app.settings.limits;
    let by_address = Key::global("sign-in-address", address.limit_unit());
    let by_client = Key::of_client(client, "sign-in", "all");
    let (of_address, of_client) = tokio::try_join!(
        app.cache.allow(&by_address, limits.sign_in_per_address),
        app.cache.allow(&by_client, limits.sign_in_per_client),
    )
    .map_err(Fault::from)?;
    let waits = [of_address, of_client].into_iter().filter_map(|allowance| match allowance {
        Allowance::Allowed => None,
        Allowance::RetryAfter(wait) => Some(wait),
    });
    match waits.max() {
        None => Ok(()),
        Some(wait) => Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many sign-ins at once. Wait a moment and try again.",
        )
        .retry_after(wait)),
    }
}
