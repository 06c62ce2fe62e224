//! `usher apply`: makes a client what a file says it is. Creates and updates what the file names, leaves everything else
//! alone, deletes nothing, and does nothing when it is run again.
//!
//! | file | holds |
//! |---|---|
//! | `file.rs`, `variables.rs` | the file as written, with `${NAME}` put in place |
//! | `plan.rs` | what differs, field by field |
//! | `api.rs` | the admin API in this process: its rules are the rules here |

use std::collections::HashMap;

use http::Method;
use serde_json::{Value, json};

mod api;
mod file;
mod plan;
mod variables;

pub use api::Api;
pub use file::{ClientFile, parse, read};
pub use plan::{Action, Difference, Plan, Step};

use file::{ConnectionFile, Fields};
use plan::Lists;

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only says what would be done.
    DryRun,
    Apply,
}

struct Run<'a> {
    api: &'a Api,
    mode: Mode,
    /// `/api/v1/clients/{slug}`
    base: String,
    slug: &'a str,
    plan: Plan,
}

/// Compares the file with what is there, and unless it is a dry run makes it so.
pub async fn apply(api: &Api, file: &ClientFile, mode: Mode) -> anyhow::Result<Plan> {
    let base = format!("/api/v1/clients/{}", file.slug);
    let mut run = Run { api, mode, base, slug: &file.slug, plan: Plan::default() };
    let is_new = run.client(file).await?;
    run.domains(file, is_new).await?;
    for (slug, fields) in &file.sublicenses {
        run.item("sublicense", "sublicenses", ("slug", slug), fields, is_new).await?;
    }
    for connection in &file.connections {
        run.connection(connection, is_new).await?;
    }
    let ids = run.sublicense_ids(is_new).await?;
    for (external_id, fields) in &file.content {
        let fields = with_ids(fields, &ids);
        run.item("content", "content", ("external_id", external_id), &fields, is_new).await?;
    }
    Ok(run.plan)
}

impl Run<'_> {
    fn is_dry(&self) -> bool {
        self.mode == Mode::DryRun
    }

    /// Makes or changes the client itself; says whether it is new.
    async fn client(&mut self, file: &ClientFile) -> anyhow::Result<bool> {
        let current = self.api.find(&self.base).await?;
        let what = format!("client {}", self.slug);
        let Some(current) = current else {
            if !self.is_dry() {
                self.api.send(&what, Method::POST, "/api/v1/clients", &Value::Object(file.fields.clone())).await?;
            }
            self.plan.push("client", self.slug, Action::Create);
            return Ok(true);
        };
        let differences = plan::differences(&file.fields, &current, Lists::AreSets);
        if !differences.is_empty() && !self.is_dry() {
            let changes = plan::changed_fields(&file.fields, &differences);
            self.api.send(&what, Method::PATCH, &self.base, &Value::Object(changes)).await?;
        }
        self.plan.push("client", self.slug, Action::of(differences));
        Ok(false)
    }

    async fn domains(&mut self, file: &ClientFile, is_new: bool) -> anyhow::Result<()> {
        let current = if is_new && self.is_dry() { None } else { self.api.find(&self.base).await? };
        let listed = current.as_ref().and_then(|client| client.get("email_domains")).and_then(Value::as_array);
        for domain in &file.vouched {
            let is_verified = listed.into_iter().flatten().any(|entry| {
                entry.get("domain").and_then(Value::as_str) == Some(domain)
                    && entry.get("verified_at").is_some_and(|at| !at.is_null())
            });
            if is_verified {
                self.plan.push("vouched domain", domain, Action::Unchanged);
                continue;
            }
            if !self.is_dry() {
                let path = format!("{}/domains/{domain}/vouch", self.base);
                self.api.send(&format!("vouching for {domain}"), Method::POST, &path, &json!({})).await?;
            }
            self.plan.push("vouched domain", domain, Action::Create);
        }
        Ok(())
    }

    /// What a list holds under a name.
    async fn named(&self, list: &str, key: (&str, &str), is_new: bool) -> anyhow::Result<Option<Value>> {
        if is_new && self.is_dry() {
            return Ok(None);
        }
        let items = self.api.list(&format!("{}/{list}", self.base)).await?;
        Ok(items.into_iter().find(|item| item.get(key.0).and_then(Value::as_str) == Some(key.1)))
    }

    /// Ids of the sublicenses by slug: content is written with either and read with ids.
    async fn sublicense_ids(&self, is_new: bool) -> anyhow::Result<HashMap<String, Value>> {
        if is_new && self.is_dry() {
            return Ok(HashMap::new());
        }
        let items = self.api.list(&format!("{}/sublicenses", self.base)).await?;
        let named = |item: &Value| Some((item.get("slug")?.as_str()?.to_owned(), item.get("id")?.clone()));
        Ok(items.iter().filter_map(named).collect())
    }

    async fn item(
        &mut self,
        kind: &'static str,
        list: &str,
        key: (&str, &str),
        fields: &Fields,
        is_new: bool,
    ) -> anyhow::Result<()> {
        let what = format!("{kind} {}", key.1);
        let Some(current) = self.named(list, key, is_new).await? else {
            if !self.is_dry() {
                let path = format!("{}/{list}", self.base);
                self.api.send(&what, Method::POST, &path, &Value::Object(fields.clone())).await?;
            }
            self.plan.push(kind, key.1, Action::Create);
            return Ok(());
        };
        let differences = plan::differences(fields, &current, Lists::AreSets);
        if !differences.is_empty() && !self.is_dry() {
            let path = format!("{}/{list}/{}", self.base, id(&current));
            let changes = plan::changed_fields(fields, &differences);
            self.api.send(&what, Method::PATCH, &path, &Value::Object(changes)).await?;
        }
        self.plan.push(kind, key.1, Action::of(differences));
        Ok(())
    }

    async fn connection(&mut self, file: &ConnectionFile, is_new: bool) -> anyhow::Result<()> {
        let what = format!("connection {}", file.name);
        let found = self.named("connections", ("name", &file.name), is_new).await?;
        let Some(current) = found else {
            if !self.is_dry() {
                self.make_connection(&what, file).await?;
            }
            self.plan.push("connection", &file.name, Action::Create);
            return Ok(());
        };
        let path = format!("{}/connections/{}", self.base, id(&current));
        // A list leaves typed metadata out.
        let current = self.api.find(&path).await?.unwrap_or(current);
        let mut differences = plan::differences(&file.fields, &current, Lists::AreSets);
        let secret = file.fields.get("oidc").and_then(|oidc| oidc.get("client_secret")).and_then(Value::as_str);
        if let Some(secret) = secret
            && !self.api.has_client_secret(id(&current), secret).await?
        {
            differences.push(Difference::hidden("oidc.client_secret"));
        }
        if !differences.is_empty() && !self.is_dry() {
            let changes = plan::changed_fields(&file.fields, &differences);
            self.api.send(&what, Method::PATCH, &path, &Value::Object(changes)).await?;
        }
        if let Some(mapping) = &file.mapping {
            let path = format!("{path}/mapping");
            let current = self.api.find(&path).await?.unwrap_or_default();
            let changed = plan::differences(&single("mapping", mapping), &current, Lists::AreOrdered);
            if !changed.is_empty() && !self.is_dry() {
                self.api.send(&format!("mapping of {what}"), Method::PUT, &path, mapping).await?;
            }
            differences.extend(changed);
        }
        self.plan.push("connection", &file.name, Action::of(differences));
        Ok(())
    }

    /// Makes it as a draft first, so that nobody signs in by it before its mapping is there.
    async fn make_connection(&self, what: &str, file: &ConnectionFile) -> anyhow::Result<()> {
        let mut fields = file.fields.clone();
        let status = fields.remove("status");
        let made =
            self.api.send(what, Method::POST, &format!("{}/connections", self.base), &Value::Object(fields)).await?;
        let path = format!("{}/connections/{}", self.base, id(&made));
        if let Some(mapping) = &file.mapping {
            self.api.send(&format!("mapping of {what}"), Method::PUT, &format!("{path}/mapping"), mapping).await?;
        }
        if let Some(status) = status {
            self.api.send(what, Method::PATCH, &path, &json!({ "status": status })).await?;
        }
        Ok(())
    }
}

fn with_ids(fields: &Fields, ids: &HashMap<String, Value>) -> Fields {
    let mut fields = fields.clone();
    for slug in fields.get_mut("sublicenses").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(id) = slug.as_str().and_then(|slug| ids.get(slug)) {
            *slug = id.clone();
        }
    }
    fields
}

fn single(name: &str, value: &Value) -> Fields {
    [(name.to_owned(), value.clone())].into_iter().collect()
}

fn id(item: &Value) -> &str {
    item.get("id").and_then(Value::as_str).unwrap_or_default()
}
