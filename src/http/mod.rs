//! The web edge that every surface shares. It knows axum and nothing of the business.
//!
//! | file | holds |
//! |---|---|
//! | `problem.rs` | RFC 9457 errors with a stable code and a reference |
//! | `reference.rs` | the reference of a request, and the address it came from |
//! | `layers.rs` | what wraps every route: reference, log line, security headers, limits, panics |
//! | `limits.rs` | rates per address and per client |
//! | `cookies.rs` | the few cookies, each with the strictest attributes that work |
//! | `browser_key.rs` | the browser's stable cookie, and what is remembered for that browser alone |
//! | `notice.rs` | what a learner is told once, on the page where they land |
//! | `guessing.rs` | failures counted per learner, address and client, so that nobody guesses codes |
//! | `csrf.rs` | refusal of form posts from other sites |
//! | `csv.rs` | rows as CSV that no spreadsheet runs |
//! | `return_to.rs` | where a learner goes after signing in: a page of the same site |
//! | `host.rs` | which host a request was made to |
//! | `paging.rs` | `limit`, `cursor` and `next_cursor` |
//! | `page.rs` | what every page shares: brand, rendering, neutral pages, forms that send themselves on |
//! | `text.rs` | every word that a learner reads |
//! | `theme.rs` | the stylesheet that a client's two colours make |
//! | `assets.rs` | static files: `static/`; the markup is in `templates/` |
//! | `health.rs` | `/healthz`, `/readyz`, `/metrics` |

pub mod assets;
pub mod browser_key;
pub mod cookies;
pub mod csrf;
pub mod csv;
pub mod guessing;
pub mod health;
pub mod host;
pub mod layers;
pub mod limits;
pub mod notice;
pub mod page;
pub mod paging;
pub mod problem;
pub mod reference;
pub mod return_to;
pub mod text;
pub mod theme;

pub use browser_key::BrowserKey;
pub use host::OwnHost;
pub use problem::Problem;
pub use reference::{ClientAddress, Reference};
