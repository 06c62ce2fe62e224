//! What a person who just started the demo wants to know, as a table and as `.usher/dev.json`.

use std::fmt;

use serde_json::{Value, json};

use super::{
    catcher::Catcher,
    home::Home,
    idps::Idps,
    seed::{Demo, DemoClient},
};
use crate::app::App;

/// Somebody to sign in as, by the slug of their client: the people of the fixture identity providers.
const PEOPLE: &[(&str, &str)] = &[
    ("acme", "ada (sales), zoe (Vertrieb Süd), taro (営業部), nora (in no group)"),
    ("globex", "grace (engineering), jose (support), li, sam (in no group)"),
    ("elm-school", "emil, mina (teaches at both schools); olga is shown the way to hers"),
    ("oak-school", "olga, mina"),
];

/// All that is told.
pub(super) struct Report {
    base_url: String,
    token: String,
    clients: Vec<DemoClient>,
    idps: Idps,
    mail_page: String,
    mail_server: String,
    folders: Vec<String>,
    database: String,
}

impl Report {
    pub(super) fn new(home: &Home, app: &App, idps: Idps, demo: Demo, catcher: &Catcher) -> Self {
        let mut folders = vec![home.root.display().to_string()];
        if home.is_elsewhere {
            folders.push(home.data.display().to_string());
        }
        Self {
            base_url: app.settings.server.origin().to_owned(),
            token: demo.token,
            clients: demo.clients,
            idps,
            mail_page: catcher.page_url(),
            mail_server: catcher.smtp_url(),
            folders,
            database: format!("psql -h {} -U usher usher", home.run().display()),
        }
    }

    /// Writes `.usher/dev.json`.
    pub(super) fn write(&self, home: &Home) -> anyhow::Result<()> {
        home.write("dev.json", &serde_json::to_string_pretty(&self.json())?)
    }

    fn json(&self) -> Value {
        json!({
            "base_url": self.base_url,
            "admin_token": self.token,
            "clients": self.clients,
            "mail": { "page": self.mail_page, "json": format!("{}/mails.json", self.mail_page), "smtp": self.mail_server },
            "idp_urls": {
                "saml": self.idps.saml.base_url,
                "saml_metadata": self.idps.saml.metadata_url,
                "saml_entity_id": self.idps.saml.entity_id,
                "oidc": self.idps.oidc.issuer,
            },
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out)?;
        // Who has no way in, such as the owner of a connection that serves others, is not shown.
        for client in self.clients.iter().filter(|client| !client.connections.is_empty()) {
            let people = PEOPLE.iter().find(|(slug, _)| *slug == client.slug).map(|(_, people)| *people);
            let protocols: Vec<String> =
                client.connections.iter().map(|connection| connection.protocol.to_uppercase()).collect();
            writeln!(out, "  {} ({})", client.name, protocols.join(", "))?;
            writeln!(out, "    open        {}/{}", self.base_url, client.slug)?;
            for host in &client.hosts {
                writeln!(out, "    own host    {host}")?;
            }
            if let Some(people) = people {
                writeln!(out, "    sign in as  {people}; no password")?;
            }
            if let Some(code) = client.registration_code {
                writeln!(out, "    use a code  {}/{}/{code}", self.base_url, client.slug)?;
            }
        }
        writeln!(out, "  Mails (every one that is sent ends here)")?;
        writeln!(out, "    open        {}", self.mail_page)?;
        writeln!(out, "  Admin API")?;
        writeln!(out, "    open        {}/api/docs", self.base_url)?;
        writeln!(out, "    token       {}", self.token)?;
        writeln!(out, "  Identity providers")?;
        writeln!(out, "    SAML        {}", self.idps.saml.base_url)?;
        writeln!(out, "    OIDC        {}", self.idps.oidc.issuer)?;
        writeln!(out, "  Database")?;
        writeln!(out, "    look in     {}", self.database)?;
        writeln!(
            out,
            "  The same for programs in .usher/dev.json. Stop with Ctrl-C; begin anew with rm -r {}\n",
            self.folders.join(" ")
        )
    }
}
