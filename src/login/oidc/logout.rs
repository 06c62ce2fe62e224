//! The request that ends the session at the provider: a URL that the browser is sent to (OpenID Connect RP-Initiated
//! Logout 1.0, section 2).

use url::Url;

/// What the provider is told.
#[derive(Clone, Copy)]
pub struct LogoutRequest<'a> {
    /// The ID token that the session began with; providers take it although it has ended. Without it they ask the person.
    pub id_token_hint: Option<&'a str>,
    pub client_id: &'a str,
    pub post_logout_redirect_uri: &'a str,
    /// Comes back with the browser.
    pub state: &'a str,
}

impl LogoutRequest<'_> {
    /// The URL at the provider's `end_session_endpoint`; a query that it has stays.
    pub fn url(&self, mut endpoint: Url) -> Url {
        let mut parameters = endpoint.query_pairs_mut();
        if let Some(token) = self.id_token_hint {
            parameters.append_pair("id_token_hint", token);
        }
        parameters
            .append_pair("client_id", self.client_id)
            .append_pair("post_logout_redirect_uri", self.post_logout_redirect_uri)
            .append_pair("state", self.state);
        drop(parameters);
        endpoint
    }
}
