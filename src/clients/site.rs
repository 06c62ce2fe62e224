//! A client's learner pages as a request meets them: below the client's name on the base origin, or at the root of a host
//! name of the client's own. Every link to a page of the client is made here.

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
    response::{IntoResponse, Response},
};

use super::{ClientFacts, pages};
use crate::{
    app::App,
    http::{OwnHost, Problem, page::Brand, return_to},
};

/// A client, and where its pages are. Derefs to the client's facts.
#[derive(Debug, Clone)]
pub struct Site {
    client: Arc<ClientFacts>,
    /// The client's own host that the pages are on; none on the base origin.
    host: Option<Box<str>>,
    /// Scheme, host and port of the pages.
    origin: Box<str>,
    /// What begins a link: `/acme`, nothing where the page is itself on the own host, and that host's whole origin where
    /// it is not.
    root: Box<str>,
}

impl Deref for Site {
    type Target = ClientFacts;

    fn deref(&self) -> &ClientFacts {
        &self.client
    }
}

impl Site {
    /// Where links in mails lead, and whoever comes from nowhere: the client's first own host, else the base origin.
    pub fn of(app: &App, client: &Arc<ClientFacts>) -> Self {
        let first = client.hosts.first().cloned();
        first.map_or_else(|| Self::on_base(app, client), |host| Self::seen_from_base(app, client, &host))
    }

    /// The pages on the base origin, below the client's name.
    pub fn on_base(app: &App, client: &Arc<ClientFacts>) -> Self {
        let (origin, root) = (app.settings.server.origin().into(), format!("/{}", client.slug).into());
        Self { client: client.clone(), host: None, origin, root }
    }

    /// Where something began that comes back by the base origin: on that host, while it still is the client's. `None` is
    /// the base origin.
    pub fn back_at(app: &App, client: &Arc<ClientFacts>, host: Option<&str>) -> Option<Self> {
        match host {
            None => Some(Self::on_base(app, client)),
            Some(host) => client.has_host(host).then(|| Self::seen_from_base(app, client, host)),
        }
    }

    fn seen_from_base(app: &App, client: &Arc<ClientFacts>, host: &str) -> Self {
        let origin: Box<str> = app.settings.server.origin_of(host).into();
        Self { client: client.clone(), host: Some(host.into()), root: origin.clone(), origin }
    }

    fn on_host(app: &App, client: Arc<ClientFacts>, host: &str) -> Self {
        let origin = app.settings.server.origin_of(host).into();
        Self { client, host: Some(host.into()), origin, root: "".into() }
    }

    /// The client itself.
    pub const fn client(&self) -> &Arc<ClientFacts> {
        &self.client
    }

    /// The client's own host that the pages are on; none on the base origin.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Scheme, host and port of the pages, as a browser writes them in `Origin`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The address of a page, for links and redirects: `path("/dashboard")`. The landing page is `path("")`.
    pub fn path(&self, path: &str) -> String {
        let rest = if path == "/" { "" } else { path };
        let slash = if self.root.is_empty() && !rest.starts_with('/') { "/" } else { "" };
        format!("{}{slash}{rest}", self.root)
    }

    /// The address of a page with scheme and host, for mails.
    pub fn url(&self, path: &str) -> String {
        let path = self.path(path);
        if path.starts_with('/') { format!("{}{path}", self.origin) } else { path }
    }

    /// The address of a picture or stylesheet of the look. What is stored begins with the client's name, which does not
    /// stand in addresses of its own host.
    pub fn file<'u>(&self, stored: &'u str) -> &'u str {
        if self.root.is_empty() { self.own_file(stored).unwrap_or(stored) } else { stored }
    }

    /// The same with scheme and host, for mails.
    pub fn file_url(&self, stored: &str) -> String {
        match self.own_file(stored) {
            Some(path) => self.url(path),
            None if stored.starts_with('/') => format!("{}{stored}", self.origin),
            None => stored.to_owned(),
        }
    }

    fn own_file<'u>(&self, stored: &'u str) -> Option<&'u str> {
        let rest = stored.strip_prefix('/')?.strip_prefix(self.client.slug.as_str())?;
        rest.starts_with('/').then_some(rest)
    }

    /// The address to go to after a sign-in, when it is one of this site; see [`return_to::checked`].
    pub fn return_to(&self, wanted: Option<&str>) -> Option<String> {
        return_to::checked(&self.root, wanted)
    }

    /// An address of this site as it is remembered: without what begins it. [`Self::path`] makes it whole again.
    pub fn within(&self, address: &str) -> String {
        address.strip_prefix(&*self.root).unwrap_or_default().to_owned()
    }

    /// The client's look on this site; what it leaves open is neutral.
    pub fn brand(&self) -> Brand<'_> {
        let branding = &self.client.branding;
        Brand {
            root: &self.root,
            name: &self.client.name,
            theme: branding.theme(),
            logo_url: branding.logo_url.as_deref().map(|url| self.file(url)),
            background_url: branding.background_url.as_deref().map(|url| self.file(url)),
            welcome_text: branding.welcome_text.as_deref(),
            footer: branding.footer.as_deref(),
            support_email: branding.support_email.as_deref(),
            stylesheet: branding.stylesheet_url.as_deref().map(|url| self.file(url)),
        }
    }
}

/// Which client's page a request asks for, before anything was read: its name in the path and, on an own host, that host.
#[derive(Debug, Clone)]
pub struct Place {
    slug: String,
    host: Option<OwnHost>,
}

impl Place {
    /// The site as this replica met its client last; for a caller whose own query tells the version, and who then asks
    /// [`Self::at_version`].
    pub async fn met(&self, app: &App) -> Result<Site, Problem> {
        let client = app.clients.met(&app.db, &self.slug).await?.ok_or_else(Problem::not_found)?;
        self.site(app, client).await
    }

    /// The site with its client as it is now.
    pub async fn now(&self, app: &App) -> Result<Site, Problem> {
        let client = app.clients.by_slug(&app.db, &self.slug).await?.ok_or_else(Problem::not_found)?;
        self.site(app, client).await
    }

    /// The site with its client at least as new as `version`, which the caller has just read from PostgreSQL.
    pub async fn at_version(&self, app: &App, met: Site, version: i64) -> Result<Site, Problem> {
        if met.version >= version {
            return Ok(met);
        }
        let client = app.clients.at_version(&app.db, met.id, version).await?;
        self.site(app, client).await
    }

    /// What led from the host to the client may be older than the client: a host that is not the client's any more leads
    /// nowhere.
    async fn site(&self, app: &App, client: Arc<ClientFacts>) -> Result<Site, Problem> {
        match &self.host {
            None => Ok(Site::on_base(app, &client)),
            Some(OwnHost(host)) if client.has_host(host) => Ok(Site::on_host(app, client, host)),
            Some(OwnHost(host)) => {
                app.clients.forget_host(host).await;
                Err(Problem::not_found())
            }
        }
    }
}

impl FromRequestParts<App> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Problem::not_found())?;
        let slug = params.iter().find(|(name, _)| *name == "client").map(|(_, slug)| slug.to_owned());
        Ok(Self { slug: slug.ok_or_else(Problem::not_found)?, host: parts.extensions.get::<OwnHost>().cloned() })
    }
}

impl FromRequestParts<App> for Site {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Place::from_request_parts(parts, app).await?.now(app).await
    }
}

/// The site of a client whose people are let in now. Everybody else reads that it is closed.
pub struct OpenSite(pub Site);

impl FromRequestParts<App> for OpenSite {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let site = Site::from_request_parts(parts, app).await.map_err(IntoResponse::into_response)?;
        if site.is_live(app.clock.now()) { Ok(Self(site)) } else { Err(pages::closed(&site)) }
    }
}
