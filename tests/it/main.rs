//! The one test binary: everything that speaks HTTP or SQL, one file per feature.

// Tests say what went wrong by panicking, outside `#[test]` functions too.
#![allow(clippy::unwrap_used, clippy::panic)]
// A test may ask the real clock what it compares with.
#![allow(clippy::disallowed_methods)]

mod support;

mod access;
mod accounts;
mod api_clients;
mod api_content;
mod api_learners;
mod api_tokens;
mod apply;
mod branding_css;
mod branding_pictures;
mod browser;
mod codes;
mod config;
mod connections;
mod demo;
mod error_codes;
mod guessing;
mod health;
mod home;
mod hosts;
mod hosts_attacks;
mod hosts_sign_in;
mod imports;
mod invites;
mod keys;
mod logout;
mod mail_api;
mod mail_catcher;
mod mail_faults;
mod mail_look;
mod mail_send;
mod mapping;
mod oidc;
mod outbound;
mod outbound_tls;
mod pages;
mod peers;
mod roster_access;
mod roster_change;
mod roster_move;
mod roster_search;
mod replicas;
mod redeem_in_a_browser;
mod redeem_sign_up;
mod redeem_signed_in;
mod redeem_sso;
mod saml_attacks;
mod saml_attacks_http;
mod saml_logout;
mod saml_verify;
mod seats;
mod shared;
mod sign_in_faults;
mod sign_in_idp_initiated;
mod sign_in_oidc;
mod sign_in_rules;
mod sign_in_saml;
mod tidy;
mod tidy_schema;
mod tls;
mod vendors;
