//! Usher: the front door between organisations' identity providers and a learning platform.
//!
//! The modules are listed in the order in which they may use each other: each knows only those above it.

// Kernel: no business in it.
pub mod app;
pub mod cache;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod entropy;
pub mod fault;
pub mod ids;
pub mod outbound;
pub mod telemetry;
pub mod work;
// The web edge.
pub mod http;
// What everything below leaves behind, and what identity providers say.
pub mod audit;
pub mod claims;
// The admin API's callers.
pub mod admin;
// Domains.
pub mod clients;
pub mod mail;
pub mod connections;
pub mod learners;
pub mod access;
pub mod sessions;
pub mod accounts;
pub mod content;
pub mod roster;
pub mod invites;
pub mod codes;
pub mod imports;
pub mod login;
pub mod keys;
pub mod jobs;
// What binds it all together.
pub mod openapi;
pub mod router;
pub mod server;
pub mod worker;
// The command line.
pub mod apply;
pub mod dev;
