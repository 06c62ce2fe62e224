//! The mapping as a sign-in relies on it: only [`Mapping::compile`](super::Mapping::compile) makes one.

use super::condition::Compiled;
use super::expr::Expr;
use super::mapping::{MatchBy, MatchWord, Role, SyncMode, UpdatePolicy};

/// A mapping that a sign-in may rely on. It holds no claims, costs a few hundred bytes when it has neither expression nor
/// pattern, and can be shared between threads.
#[derive(Debug)]
pub struct CompiledMapping {
    /// What names the client, on a connection that serves several.
    pub(super) client: Option<CompiledSelector>,
    pub(super) profile: CompiledProfile,
    pub(super) require: Box<[CompiledRequirement]>,
    pub(super) access: Box<[CompiledAccess]>,
    pub(super) fallback: Option<(Box<[Box<str>]>, Role)>,
    pub(super) sync: SyncMode,
}

impl CompiledMapping {
    /// What a later sign-in does to the grants of this connection.
    pub fn sync(&self) -> SyncMode {
        self.sync
    }

    /// The sublicenses that the mapping names, with the place of each, so that an unknown one is told when it is saved.
    pub fn named_sublicenses(&self) -> Vec<(String, &str)> {
        let mut named = Vec::new();
        for (index, rule) in self.access.iter().enumerate() {
            if let Grants::Named(slugs) = &rule.grants {
                named.extend(
                    slugs.iter().enumerate().map(|(n, slug)| (format!("/access/{index}/sublicenses/{n}"), &**slug)),
                );
            }
        }
        if let Some((slugs, _)) = &self.fallback {
            named.extend(slugs.iter().enumerate().map(|(n, slug)| (format!("/fallback/sublicenses/{n}"), &**slug)));
        }
        named
    }
}

#[derive(Debug, Default)]
pub(super) struct CompiledProfile {
    pub email: Option<CompiledField>,
    pub first_name: Option<CompiledField>,
    pub last_name: Option<CompiledField>,
    pub locale: Option<CompiledField>,
    pub external_id: Option<CompiledField>,
    pub attributes: Box<[(Box<str>, CompiledField)]>,
}

#[derive(Debug)]
pub(super) struct CompiledField {
    pub from: CompiledSelector,
    pub policy: UpdatePolicy,
}

#[derive(Debug)]
pub(super) struct CompiledRequirement {
    pub that: Compiled,
    pub otherwise: Box<str>,
}

#[derive(Debug)]
pub(super) struct CompiledAccess {
    pub when: Option<Compiled>,
    pub grants: Grants,
    pub role: Role,
}

#[derive(Debug)]
pub(super) enum Grants {
    Named(Box<[Box<str>]>),
    From { selector: CompiledSelector, match_by: Option<MatchBy>, case_sensitive: bool },
}

#[derive(Debug)]
pub(super) enum CompiledSelector {
    Claim(Box<str>),
    Expr(Expr),
    FirstOf(Box<[CompiledSelector]>),
}

impl CompiledSelector {
    /// Whether an expression looks at the domain of the mapped e-mail.
    pub(super) fn uses_email_domain(&self) -> bool {
        match self {
            Self::Claim(_) => false,
            Self::Expr(expr) => expr.uses_email_domain,
            Self::FirstOf(alternatives) => alternatives.iter().any(Self::uses_email_domain),
        }
    }
}

impl MatchBy {
    /// The word for a trace.
    pub(super) fn word(by: Option<&Self>) -> String {
        match by {
            None => "slug, sku or ref".to_owned(),
            Some(Self::Word(MatchWord::Slug)) => "slug".to_owned(),
            Some(Self::Word(MatchWord::Sku)) => "sku".to_owned(),
            Some(Self::Word(MatchWord::Ref)) => "ref".to_owned(),
            Some(Self::Named(named)) => format!("ref `{}`", named.name),
        }
    }
}
