//! A link with a code in it. Mail scanners and previews follow links: all that this does is take the code out of the
//! address, so that neither history nor a Referer holds it.

use axum::{
    extract::{Path, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};

use super::visit::{Asked, lead_to_box};
use crate::{
    app::App,
    clients::{OpenSite, Site},
    codes::text,
    http::{
        page::{self, AdvicePage},
        text::neutral,
    },
};

pub(super) async fn follow(
    State(app): State<App>,
    OpenSite(site): OpenSite,
    Path((_, word)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    let now = app.clock.now();
    let mut response = match text::reserved(&word) {
        // One of our own pages, in letters of another size.
        Some(page) if page != word => Redirect::to(&site.path(&format!("/{page}"))).into_response(),
        Some(_) => nothing_here(&site),
        None if may_be_typed(&word) => lead_to_box(&app, &site, &asked.headers, &word, false, now),
        None => nothing_here(&site),
    };
    let headers = response.headers_mut();
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    response
}

/// Whether a person may have meant a code: letters and digits of any script, in groups. File names and other things that
/// scanners ask for are none.
fn may_be_typed(word: &str) -> bool {
    let count = word.chars().count();
    let is_ours =
        |letter: char| letter.is_alphanumeric() || letter.is_whitespace() || !letter.is_ascii() || letter == '-';
    (6..=200).contains(&count) && word.chars().all(|letter| is_ours(letter) && !letter.is_control())
}

fn nothing_here(site: &Site) -> Response {
    let page =
        AdvicePage { brand: site.brand(), advice: &neutral::NOT_FOUND, message: None, reference: None, retry: None };
    page::render(StatusCode::NOT_FOUND, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scanners_ask_for_is_no_code() {
        for word in ["wp-login.php", ".env", "favicon.ico", "a", "x\0xxxxxx", "<script>", "abc_def_ghi"] {
            assert!(!may_be_typed(word), "{word}");
        }
        for word in ["ABCD-1234", "abcd 1234 efgh", "АВСD1234", "ABCD–1234"] {
            assert!(may_be_typed(word), "{word}");
        }
    }
}
