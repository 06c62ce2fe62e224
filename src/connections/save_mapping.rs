//! A new version of a connection's mapping: checked whole, written beside the earlier ones, in force at once.

use serde_json::{Value, json};

use super::{
    model::Status,
    save::{self, By},
    store_clients, store_mappings,
};
use crate::{
    app::App,
    claims::{Mapping, MappingError},
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// The largest mapping, as JSON.
pub const MAX_RULES_BYTES: usize = 256 * 1024;

/// Why a mapping was not saved.
#[derive(Debug, thiserror::Error)]
pub enum MappingSaveError {
    #[error("there is no such connection")]
    NotFound,
    /// Somebody else saved since the caller looked; the version in force.
    #[error("version {0} of the mapping is in force")]
    Conflict(i32),
    #[error("the connection serves several clients, so that its mapping is an operator's")]
    OperatorOnly,
    #[error("the rules do not hold together")]
    Invalid(Vec<MappingError>),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for MappingSaveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Saves rules as the next version; `expected` is the version that the caller had seen, where they say so.
pub async fn save_mapping(
    app: &App,
    client: ClientId,
    id: ConnectionId,
    rules: &Value,
    expected: Option<i32>,
    by: By<'_>,
) -> Result<i32, MappingSaveError> {
    let mapping = read_mapping(rules).map_err(MappingSaveError::Invalid)?;
    let compiled = mapping.compile().map_err(MappingSaveError::Invalid)?;
    let mut transaction = app.db.begin().await?;
    let (current, status) =
        store_mappings::lock_mapping(&mut transaction, client, id).await?.ok_or(MappingSaveError::NotFound)?;
    let served = store_clients::served(&mut transaction, client, id).await?;
    let is_shared = served.iter().any(|(_, is_listed)| *is_listed);
    if is_shared && !by.is_operator {
        return Err(MappingSaveError::OperatorOnly);
    }
    if status == Status::Active
        && let Some(error) = misfit(is_shared, compiled.chooses_client())
    {
        return Err(MappingSaveError::Invalid(vec![error]));
    }
    if expected.is_some_and(|expected| expected != current) {
        return Err(MappingSaveError::Conflict(current));
    }
    let sublicenses = {
        let clients: Vec<_> = served.iter().map(|(client, _)| client.uuid()).collect();
        store_mappings::sublicenses(&mut transaction, &clients).await?
    };
    let unknown = compiled
        .named_sublicenses()
        .into_iter()
        .filter(|(_, slug)| !sublicenses.iter().any(|sublicense| sublicense.slug.eq_ignore_ascii_case(slug)));
    let unknown: Vec<MappingError> = unknown
        .map(|(path, slug)| MappingError {
            path,
            code: "mapping.unknown_sublicense",
            message: match is_shared {
                true => format!("none of the connection's clients has a sublicense `{slug}`"),
                false => format!("this client has no sublicense `{slug}`"),
            },
        })
        .collect();
    if !unknown.is_empty() {
        return Err(MappingSaveError::Invalid(unknown));
    }
    let version = current.saturating_add(1);
    let rules = serde_json::to_value(&mapping).map_err(Fault::from)?;
    let author = by.actor.id().unwrap_or_else(|| by.actor.kind().to_owned());
    store_mappings::insert_mapping(&mut transaction, client, id, version, &rules, &author, by.now).await?;
    store_mappings::use_mapping(&mut transaction, client, id, version, by.now).await?;
    let facts = json!({ "version": version });
    save::record(&mut transaction, app, client, id, "connection.mapping_saved", facts, by).await?;
    transaction.commit().await?;
    app.connections.forget(id).await;
    Ok(version)
}

/// What is wrong with rules that choose a client, or leave it open, on an active connection.
fn misfit(is_shared: bool, chooses: bool) -> Option<MappingError> {
    let (code, message) = match (is_shared, chooses) {
        (true, false) => (
            "mapping.client_missing",
            "the connection serves several clients: say with `client` which claim names the person's",
        ),
        (false, true) => (
            "mapping.client_not_shared",
            "this connection serves one client: leave `client` out, or have an operator list the clients that it may choose, while the connection is a draft or disabled",
        ),
        _ => return None,
    };
    Some(MappingError { path: "/client".to_owned(), code, message: message.to_owned() })
}

/// Reads rules as typed.
pub fn read_mapping(rules: &Value) -> Result<Mapping, Vec<MappingError>> {
    if rules.to_string().len() > MAX_RULES_BYTES {
        let message = format!("a mapping has at most {MAX_RULES_BYTES} bytes");
        return Err(vec![MappingError { path: String::new(), code: "mapping.too_large", message }]);
    }
    Mapping::parse(rules)
}
