//! Keys and certificates over time: rings that differ during a rollout, values brought under a new key, processes killed
//! in the middle of it, and warnings before a certificate ends.

mod certificates;
mod killed;
mod rings;
mod rotate;
mod setup;
