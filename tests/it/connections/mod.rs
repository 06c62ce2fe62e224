//! Connections and their mappings over the admin API: what is saved, refused, refreshed, and tried.

mod evaluate;
mod keys;
mod mapping;
mod refresh;
mod save;
mod setup;
mod tenancy;
