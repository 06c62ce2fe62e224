//! Whole sign-ins against software that nobody here wrote: npm oidc-provider and PyPI pysaml2.

use serde_json::json;

use crate::support::Peer;

#[tokio::test]
async fn the_peers_start_and_describe_themselves() {
    let people = json!({"people": {"ada": {"mail": ["ada@acme.example"]}}});
    let (pysaml2, provider) = (Peer::pysaml2(&people).await, Peer::oidc_provider(&json!({"alg": "ES256"})).await);
    let metadata = reqwest::get(format!("{}/ec-both/metadata", pysaml2.text("base_url"))).await.unwrap();
    assert!(metadata.text().await.unwrap().contains("IDPSSODescriptor"));
    let discovery =
        reqwest::get(format!("{}/.well-known/openid-configuration", provider.text("issuer"))).await.unwrap();
    assert!(discovery.text().await.unwrap().contains("ES256"));
}
