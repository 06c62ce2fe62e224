//! How a client's facts become the brand that its pages wear, and the page of a client that is closed.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};

use super::{ClientFacts, ClientStatus, Color};
use crate::{
    app::App,
    http::{
        Problem,
        page::{self, AdvicePage, Brand},
        text,
        theme::Theme,
    },
};

impl<'a> Brand<'a> {
    /// The client's look; what it leaves open is neutral.
    pub fn of(client: &'a ClientFacts) -> Self {
        let branding = &client.branding;
        let neutral = Theme::default();
        let color = |own: &Option<Color>| own.as_ref().and_then(|color| color.as_str().parse().ok());
        let accent = color(&branding.accent_color);
        Self {
            slug: &client.slug,
            name: &client.name,
            theme: Theme {
                accent: accent.unwrap_or(neutral.accent),
                // One colour alone makes a plain surface of itself rather than a gradient with a stranger's.
                secondary: color(&branding.secondary_color).or(accent).unwrap_or(neutral.secondary),
            },
            logo_url: branding.logo_url.as_deref(),
            background_url: branding.background_url.as_deref(),
            welcome_text: branding.welcome_text.as_deref(),
            footer: branding.footer.as_deref(),
            support_email: branding.support_email.as_deref(),
        }
    }
}

/// The client of a path, or the page that says that it is closed. A client that never was is a 404.
pub async fn open(app: &App, slug: &str) -> Result<Result<Arc<ClientFacts>, Response>, Problem> {
    let client = app.clients.by_slug(&app.db, slug).await?.ok_or_else(Problem::not_found)?;
    if client.is_live(app.clock.now()) { Ok(Ok(client)) } else { Ok(Err(closed(&client))) }
}

/// Tells that a client's people are not let in now, and why.
pub fn closed(client: &ClientFacts) -> Response {
    let advice = match client.status {
        ClientStatus::Disabled => &text::refused::CLIENT_OFF,
        ClientStatus::Active => &text::refused::ENDED,
    };
    let page = AdvicePage { brand: Brand::of(client), advice, message: None, reference: None, retry: None };
    page::render(StatusCode::FORBIDDEN, &page)
}
