//! Clients, what names them from outside, and their sublicenses.
//!
//! | use case | where |
//! |---|---|
//! | make a client, with its default sublicense | [`create`] |
//! | change one | [`update`] |
//! | vouch for an e-mail domain, or take that back | [`vouch`], [`unvouch`] |
//! | make, change, delete a sublicense | [`create_sublicense`], [`update_sublicense`], [`delete_sublicense`] |
//! | which sublicenses a request names | [`sublicenses_named`] |
//! | upload or take away a logo or background | [`put_picture`], [`remove_picture`]; decoded and written anew in `picture.rs` |
//! | custom CSS, sanitised | `css/`, published by `brand_files.rs` |
//! | what the learner's path asks of a client | [`Directory`], cached by version |
//! | which client a host name leads to | [`lead`], before routing |
//! | where the client's pages are, and every link to them | [`Site`] |
//!
//! Invariants: a slug never changes and is never a reserved word; every client has exactly one default sublicense; only
//! an organisation's own domain can be vouched for, never a public mail domain or a public suffix; every change that a
//! page or a sign-in could notice grows the client's version, in the transaction of the change; no byte of an uploaded
//! picture or of typed CSS is served, only what was made of it.

pub mod api;
mod brand_files;
mod branding;
mod branding_api;
mod change;
mod create;
mod css;
mod directory;
pub mod domain;
mod hosts;
mod model;
mod names;
pub mod pages;
mod picture;
mod rules;
mod site;
mod store;
mod store_branding;
mod store_facts;
mod store_sublicenses;
mod sublicense;
mod sublicense_api;
mod sublicense_change;
mod update;
mod vouch;

pub use brand_files::{put_picture, remove_picture};
pub use branding::{Branding, BrandingChange, Color};
pub use change::{ClientChange, DomainEntry, NewClient};
pub use create::create;
pub use directory::{ClientFacts, Directory, SublicenseFacts};
pub use hosts::lead;
pub use model::{Client, ClientError, ClientStatus, EmailDomain, Sublicense};
pub use names::{sublicense_named, sublicenses_named};
pub use rules::{Surroundings, is_locale, is_plain_text, is_sane_date, web_url};
pub use site::{OpenSite, Place, Site};
pub use store_facts::longest_session;
pub use sublicense::{create_sublicense, delete_sublicense, find_sublicense, update_sublicense};
pub use sublicense_change::{NewSublicense, SublicenseChange};
pub use update::{find, update};
pub use vouch::{unvouch, vouch};
