//! The URLs of a connection. Each begins with the configured origin, never with what a request header says.

use crate::{config::Settings, ids::ConnectionId};

/// What the IdP knows us by; it is also where our metadata is served.
pub fn entity_id(settings: &Settings, connection: ConnectionId) -> String {
    format!("{}/saml/{connection}/metadata", settings.server.origin())
}

/// Where SAML responses are posted.
pub fn acs(settings: &Settings, connection: ConnectionId) -> String {
    format!("{}/saml/{connection}/acs", settings.server.origin())
}

/// Where SAML logout messages go, by Redirect and by POST.
pub fn slo(settings: &Settings, connection: ConnectionId) -> String {
    format!("{}/saml/{connection}/slo", settings.server.origin())
}

/// Where an OpenID provider sends the browser back; one for each connection (RFC 9700, 4.4.2).
pub fn redirect_uri(settings: &Settings, connection: ConnectionId) -> String {
    format!("{}/oidc/{connection}/callback", settings.server.origin())
}

/// Where an OpenID provider sends the browser back after a logout.
pub fn post_logout_redirect_uri(settings: &Settings, connection: ConnectionId) -> String {
    format!("{}/oidc/{connection}/logged-out", settings.server.origin())
}

/// Where an OpenID provider tells us that a session has ended.
pub fn backchannel_logout_uri(settings: &Settings, connection: ConnectionId) -> String {
    format!("{}/oidc/{connection}/backchannel-logout", settings.server.origin())
}

/// Where our public keys for `private_key_jwt` are served.
pub fn jwks_uri(settings: &Settings, connection: ConnectionId) -> String {
    format!("{}/oidc/{connection}/jwks", settings.server.origin())
}

/// Where a sign-in starts; `slug` is the client's.
pub fn start(settings: &Settings, slug: &str, connection: ConnectionId) -> String {
    format!("{}/{slug}/login/{connection}", settings.server.origin())
}
