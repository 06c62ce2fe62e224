//! What a fixture reads from its peer: SP metadata and the relying party's keys. Small, local and bounded.

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use url::{Host, Url};

fn client() -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy();
    Ok(builder.redirect(reqwest::redirect::Policy::none()).build()?)
}

/// Posts a form; the status of the answer.
pub async fn post_form(url: &str, fields: &[(&str, &str)]) -> Result<u16> {
    ensure!(is_loopback(url), "{url} is not on this machine");
    let response = client()?.post(url).form(fields).send().await.with_context(|| format!("cannot reach {url}"))?;
    Ok(response.status().as_u16())
}

/// Reads a document of at most 1 MB.
pub async fn text(url: &str) -> Result<String> {
    let response = client()?.get(url).send().await.with_context(|| format!("cannot read {url}"))?;
    ensure!(response.status().is_success(), "{url} answers {}", response.status());
    let body = response.bytes().await?;
    ensure!(body.len() <= 1_000_000, "{url} answers more than 1 MB");
    Ok(String::from_utf8(body.to_vec())?)
}

/// Whether a URL points to this machine: the only kind of application that a demo answers unasked.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    if !matches!(url.scheme(), "http" | "https") {
        return false;
    }
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
