//! Pictures and custom CSS of a client's look, stored as the gateway wrote them. Each function is called inside a
//! transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Branding, Client, ClientError, css,
    picture::{BrandFile, Part, ending},
    store, store_branding,
};
use crate::{
    admin::{Author, Invalid},
    audit::Values,
    fault::Fault,
    ids::ClientId,
};

/// Files of a look's past that stay, since mails of last month show them.
const KEEP: i64 = 20;

/// Makes an uploaded picture the client's logo or background.
pub async fn put_picture(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    part: Part,
    file: &BrandFile,
) -> Result<Client, ClientError> {
    let before = lock(conn, client, author.now).await?;
    store_branding::insert(conn, client, file, author.now).await?;
    let path = file.path(&before.slug);
    let after = change(conn, author, &before, part, Some(path)).await?;
    store_branding::prune(conn, client, &used(&after.branding), KEEP).await?;
    Ok(after)
}

/// Takes the logo or background away; the bytes of an uploaded one are gone for good.
pub async fn remove_picture(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    part: Part,
) -> Result<(), ClientError> {
    let before = lock(conn, client, author.now).await?;
    let Some(url) = field(&before.branding, part).clone() else { return Err(ClientError::NotFound) };
    let after = change(conn, author, &before, part, None).await?;
    if let Some(hash) = own_hash(&url, &before.slug)
        && !used(&after.branding).iter().any(|kept| kept == hash)
    {
        store_branding::delete(conn, client, hash).await?;
    }
    Ok(())
}

/// Checks that files of our own that a changed look names are there, and publishes custom CSS that has changed.
pub(super) async fn settle(
    conn: &mut PgConnection,
    before: &Branding,
    after: &mut Client,
    now: DateTime<Utc>,
) -> Result<(), ClientError> {
    for part in [Part::Logo, Part::Background] {
        let wanted = field(&after.branding, part);
        if wanted == field(before, part) {
            continue;
        }
        let Some(url) = wanted.as_ref().filter(|url| is_branding_path(url)) else { continue };
        let is_there = match own_hash(url, &after.slug) {
            Some(hash) => store_branding::has_picture(conn, after.id, hash).await?,
            None => false,
        };
        if !is_there {
            let pointer = format!("/branding/{}", part.field());
            return Err(Invalid::field("api.invalid", pointer, "this client has no such file; upload it first").into());
        }
    }
    if before.custom_css != after.branding.custom_css {
        after.branding.stylesheet_url = match &after.branding.custom_css {
            None => None,
            Some(source) => Some(publish(conn, after, source, now).await?),
        };
        store_branding::prune(conn, after.id, &used(&after.branding), KEEP).await?;
    }
    Ok(())
}

async fn publish(
    conn: &mut PgConnection,
    client: &Client,
    source: &str,
    now: DateTime<Utc>,
) -> Result<String, ClientError> {
    let sheet = css::compile(source).map_err(|troubles| css_invalid(&troubles))?;
    let file = BrandFile::new("text/css", sheet.into_bytes());
    store_branding::insert(conn, client.id, &file, now).await?;
    Ok(file.path(&client.slug))
}

/// What is wrong with custom CSS, each thing with its line and column.
pub(super) fn css_invalid(troubles: &[css::Trouble]) -> Invalid {
    let mut invalid = Invalid::default();
    for trouble in troubles {
        invalid.push("branding.css", "/branding/custom_css", trouble.to_string());
    }
    invalid
}

/// A file by the name in its path; `None` for any other name.
pub async fn find(conn: &mut PgConnection, client: ClientId, name: &str) -> Result<Option<(String, Vec<u8>)>, Fault> {
    let Some((hash, named)) = split(name) else { return Ok(None) };
    let found = store_branding::find(conn, client, hash).await?;
    Ok(found.filter(|(media_type, _)| ending(media_type) == Some(named)))
}

async fn lock(conn: &mut PgConnection, client: ClientId, now: DateTime<Utc>) -> Result<Client, ClientError> {
    if !store::lock(conn, client).await? {
        return Err(ClientError::NotFound);
    }
    store::find(conn, client, now).await?.ok_or(ClientError::NotFound)
}

async fn change(
    conn: &mut PgConnection,
    author: Author<'_>,
    before: &Client,
    part: Part,
    url: Option<String>,
) -> Result<Client, ClientError> {
    let mut after = before.clone();
    let held = std::mem::replace(field_mut(&mut after.branding, part), url.clone());
    if held == url {
        return Ok(after);
    }
    after.updated_at = author.now;
    store::update(conn, &after).await?;
    let name = part.field();
    let facts = json!({ "fields": [format!("branding/{name}")] });
    let values = Values { learner: None, before: json!({ name: held }), after: json!({ name: url }) };
    author.record(conn, after.id, "client.updated", after.id.to_string(), facts, Some(values)).await?;
    Ok(after)
}

const fn field(branding: &Branding, part: Part) -> &Option<String> {
    match part {
        Part::Logo => &branding.logo_url,
        Part::Background => &branding.background_url,
    }
}

const fn field_mut(branding: &mut Branding, part: Part) -> &mut Option<String> {
    match part {
        Part::Logo => &mut branding.logo_url,
        Part::Background => &mut branding.background_url,
    }
}

/// The files that a look names.
fn used(branding: &Branding) -> Vec<String> {
    let urls = [&branding.logo_url, &branding.background_url, &branding.stylesheet_url];
    let hash = |url: &String| split(url.rsplit('/').next()?).map(|(hash, _)| hash.to_owned());
    urls.into_iter().flatten().filter_map(hash).collect()
}

/// Whether it has the form of a path under which some client's files are served.
pub(super) fn is_branding_path(url: &str) -> bool {
    let parts: Vec<&str> = url.split('/').collect();
    matches!(parts.as_slice(), ["", slug, "branding", name] if super::rules::is_slug(slug) && split(name).is_some())
}

fn own_hash<'a>(url: &'a str, slug: &str) -> Option<&'a str> {
    let name = url.strip_prefix('/')?.strip_prefix(slug)?.strip_prefix("/branding/")?;
    split(name).map(|(hash, _)| hash)
}

fn split(name: &str) -> Option<(&str, &str)> {
    let (hash, named) = name.split_once('.')?;
    let is_hash = hash.len() == 32 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hash && matches!(named, "png" | "jpg" | "css")).then_some((hash, named))
}
