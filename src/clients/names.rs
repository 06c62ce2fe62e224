//! What callers of the API name a client's sublicenses by: the id or the slug.

use sqlx::PgConnection;
use uuid::Uuid;

use super::store_sublicenses as store;
use crate::{
    admin::Invalid,
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// The sublicenses that the field `sublicenses` of a request names, each once; or which of the names are none of this
/// client's.
pub async fn sublicenses_named(
    conn: &mut PgConnection,
    client: ClientId,
    names: &[String],
) -> Result<Result<Vec<SublicenseId>, Invalid>, Fault> {
    let ids: Vec<Uuid> = names.iter().filter_map(|name| id(name)).map(SublicenseId::uuid).collect();
    let known = store::named(conn, client, &ids, names).await?;
    let mut found = Vec::with_capacity(names.len());
    let mut invalid = Invalid::default();
    for (index, name) in names.iter().enumerate() {
        match known.iter().find(|(known, slug)| slug == name || Some(*known) == id(name)) {
            Some((known, _)) => found.push(*known),
            None => {
                let detail = "this client has no such sublicense";
                invalid.push("sublicense.unknown", format!("/sublicenses/{index}"), detail);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(invalid.finish().map(|()| found))
}

/// The sublicense that one id or slug names.
pub async fn sublicense_named(
    conn: &mut PgConnection,
    client: ClientId,
    name: &str,
) -> Result<Option<SublicenseId>, Fault> {
    let ids: Vec<Uuid> = id(name).map(SublicenseId::uuid).into_iter().collect();
    let known = store::named(conn, client, &ids, &[name.to_owned()]).await?;
    Ok(known.first().map(|(known, _)| *known))
}

fn id(name: &str) -> Option<SublicenseId> {
    name.parse().ok()
}
