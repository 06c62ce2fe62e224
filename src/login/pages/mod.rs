//! What a learner sees on the way in.

pub mod landing;
pub mod logout;
pub mod protocol;
pub mod refusal;

use crate::{
    clients::ClientFacts,
    http::{page::Brand, theme::Theme},
};

/// How the client looks.
pub fn brand_of(client: &ClientFacts) -> Brand<'_> {
    let branding = &client.branding;
    let default = Theme::default();
    let color = |color: &Option<crate::clients::Color>, default| {
        color.as_ref().and_then(|color| color.as_str().parse().ok()).unwrap_or(default)
    };
    Brand {
        slug: &client.slug,
        name: &client.name,
        theme: Theme {
            accent: color(&branding.accent_color, default.accent),
            secondary: color(&branding.secondary_color, default.secondary),
        },
        logo_url: branding.logo_url.as_deref(),
        background_url: branding.background_url.as_deref(),
        welcome_text: branding.welcome_text.as_deref(),
        footer: branding.footer.as_deref(),
        support_email: branding.support_email.as_deref(),
    }
}
