//! An operator's word that an e-mail domain is a client's own, given and taken back. Only for such a domain may a
//! connection be trusted to name learners by their address.

use serde_json::json;
use sqlx::PgConnection;

use super::{Client, ClientError, domain, store};
use crate::{
    admin::{Author, Invalid},
    ids::ClientId,
};

fn own_domain(text: &str) -> Result<String, ClientError> {
    domain::own_domain(text).map_err(|why| Invalid::field(why.code(), "", why.detail()).into())
}

/// Vouches for a domain; one that the client did not name yet is added. Call it inside a transaction.
pub async fn vouch(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    domain: &str,
) -> Result<Client, ClientError> {
    let domain = own_domain(domain)?;
    if !store::lock(conn, client).await? {
        return Err(ClientError::NotFound);
    }
    if store::verify_domain(conn, client, &domain, &author.name(), author.now).await? {
        store::grow_version(conn, client, author.now).await?;
        let facts = json!({ "domain": domain });
        author.record(conn, client, "client.domain_vouched", client.to_string(), facts, None).await?;
    }
    store::find(conn, client, author.now).await?.ok_or(ClientError::NotFound)
}

/// Takes the word back: no connection of the client is trusted for the domain any more, from this moment on.
pub async fn unvouch(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    domain: &str,
) -> Result<(), ClientError> {
    let domain = own_domain(domain).map_err(|_| ClientError::NotFound)?;
    if !store::lock(conn, client).await? {
        return Err(ClientError::NotFound);
    }
    if store::unverify_domain(conn, client, &domain).await?.ok_or(ClientError::NotFound)? {
        let connections = store::withdraw_trust(conn, client, author.now).await?;
        store::grow_version(conn, client, author.now).await?;
        let facts = json!({ "domain": domain, "connections": connections });
        author.record(conn, client, "client.domain_unvouched", client.to_string(), facts, None).await?;
    }
    Ok(())
}
