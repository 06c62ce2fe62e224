//! Redeeming codes with Chromium, by keyboard alone, on a phone and on a desktop; every page without a fault that axe
//! knows.

use idp_fixtures::{oidc, saml};
use serde_json::json;

use super::{
    browser,
    support::{App, Code, codes::redemptions},
};

#[tokio::test(flavor = "multi_thread")]
async fn people_redeem_codes_with_a_real_browser() {
    let app = App::start().await;
    let saml = saml::SamlIdp::start(saml::Options::default()).await.unwrap();
    let oidc = oidc::OidcOp::start(oidc::Options::default()).await.unwrap();
    browser::seed(&app, &saml, &oidc).await;
    for (code, opens, slug) in [
        ("SPRING-2027", "engineering", "globex"),
        ("SUMMER-2027", "support", "globex"),
        ("AUTUMN-2027", "support", "globex"),
        ("WINTER-2027", "sales", "acme"),
    ] {
        Code::registration(code, &[opens]).make(&app, slug).await;
    }
    let globex = json!({
        "name": "redeem-globex", "origin": app.origin(), "slug": "globex", "way": "Globex account",
        "person": { "phone": "grace", "desktop": "li" },
        "codes": { "new": "SPRING-2027", "signedIn": "SUMMER-2027", "carried": "AUTUMN-2027" },
    });
    let acme = json!({
        "name": "redeem-acme", "origin": app.origin(), "slug": "acme", "way": "Acme single sign-on",
        "person": { "phone": "zoe", "desktop": "taro" }, "codes": { "carried": "WINTER-2027" },
    });
    browser::run("redeem.mjs", &[globex, acme]).await;
    assert_eq!(redemptions(&app.db).await, 8);
}
