//! The same sign-up sent once more: whether whoever sends it has the password of the learner that it made.

use secrecy::SecretString;

use super::{passwords, store};
use crate::{
    app::App,
    fault::Fault,
    ids::{ClientId, LearnerId},
};

/// Whether this is the password that a provisional learner chose. Call it only where something else shows that they sent
/// it before: guessing is not slowed here.
pub async fn is_provisional_password(
    app: &App,
    client: ClientId,
    learner: LearnerId,
    password: &SecretString,
) -> Result<bool, Fault> {
    let hash = store::provisional_password(&mut *app.acquire().await?, client, learner).await?;
    Ok(passwords::verify(app, vec![hash], password).await?.is_some())
}
