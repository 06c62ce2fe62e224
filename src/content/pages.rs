//! The learner's home: their sublicenses and exactly the content that is theirs. With a session it costs one round trip
//! to Redis and one to PostgreSQL.

use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde::Deserialize;

use super::store_home::{self, Held, Home, Shown};
use crate::{
    app::App,
    clients::{self, ClientFacts, Place, Site},
    http::{
        Problem, assets,
        notice::{self, Notice},
        page::{self, Brand},
        text,
    },
    sessions::SessionCookie,
};

/// An end nearer than this is pointed out.
const SOON: Duration = Duration::days(14);

/// An end nearer than this is shown with its time of day.
const WITHIN_DAYS: Duration = Duration::days(2);

/// When access to a sublicense ends, in the client's time zone.
#[derive(Debug, Clone)]
pub struct Ends {
    /// RFC 3339.
    pub machine: String,
    pub shown: String,
    pub soon: bool,
}

/// A sublicense of the learner.
#[derive(Debug, Clone)]
pub struct Pass {
    pub name: String,
    pub is_manager: bool,
    pub ends: Option<Ends>,
}

/// A content item as shown.
#[derive(Debug, Clone)]
pub struct Item {
    pub title: String,
    pub description: String,
    /// Http or https; none where what is stored is neither.
    pub url: Option<String>,
    /// Through which of the learner's sublicenses; none where it is everybody's.
    pub sublicenses: Vec<String>,
}

/// `GET /{client}/dashboard`
#[derive(Template)]
#[template(path = "dashboard.html", config = "src/http/askama.toml")]
pub struct DashboardPage<'a> {
    pub brand: Brand<'a>,
    pub person: &'a str,
    pub first_name: &'a str,
    pub email: Option<&'a str>,
    pub sublicenses: &'a [Pass],
    pub content: &'a [Item],
    /// What waits for the proof of the address, where it is not proved yet.
    pub unproved: Option<&'a str>,
    /// What is told once.
    pub notices: &'a [Notice],
}

/// The learner's home.
pub fn routes() -> Router<App> {
    Router::new().route("/{client}/dashboard", get(dashboard))
}

/// What the redirect that led here carries.
#[derive(Deserialize)]
struct Told {
    told: Option<String>,
}

async fn dashboard(
    State(app): State<App>,
    place: Place,
    Query(told): Query<Told>,
    cookie: SessionCookie,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    // May be old: what is shown is asked for again by the version that the query below tells.
    let met = place.met(&app).await?;
    let landing = met.path("");
    let to_sign_in = || Redirect::to(&landing).into_response();
    let Some(session) = cookie.session(&app, met.id, met.session_idle, now).await? else {
        return Ok(to_sign_in());
    };
    let home = store_home::find(&app.db, met.id, session.learner, session.idp.as_ref(), now).await?;
    // Suspension bumps the epoch: it holds even where Redis could not be told.
    let Some(home) = home.filter(|home| home.is_active && home.is_way_open && home.session_epoch == session.epoch)
    else {
        return Ok(to_sign_in());
    };
    let site = place.at_version(&app, met, home.client_version).await?;
    if session.idp.is_none() && !site.allows_passwords() {
        return Ok(to_sign_in());
    }
    if !site.is_live(now) {
        return Ok(clients::pages::closed(&site));
    }
    let notices = notice::take(&app, site.id, session.learner, told.told.as_deref()).await?;
    let mut response = show(&site, home, &notices, now);
    // Signing out may lead on to the identity provider.
    page::allow_forms_out(&app, &mut response);
    Ok(response)
}

fn show(site: &Site, home: Home, notices: &[Notice], now: DateTime<Utc>) -> Response {
    let sublicenses: Vec<Pass> = home.held.0.into_iter().map(|held| pass(site, held, now)).collect();
    let content: Vec<Item> = home.content.0.into_iter().map(item).collect();
    let name = format!("{} {}", home.first_name, home.last_name);
    let email = home.email.as_deref();
    let person = Some(name.trim()).filter(|name| !name.is_empty()).or(email).unwrap_or(text::dashboard::NO_NAME);
    let waits = match site.verify_email_first {
        true => text::accounts::own::NOT_CONFIRMED_FIRST,
        false => text::accounts::own::NOT_CONFIRMED_NEXT,
    };
    let page = DashboardPage {
        unproved: home.is_provisional.then_some(waits),
        brand: site.brand(),
        person,
        first_name: home.first_name.trim(),
        email,
        sublicenses: &sublicenses,
        content: &content,
        notices,
    };
    page::render(StatusCode::OK, &page)
}

fn pass(client: &ClientFacts, held: Held, now: DateTime<Utc>) -> Pass {
    let end = [held.ends_at, client.license_ends_at].into_iter().flatten().min();
    Pass { name: held.name, is_manager: held.is_manager, ends: end.map(|end| ends(client.time_zone, end, now)) }
}

fn ends(zone: chrono_tz::Tz, end: DateTime<Utc>, now: DateTime<Utc>) -> Ends {
    // The last moment of access: what ends at midnight is good until the day before.
    let last = (end - Duration::seconds(1)).with_timezone(&zone);
    let left = end - now;
    Ends {
        machine: end.to_rfc3339_opts(SecondsFormat::Secs, true),
        shown: if left < WITHIN_DAYS { text::day_and_time(end.with_timezone(&zone)) } else { text::day(last) },
        soon: left < SOON,
    }
}

fn item(shown: Shown) -> Item {
    let is_web = shown.url.starts_with("https://") || shown.url.starts_with("http://");
    Item {
        title: shown.title,
        description: shown.description,
        url: is_web.then_some(shown.url),
        sublicenses: shown.through.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn an_end_at_midnight_of_the_clients_zone_shows_the_last_day_of_access() {
        let now = at("2026-11-22T12:00:00Z");
        let berlin = ends(chrono_tz::Europe::Berlin, at("2027-03-14T23:00:00Z"), now);
        assert_eq!((berlin.shown.as_str(), berlin.soon), ("14 March 2027", false));
        assert_eq!(berlin.machine, "2027-03-14T23:00:00Z");
        let utc = ends(chrono_tz::UTC, at("2027-03-14T23:00:00Z"), now);
        assert_eq!(utc.shown, "14 March 2027");
        let tokyo = ends(chrono_tz::Asia::Tokyo, at("2027-03-14T23:00:00Z"), now);
        assert_eq!(tokyo.shown, "15 March 2027");
    }

    #[test]
    fn an_end_within_days_shows_its_time() {
        let now = at("2026-11-22T12:00:00Z");
        let soon = ends(chrono_tz::Europe::Berlin, at("2026-11-23T17:00:00Z"), now);
        assert_eq!((soon.shown.as_str(), soon.soon), ("23 November 2026, 18:00", true));
    }

    #[test]
    fn only_web_addresses_become_links() {
        let shown = |url: &str| Shown { title: "A".into(), description: String::new(), url: url.into(), through: None };
        assert_eq!(item(shown("https://a.example/x")).url.as_deref(), Some("https://a.example/x"));
        assert_eq!(item(shown("javascript:alert(1)")).url, None);
    }
}
