//! Refusal of form posts that another site caused. `SameSite=Lax` cookies already stay away from them; this holds where
//! a browser or a sub-domain does not keep to that (OWASP CSRF cheat sheet: Fetch Metadata, then Origin).

use axum::http::{HeaderMap, header};

/// Whether a state-changing request came from one of our own pages: `Sec-Fetch-Site` where the browser sends it, else
/// `Origin`. A request with neither is no browser's form post, and is refused. `ours` is the origin of the pages that the
/// request was made to.
pub fn is_same_origin(ours: &str, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    let fetch_site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let origin_fits = origin.is_none_or(|value| value == ours);
    match fetch_site {
        Some(site) => site == "same-origin" && origin_fits,
        None => origin.is_some() && origin_fits,
    }
}
