//! Who holds a link, and how they may accept: read, and nothing changed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    link::Link,
    model::InviteStatus,
    store_accept::{self as store, Acceptor, Offered},
};
use crate::{
    accounts,
    clients::ClientFacts,
    connections::{self, ConnectionSummary},
    fault::Fault,
    http::text,
    ids::{ClientId, LearnerId},
};

/// What a link leads to.
pub(super) enum Met {
    /// Never made, or another client's.
    Unknown,
    /// A newer link replaces it.
    Replaced,
    Accepted(Offered),
    Expired,
    Revoked,
    Open(Offered),
}

/// Finds what a link leads to at `now`.
pub(super) async fn meet(
    conn: &mut PgConnection,
    client: ClientId,
    link: &Link,
    now: DateTime<Utc>,
) -> Result<Met, Fault> {
    let Some((offered, is_replaced)) = store::by_link(conn, client, link).await? else { return Ok(Met::Unknown) };
    Ok(match offered.status.at(offered.expires_at, now) {
        InviteStatus::Accepted => Met::Accepted(offered),
        InviteStatus::Expired => Met::Expired,
        InviteStatus::Revoked => Met::Revoked,
        _ if is_replaced => Met::Replaced,
        _ => Met::Open(offered),
    })
}

/// Who is signed in, as far as the invite is concerned.
pub(super) enum Visitor {
    /// Nobody; or somebody whose address is the invited one and was never proved, which the link does anew.
    Nobody,
    /// Their own address is shown.
    Invited(String),
    Somebody {
        person: String,
        /// Whether the client's setting lets them accept for themselves.
        may_accept: bool,
    },
}

/// Finds who a session's learner is to the invite.
pub(super) async fn visitor(
    conn: &mut PgConnection,
    client: ClientId,
    session: Option<LearnerId>,
    offered: &Offered,
) -> Result<Visitor, Fault> {
    let Some(learner) = session else { return Ok(Visitor::Nobody) };
    let Some(acceptor) = store::acceptor(conn, client, learner).await? else { return Ok(Visitor::Nobody) };
    let is_same = acceptor.email_key.as_deref() == Some(offered.email_key.as_str());
    let Acceptor { email, is_verified, is_of_the_client, .. } = acceptor;
    let person = email.unwrap_or_else(|| text::dashboard::NO_EMAIL.to_lowercase());
    Ok(match (is_same, is_verified) {
        (true, true) => Visitor::Invited(person),
        (true, false) => Visitor::Nobody,
        (false, _) => Visitor::Somebody { person, may_accept: is_of_the_client },
    })
}

/// How somebody who is not signed in may accept.
pub(super) enum Doors {
    /// Single sign-on only: the client enforces it, or it owns the address's domain.
    Sso(Vec<ConnectionSummary>),
    /// A password: the account's where there is one, else a new one; or single sign-on.
    Password {
        has_account: bool,
        also: Vec<ConnectionSummary>,
    },
    None,
}

/// Finds the ways in for the invited address.
pub(super) async fn doors(conn: &mut PgConnection, client: &ClientFacts, offered: &Offered) -> Result<Doors, Fault> {
    let routed = connections::for_email(conn, client.id, &offered.email).await?;
    let is_owned = routed.iter().any(|connection| !connection.domains.is_empty());
    if is_owned {
        return Ok(Doors::Sso(routed));
    }
    if client.sso_required || !client.password_login {
        let any = connections::for_landing(conn, client.id).await?;
        return Ok(if any.is_empty() { Doors::None } else { Doors::Sso(any) });
    }
    Ok(Doors::Password { has_account: accounts::exists(conn, &offered.email_key).await?, also: routed })
}
