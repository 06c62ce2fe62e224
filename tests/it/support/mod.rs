//! What tests stand on: a running gateway with a database and key prefix of its own, browsers, admins, and servers
//! that can be made to fail.
//!
//! | file | holds |
//! |---|---|
//! | `app.rs` | `App`: a gateway on a free port of loopback, and replicas of it |
//! | `stage.rs` | the database and the Redis prefix of one test, removed with it |
//! | `browser.rs` | `Browser`: cookies, `SameSite`, origins, forms, redirects one at a time |
//! | `html.rs` | forms and text of a page |
//! | `admin.rs` | `Admin`: API calls with a token |
//! | `scene.rs` | a client, its connection and a fixture identity provider, made over the API |
//! | `codes.rs` | codes with any terms |
//! | `person.rs` | somebody who is signed in |
//! | `logs.rs` | what the process logged |
//! | `smtp.rs`, `smtp_wire.rs` | `Smtp`: a mail server that does as it is told |
//! | `post.rs` | `Post`: a gateway whose mails go there |
//! | `peers.rs` | identity providers that nobody here wrote |
//! | `servers.rs` | Redis with Sentinels, a Cluster, PgBouncer: children of one test |
//! | `flaky.rs` | `Flaky`: a proxy that cuts, stalls and restores a server |

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod admin;
mod app;
mod browser;
pub mod codes;
mod flaky;
mod html;
mod logs;
mod peers;
pub mod post;
mod person;
mod scene;
pub mod servers;
pub mod smtp;
mod smtp_wire;
mod stage;

pub use admin::{Admin, Reply};
pub use app::{App, Options};
pub use browser::{Browser, Page};
pub use codes::Code;
pub use flaky::Flaky;
pub use html::Form;
pub use logs::log_text;
pub use peers::Peer;
pub use person::{idp_session, sign_in};
pub use post::Post;
pub use scene::{SamlScene, client, merge};
pub use smtp::Smtp;
