//! Leads from a kind of sealed values to the statements of the domain that owns them.

use sqlx::PgConnection;

use super::model::Part;
use crate::{
    connections,
    crypto::{SealedPage, SealedQuery, SealedValue},
    fault::Fault,
    login, mail,
};

/// Some rows, with what is sealed in them.
pub async fn page(conn: &mut PgConnection, part: Part, query: &SealedQuery) -> Result<SealedPage, Fault> {
    match part {
        Part::Connections => connections::store_sealed::page(conn, query).await,
        Part::Claims => login::store_sealed::page(conn, query).await,
        Part::Links => mail::store_sealed::page(conn, query).await,
    }
}

/// Writes values sealed anew over those that are still as they were read; says how many.
pub async fn seal_anew(conn: &mut PgConnection, part: Part, values: &[(SealedValue, Vec<u8>)]) -> Result<u64, Fault> {
    if values.is_empty() {
        return Ok(0);
    }
    match part {
        Part::Connections => connections::store_sealed::seal_anew(conn, values).await,
        Part::Claims => login::store_sealed::seal_anew(conn, values).await,
        Part::Links => mail::store_sealed::seal_anew(conn, values).await,
    }
}
