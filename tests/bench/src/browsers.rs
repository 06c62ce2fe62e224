//! Browsers that sign in: each starts at the gateway, carries a response that the fixture signs for that start, and keeps
//! its cookies. The starts and the signing lie outside what is measured.

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use idp_fixtures::{clock::now, saml::AuthnRequest, sign::KeyPair};
use reqwest::{Client, Response, StatusCode, header, redirect::Policy};
use url::form_urlencoded;

use crate::{
    gateway::Deployment,
    people::{self, Place},
    world::Door,
};

/// Somebody who signs in by a connection.
#[derive(Debug, Clone)]
pub struct Person {
    pub number: u64,
    pub door: Door,
}

/// A sign-in that has been started and answered; only its last post is left.
pub struct Ready {
    door: Door,
    url: String,
    form: String,
    cookie: String,
}

/// Somebody who is in.
pub struct SignedIn {
    url: String,
    cookie: String,
}

/// Many browsers at one gateway.
pub struct Browsers<'a> {
    client: Client,
    address: String,
    origin: String,
    key: &'a KeyPair,
    at_once: usize,
}

/// The cookies that an answer sets, as a browser would send them back.
fn cookies(answer: &Response) -> String {
    let set = answer.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs: Vec<&str> = set.filter_map(|cookie| cookie.split(';').next()).collect();
    pairs.join("; ")
}

fn location(answer: &Response) -> &str {
    answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn expect(answer: Response, status: StatusCode, what: &str) -> Result<Response> {
    if answer.status() == status {
        return Ok(answer);
    }
    let found = answer.status();
    let text: String = answer.text().await?.chars().filter(|letter| !letter.is_control()).take(3000).collect();
    anyhow::bail!("{what}: {found} in place of {status}: {text}")
}

impl<'a> Browsers<'a> {
    pub fn new(deployment: &Deployment, key: &'a KeyPair, at_once: usize) -> Result<Self> {
        let client = Client::builder().no_proxy().redirect(Policy::none()).pool_max_idle_per_host(at_once).build()?;
        Ok(Self { client, address: deployment.origin(), origin: deployment.origin(), key, at_once })
    }

    /// Starts a sign-in of each, and has each answered.
    pub async fn start(&self, people: &[Person]) -> Result<Vec<Ready>> {
        let started = self.visit(people).await?;
        // Signing costs this process a core for a while; the gateway is not kept waiting with half of it.
        started
            .into_iter()
            .zip(people)
            .map(|((location, cookie), person)| self.answer(person, &location, cookie))
            .collect()
    }

    /// The starts alone: where each browser is sent, and the cookie it gets.
    pub async fn visit(&self, people: &[Person]) -> Result<Vec<(String, String)>> {
        let visits = people.iter().map(|person| async move {
            let url = format!("{}/{}/login/{}", self.address, person.door.slug, person.door.connection);
            let answer = expect(self.client.get(url).send().await?, StatusCode::SEE_OTHER, "a start").await?;
            anyhow::Ok((location(&answer).to_owned(), cookies(&answer)))
        });
        stream::iter(visits).buffered(self.at_once).try_collect().await
    }

    fn answer(&self, person: &Person, location: &str, cookie: String) -> Result<Ready> {
        let (_, query) = location.split_once('?').context("the start leads to the identity provider")?;
        let request = AuthnRequest::from_query(query)?;
        let path = format!("/saml/{}", person.door.connection);
        let (entity_id, acs_url) = (format!("{}{path}/metadata", self.origin), format!("{}{path}/acs", self.origin));
        let place = Place { entity_id: &entity_id, acs_url: &acs_url, request_id: &request.id };
        let response = people::response(&place, person.number, self.key, now())?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("SAMLResponse", &response.base64)
            .append_pair("RelayState", request.relay_state.as_deref().unwrap_or_default())
            .finish();
        Ok(Ready { door: person.door.clone(), url: format!("{}{path}/acs", self.address), form, cookie })
    }

    /// The last post of each sign-in, which must lead to the dashboard.
    pub async fn finish(&self, ready: Vec<Ready>) -> Result<Vec<SignedIn>> {
        let posts = ready.into_iter().map(|ready| async move {
            let request = self.client.post(&ready.url).body(ready.form).header(header::COOKIE, ready.cookie);
            let answer = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").send().await?;
            let answer = expect(answer, StatusCode::SEE_OTHER, "a sign-in").await?;
            let path = format!("/{}/dashboard", ready.door.slug);
            ensure!(location(&answer) == path, "a sign-in leads to {}", location(&answer));
            let cookie = cookies(&answer);
            ensure!(cookie.contains(&ready.door.client), "a sign-in begins a session");
            anyhow::Ok(SignedIn { url: format!("{}{path}", self.address), cookie })
        });
        stream::iter(posts).buffer_unordered(self.at_once).try_collect().await
    }

    /// So many dashboards, by whoever is in, one after the other; compressed, as browsers ask for it.
    pub async fn dashboards(&self, signed_in: &[SignedIn], count: usize) -> Result<()> {
        let pages = signed_in.iter().cycle().take(count).map(|person| async move {
            let answer = self.client.get(&person.url).header(header::COOKIE, &person.cookie).send().await?;
            let text = expect(answer, StatusCode::OK, "a dashboard").await?.text().await?;
            ensure!(
                text.contains("Of-The-Bench") && text.contains("Course 1"),
                "a dashboard shows the learner and their content"
            );
            Ok(())
        });
        stream::iter(pages).buffer_unordered(self.at_once).try_collect().await
    }
}
