//! Clients, what names them from outside, and their sublicenses.
//!
//! | use case | where |
//! |---|---|
//! | make a client, with its default sublicense | [`create`] |
//! | change one | [`update`] |
//! | vouch for an e-mail domain, or take that back | [`vouch`], [`unvouch`] |
//! | make, change, delete a sublicense | [`create_sublicense`], [`update_sublicense`], [`delete_sublicense`] |
//! | what the learner's path asks of a client | [`Directory`], cached by version |
//!
//! Invariants: a slug never changes and is never a reserved word; every client has exactly one default sublicense; only
//! an organisation's own domain can be vouched for, never a public mail domain or a public suffix; every change that a
//! page or a sign-in could notice grows the client's version, in the transaction of the change.

pub mod api;
mod branding;
mod change;
mod create;
mod directory;
pub mod domain;
mod model;
pub mod pages;
mod rules;
mod store;
mod store_sublicenses;
mod sublicense;
mod sublicense_api;
mod sublicense_change;
mod update;
mod vouch;

pub use branding::{Branding, BrandingChange, Color};
pub use change::{ClientChange, DomainEntry, NewClient};
pub use create::create;
pub use directory::{ClientFacts, Directory, SublicenseFacts};
pub use model::{Client, ClientError, ClientStatus, EmailDomain, Sublicense};
pub use rules::{Surroundings, is_locale, is_plain_text, web_url};
pub use sublicense::{create_sublicense, delete_sublicense, find_sublicense, update_sublicense};
pub use sublicense_change::{NewSublicense, SublicenseChange};
pub use update::{find, update};
pub use vouch::{unvouch, vouch};
