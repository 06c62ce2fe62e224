//! A browser as the gateway meets one: a cookie jar that keeps to `SameSite`, `Origin` and `Sec-Fetch-Site` headers, a
//! current page, and redirects that are followed one at a time.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::{
    Client, Method, StatusCode,
    header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE},
};
use url::Url;

use super::{
    App,
    html::{self, Form},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    /// The attributes as they came, for tests that look at them.
    pub attributes: String,
    host: String,
    same_site: String,
}

#[derive(Default)]
struct State {
    cookies: Vec<Cookie>,
    page: Option<Url>,
}

/// One browser of one person: cookies are its own.
pub struct Browser {
    client: Client,
    /// Where every host of the gateway's public scheme and port is: at the replica under test.
    via: Option<(Url, SocketAddr)>,
    /// Another replica that takes every second request.
    and_via: Option<SocketAddr>,
    turn: AtomicUsize,
    /// Headers of every request, such as `User-Agent`.
    pub headers: Vec<(String, String)>,
    state: Mutex<State>,
}

/// What the browser shows.
#[derive(Debug, Clone)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub html: String,
}

impl Cookie {
    /// The host that it goes to.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl Browser {
    pub fn new() -> Self {
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve("localhost", SocketAddr::from(([127, 0, 0, 1], 0)))
            .build()
            .unwrap();
        Self {
            client,
            via: None,
            and_via: None,
            turn: AtomicUsize::new(0),
            headers: Vec::new(),
            state: Mutex::default(),
        }
    }

    /// Reaches the public origin and clients' own hosts at this replica from now on; cookies and page stay.
    #[must_use]
    pub fn via(mut self, app: &App) -> Self {
        self.via = Some((app.settings.server.public_origin.clone(), app.address));
        self.and_via = None;
        self
    }

    /// Sends every second request to this replica.
    #[must_use]
    pub fn and_via(mut self, app: &App) -> Self {
        self.and_via = Some(app.address);
        self
    }

    /// Opens a URL as if typed into the address bar.
    pub async fn open(&self, url: impl AsRef<str>) -> Page {
        let url = Url::parse(url.as_ref()).unwrap();
        self.request(Method::GET, url, None, None, "none").await
    }

    /// Opens a URL, or a path of the current page's site, as if a link on the current page were clicked.
    pub async fn click(&self, href: &str) -> Page {
        let from = self.current();
        let url = from.join(href).unwrap();
        let site = relation(&from, &url);
        self.request(Method::GET, url, None, Some(from), site).await
    }

    /// Follows one redirect. Fails the test when the page is none.
    pub async fn follow(&self, page: &Page) -> Page {
        let url = page.location();
        // What began by typing is "none" until it leaves the site; a redirect from another site is cross-site.
        let site = relation(&page.url, &url);
        self.request(Method::GET, url, None, Some(page.url.clone()), site).await
    }

    /// Follows redirects until something else comes.
    pub async fn follow_all(&self, mut page: Page) -> Page {
        for _ in 0..20 {
            if !page.status.is_redirection() {
                return page;
            }
            page = self.follow(&page).await;
        }
        panic!("more than 20 redirects, the last to {}", page.url)
    }

    /// Opens a URL and follows every redirect.
    pub async fn visit(&self, url: impl AsRef<str>) -> Page {
        let page = self.open(url).await;
        self.follow_all(page).await
    }

    /// Submits a form of the current page, with the cookies and headers that a real browser would send along.
    pub async fn submit(&self, form: &Form) -> Page {
        let from = self.current();
        let mut url = if form.action.is_empty() { from.clone() } else { from.join(&form.action).unwrap() };
        let site = relation(&from, &url);
        if form.method == "POST" {
            let body = encode(&form.fields);
            return self.request(Method::POST, url, Some(body), Some(from), site).await;
        }
        url.set_query(Some(&encode(&form.fields)));
        self.request(Method::GET, url, None, Some(from), site).await
    }

    /// Posts fields to a URL from a page of another origin: what an attacker's page, or an IdP, makes the browser do.
    pub async fn post_from(&self, from: &str, url: impl AsRef<str>, fields: &[(&str, &str)]) -> Page {
        let (from, url) = (Url::parse(from).unwrap(), Url::parse(url.as_ref()).unwrap());
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let site = relation(&from, &url);
        self.request(Method::POST, url, Some(encode(&fields)), Some(from), site).await
    }

    /// Where the browser is.
    pub fn current(&self) -> Url {
        self.state.lock().unwrap().page.clone().expect("a page was opened before")
    }

    /// Every cookie, of every host.
    pub fn cookies(&self) -> Vec<Cookie> {
        self.state.lock().unwrap().cookies.clone()
    }

    /// A cookie by name.
    pub fn cookie(&self, name: &str) -> Option<Cookie> {
        self.cookies().into_iter().find(|cookie| cookie.name == name)
    }

    /// Plants a cookie for a host, over one of the same name.
    pub fn set_cookie(&self, host: &str, name: &str, value: &str) {
        let mut state = self.state.lock().unwrap();
        state.cookies.retain(|cookie| !(cookie.name == name && cookie.host == host));
        state.cookies.push(Cookie {
            name: name.into(),
            value: value.into(),
            attributes: String::new(),
            host: host.into(),
            same_site: "lax".into(),
        });
    }

    /// Forgets every cookie.
    pub fn forget_cookies(&self) {
        self.state.lock().unwrap().cookies.clear();
    }

    async fn request(&self, method: Method, url: Url, body: Option<String>, from: Option<Url>, site: &str) -> Page {
        let mut target = url.clone();
        let mut request_host = None;
        let is_there =
            |base: &Url| base.scheme() == url.scheme() && base.port_or_known_default() == url.port_or_known_default();
        if let Some((_, address)) = self.via.as_ref().filter(|(base, _)| is_there(base)) {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let address = if turn % 2 == 1 { self.and_via.unwrap_or(*address) } else { *address };
            target.set_scheme("http").unwrap();
            target.set_host(Some(&address.ip().to_string())).unwrap();
            target.set_port(Some(address.port())).unwrap();
            request_host = Some(host_header(&url));
        }
        let mut request = self
            .client
            .request(method.clone(), target)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        if let Some(host) = request_host {
            request = request.header("host", host);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let cookies = self.cookies_for(&method, &url, site);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        if let Some(body) = body {
            let origin = from.as_ref().map_or("null".into(), |from| from.origin().ascii_serialization());
            request =
                request.header("origin", origin).header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let html = String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned();
        let mut state = self.state.lock().unwrap();
        for line in headers.get_all(SET_COOKIE) {
            keep(&mut state.cookies, &url, line.to_str().unwrap());
        }
        if !status.is_redirection() {
            state.page = Some(url.clone());
        }
        Page { url, status, headers, html }
    }

    fn cookies_for(&self, method: &Method, url: &Url, site: &str) -> String {
        let host = url.host_str().unwrap_or_default();
        let goes = |cookie: &&Cookie| {
            // RFC 6265bis, section 5.8.3: across sites, Lax goes with top-level safe methods only.
            let same_site_allows = match cookie.same_site.as_str() {
                "none" => true,
                "strict" => site != "cross-site",
                _ => site != "cross-site" || method.is_safe(),
            };
            cookie.host == host && same_site_allows
        };
        let state = self.state.lock().unwrap();
        let pairs: Vec<_> =
            state.cookies.iter().filter(goes).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }
}

impl Page {
    /// Where a redirect leads. Fails the test when the page is none.
    #[track_caller]
    pub fn location(&self) -> Url {
        assert!(self.status.is_redirection(), "{} {} is no redirect: {}", self.status, self.url, self.text());
        let location = self.headers.get(LOCATION).and_then(|value| value.to_str().ok()).expect("a Location header");
        self.url.join(location).unwrap()
    }

    /// The forms of the page, in order.
    pub fn forms(&self) -> Vec<Form> {
        html::forms(&self.html)
    }

    /// The only form, or the first of several.
    #[track_caller]
    pub fn form(&self) -> Form {
        self.forms()
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{} {} has no form: {}", self.status, self.url, self.text()))
    }

    /// The form with this field.
    #[track_caller]
    pub fn form_with(&self, field: &str) -> Form {
        self.forms()
            .into_iter()
            .find(|form| form.value(field).is_some())
            .unwrap_or_else(|| panic!("{} {} has no form with {field}: {}", self.status, self.url, self.text()))
    }

    /// What a person reads.
    pub fn text(&self) -> String {
        html::text(&self.html)
    }

    /// Whether a person reads this somewhere.
    pub fn says(&self, what: &str) -> bool {
        self.text().contains(what)
    }

    /// The reference that the answer carries.
    pub fn reference(&self) -> String {
        self.headers["usher-reference"].to_str().unwrap().to_owned()
    }

    /// Fails the test, showing the page, unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.url, self.text());
        self
    }
}

/// `Sec-Fetch-Site` of a request. A site is scheme and registrable domain; among test hosts, the whole host.
fn relation(from: &Url, to: &Url) -> &'static str {
    if from.origin() == to.origin() {
        "same-origin"
    } else if from.scheme() == to.scheme() && from.host_str() == to.host_str() {
        "same-site"
    } else {
        "cross-site"
    }
}

fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn encode(fields: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn keep(cookies: &mut Vec<Cookie>, url: &Url, line: &str) {
    let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
    let (name, value) = pair.split_once('=').expect("a cookie has a name");
    let host = url.host_str().unwrap_or_default().to_owned();
    let attribute = |wanted: &str| {
        attributes.split(';').map(str::trim).find_map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            name.eq_ignore_ascii_case(wanted).then(|| value.to_ascii_lowercase())
        })
    };
    cookies.retain(|cookie| !(cookie.name == name.trim() && cookie.host == host));
    if attribute("max-age").is_some_and(|age| age.parse::<i64>().is_ok_and(|age| age <= 0)) {
        return;
    }
    cookies.push(Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        attributes: attributes.trim().to_owned(),
        host,
        // Browsers take an absent attribute for Lax.
        same_site: attribute("samesite").unwrap_or_else(|| "lax".into()),
    });
}
