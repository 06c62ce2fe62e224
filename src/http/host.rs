//! Which host a request was made to.

/// A client's own host that the request was made to, in its one spelling. Set before routing, where the client's name was
/// put in front of the path; whoever serves a page checks that the host still is the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost(pub Box<str>);
