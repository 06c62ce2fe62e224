//! Content: references into the learning platform, granted to a client or to some of its sublicenses.

pub mod pages;
