//! One reading of one person's claims: what the rules looked at, what was missing, and what is worked out only once.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use regex::Regex;

use super::apply::ConnectionFacts;
use super::expr::Failure;
use super::limits::MAX_MATCHED_BYTES;
use super::text::{comparable, nfc};
use super::value::Claims;

/// The claims that a rule looked for and did not find.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// Not sent.
    pub missing: BTreeSet<String>,
    /// Not sent, with a link in their place.
    pub overage: BTreeSet<String>,
}

impl Reads {
    pub(super) fn merge(&mut self, other: Self) {
        self.missing.extend(other.missing);
        self.overage.extend(other.overage);
    }

    /// Whether every claim that was looked for was sent.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.overage.is_empty()
    }

    /// Why there is no value, for a trace; nothing when every claim that was looked for was sent.
    pub(super) fn reason(&self, claims: &Claims) -> Option<String> {
        if let Some(name) = self.overage.first() {
            return Some(format!(
                "the IdP sent a link in place of the claim `{name}`, because the person is in too many groups: limit at the IdP which groups it sends"
            ));
        }
        match self.missing.len() {
            0 => None,
            1 => self.missing.first().map(|name| missing_reason(name, claims)),
            _ => {
                let slip = self.missing.iter().find_map(|name| slip(name, claims));
                Some(format!("none of the claims {} was sent{}", self.names(), slip.unwrap_or_default()))
            }
        }
    }

    /// The names, for a sentence.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.missing.union(&self.overage).map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }
}

fn missing_reason(name: &str, claims: &Claims) -> String {
    if claims.has_below(name) {
        return format!("the claim `{name}` holds further claims; name one of them, as in `{name}.…`");
    }
    format!("the claim `{name}` was not sent{}", slip(name, claims).unwrap_or_default())
}

/// The usual slip: the IdP sent the claim in another case.
fn slip(name: &str, claims: &Claims) -> Option<String> {
    let sent = claims.look_alike(name)?;
    Some(format!("; the IdP sent `{sent}`, and names are compared with regard to case"))
}

/// What was found under a claim's name.
pub(super) enum Read<'a> {
    Values(&'a [String]),
    Missing,
    Overage,
}

/// A claim's values as they are compared, by name and by whether case counts.
type Compared = HashMap<(String, bool), Rc<HashSet<String>>>;

/// One person's claims while a mapping is applied to them.
pub(super) struct Reading<'a> {
    pub claims: &'a Claims,
    pub subject: &'a str,
    pub connection: ConnectionFacts<'a>,
    pub email_domain: OnceCell<Option<String>>,
    shared: OnceCell<Arc<Claims>>,
    compared: RefCell<Compared>,
    matched_bytes: Cell<usize>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(claims: &'a Claims, subject: &'a str, connection: ConnectionFacts<'a>) -> Self {
        Self {
            claims,
            subject,
            connection,
            email_domain: OnceCell::new(),
            shared: OnceCell::new(),
            compared: RefCell::default(),
            matched_bytes: Cell::new(0),
        }
    }

    /// The domain of the mapped e-mail, once that is known.
    pub(super) fn email_domain(&self) -> Option<&str> {
        self.email_domain.get().and_then(Option::as_deref)
    }

    /// Looks for a claim and notes what was not found.
    pub(super) fn read(&self, name: &str, reads: &mut Reads) -> Read<'a> {
        if let Some(values) = self.claims.get(name) {
            Read::Values(values)
        } else if self.claims.is_overage(name) {
            reads.overage.insert(name.to_owned());
            Read::Overage
        } else {
            reads.missing.insert(name.to_owned());
            Read::Missing
        }
    }

    /// Whether a claim has a value that is this, which is already in the form in which values are compared.
    pub(super) fn has_value(&self, name: &str, case_sensitive: bool, wanted: &str) -> bool {
        self.compared_values(name, case_sensitive).contains(wanted)
    }

    /// A claim's values in the form in which they are compared: with thousands of groups and hundreds of rules, made once.
    pub(super) fn compared_values(&self, name: &str, case_sensitive: bool) -> Rc<HashSet<String>> {
        let key = (name.to_owned(), case_sensitive);
        let mut known = self.compared.borrow_mut();
        let set = known.entry(key).or_insert_with(|| {
            let values = self.claims.get(name).unwrap_or_default();
            Rc::new(values.iter().map(|value| comparable(value, case_sensitive)).collect())
        });
        Rc::clone(set)
    }

    /// Whether a pattern matches one of the values; all patterns of a sign-in share one allowance of bytes.
    pub(super) fn any_match(&self, pattern: &Regex, values: &[String]) -> Result<bool, Failure> {
        for value in values {
            let spent = self.matched_bytes.get() + value.len();
            if spent > MAX_MATCHED_BYTES {
                return Err(Failure::too_much_matching());
            }
            self.matched_bytes.set(spent);
            if pattern.is_match(&nfc(value)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The claims as expressions hold them; copied only when a mapping has an expression.
    pub(super) fn shared_claims(&self) -> Arc<Claims> {
        Arc::clone(self.shared.get_or_init(|| Arc::new(self.claims.clone())))
    }
}
