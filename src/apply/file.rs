//! A declarative client file as written. Sections and the keys that name things are checked here; every other field is
//! the admin API's own, and is checked by it.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};

use super::variables;

/// Fields as the admin API takes them.
pub(super) type Fields = Map<String, Value>;

/// One connection with its mapping.
pub(super) struct ConnectionFile {
    pub name: String,
    pub fields: Fields,
    pub mapping: Option<Value>,
}

/// One client with all that the file says of it.
pub struct ClientFile {
    pub(super) slug: String,
    pub(super) fields: Fields,
    /// Domains that the operator vouches for.
    pub(super) vouched: Vec<String>,
    /// By slug.
    pub(super) sublicenses: Vec<(String, Fields)>,
    /// By name.
    pub(super) connections: Vec<ConnectionFile>,
    /// By external id.
    pub(super) content: Vec<(String, Fields)>,
}

/// Reads a file and puts its variables in place.
pub fn read(path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<ClientFile> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text, lookup).with_context(|| format!("{} is not a client file", path.display()))
}

/// The same from text.
pub fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<ClientFile> {
    let table: toml::Table = text.parse()?;
    let mut root = serde_json::to_value(table)?;
    variables::substitute(&mut root, lookup)?;
    let Value::Object(mut root) = root else { bail!("it holds no [client]") };

    let mut client = object(root.remove("client").context("it holds no [client]")?, "client")?;
    let slug = key(&client, "slug", "client")?;
    let vouched = match client.remove("vouched_domains") {
        None => Vec::new(),
        Some(list) => serde_json::from_value(list).context("client.vouched_domains is a list of domains")?,
    };
    let sublicenses = tables(&mut root, "sublicenses", "slug")?;
    let content = tables(&mut root, "content", "external_id")?;
    let connections = tables(&mut root, "connections", "name")?
        .into_iter()
        .map(|(name, mut fields)| {
            let mapping = fields.remove("mapping");
            ConnectionFile { name, fields, mapping }
        })
        .collect();
    if let Some(unknown) = root.keys().next() {
        bail!("it has a section `{unknown}`; there are client, sublicenses, connections and content");
    }
    Ok(ClientFile { slug, fields: client, vouched, sublicenses, connections, content })
}

fn tables(root: &mut Fields, section: &str, named_by: &str) -> anyhow::Result<Vec<(String, Fields)>> {
    let Some(list) = root.remove(section) else { return Ok(Vec::new()) };
    let Value::Array(list) = list else { bail!("write each of them as [[{section}]]") };
    let mut seen = BTreeSet::new();
    list.into_iter()
        .map(|item| {
            let fields = object(item, section)?;
            let name = key(&fields, named_by, section)?;
            ensure!(seen.insert(name.clone()), "two [[{section}]] have the {named_by} `{name}`");
            Ok((name, fields))
        })
        .collect()
}

fn object(value: Value, section: &str) -> anyhow::Result<Fields> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => bail!("`{section}` is a table"),
    }
}

fn key(fields: &Fields, name: &str, section: &str) -> anyhow::Result<String> {
    let value = fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    value.map(str::to_owned).with_context(|| format!("each {section} needs a `{name}`, by which it is found again"))
}
