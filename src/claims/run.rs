//! One application of a mapping: what its rules look at, grant and leave behind as they go by.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::apply::{Input, SublicenseFacts};
use super::compiled::{CompiledAccess, CompiledField, CompiledSelector, Grants};
use super::condition::Verdict;
use super::expr::Failure;
use super::limits::{MAX_ATTRIBUTE_VALUES, MAX_FIELD_BYTES, MAX_UNKNOWN_LISTED};
use super::mapping::{MatchBy, MatchWord, Role, UpdatePolicy};
use super::outcome::{AttributeOutcome, FieldOutcome, Refusal, RuleKind, RuleTrace, WantedGrant};
use super::reading::{Read, Reading, Reads};
use super::text::{comparable, fold, nfc};

const EXPRESSION_REFUSED: &str = "Your organisation's sign-in is set up with a rule that does not work for your account. Ask your administrator to look at it.";

/// One application of a mapping.
pub(super) struct Run<'a> {
    pub reading: Reading<'a>,
    pub sublicenses: &'a [SublicenseFacts],
    by_slug: OnceCell<HashMap<String, &'a str>>,
    /// What profile and requirements looked for in vain.
    pub reads: Reads,
    pub rules: Vec<RuleTrace>,
    pub wanted: Vec<WantedGrant>,
    pub unknown: Vec<String>,
    pub unknown_count: usize,
    pub refusal: Option<Refusal>,
}

impl<'a> Run<'a> {
    pub(super) fn new(input: &Input<'a>) -> Self {
        Self {
            reading: Reading::new(input.claims, input.subject, input.connection),
            sublicenses: input.sublicenses,
            by_slug: OnceCell::new(),
            reads: Reads::default(),
            rules: Vec::new(),
            wanted: Vec::new(),
            unknown: Vec::new(),
            unknown_count: 0,
            refusal: None,
        }
    }

    /// The first refusal stays; but an expression that failed goes before all, because it is nobody's fault but the mapping's.
    pub(super) fn refuse(&mut self, code: &'static str, message: &str) {
        let stays = self.refusal.as_ref().is_some_and(|earlier| code != "mapping.expression" || earlier.code == code);
        if !stays {
            self.refusal = Some(Refusal { code, message: message.to_owned() });
        }
    }

    pub(super) fn trace(&mut self, path: String, kind: RuleKind, fired: bool, why: String) {
        self.rules.push(RuleTrace { path, kind, fired, why, grants: Vec::new(), detail: None });
    }

    pub(super) fn fail(&mut self, path: String, kind: RuleKind, failure: Failure) {
        self.refuse("mapping.expression", EXPRESSION_REFUSED);
        let why = failure.reason.to_owned();
        self.rules.push(RuleTrace { path, kind, fired: false, why, grants: Vec::new(), detail: failure.detail });
    }

    pub(super) fn yields(&mut self, path: String, kind: RuleKind, grants: Vec<WantedGrant>, why: String) {
        for grant in &grants {
            match self.wanted.iter_mut().find(|wanted| wanted.sublicense == grant.sublicense) {
                Some(wanted) => wanted.role = wanted.role.max(grant.role),
                None => self.wanted.push(grant.clone()),
            }
        }
        self.rules.push(RuleTrace { path, kind, fired: !grants.is_empty(), why, grants, detail: None });
    }

    /// The values that a selector finds; nothing when what it looks for is missing, and then `reads` says why.
    pub(super) fn pick(&self, selector: &CompiledSelector, reads: &mut Reads) -> Result<Option<Vec<String>>, Failure> {
        match selector {
            CompiledSelector::Claim(name) => Ok(match self.reading.read(name, reads) {
                Read::Values(values) => Some(values.to_vec()),
                Read::Missing | Read::Overage => None,
            }),
            CompiledSelector::Expr(expr) => expr.values(&self.reading, reads),
            CompiledSelector::FirstOf(alternatives) => self.first_of(alternatives, reads),
        }
    }

    /// The first alternative with a value; else an empty one that was sent; else all of them are missing.
    fn first_of(&self, alternatives: &[CompiledSelector], reads: &mut Reads) -> Result<Option<Vec<String>>, Failure> {
        let (mut in_vain, mut sent_empty) = (Reads::default(), false);
        for alternative in alternatives {
            match self.pick(alternative, &mut in_vain)? {
                Some(values) if values.iter().any(|value| !value.trim().is_empty()) => {
                    reads.overage.extend(in_vain.overage);
                    return Ok(Some(values));
                }
                Some(_) => sent_empty = true,
                None => {}
            }
        }
        reads.merge(in_vain);
        Ok(sent_empty.then(Vec::new))
    }

    /// Why a selector found nothing.
    pub(super) fn nothing_found(&self, reads: &Reads) -> String {
        reads.reason(self.reading.claims).unwrap_or_else(|| "the expression yields nothing".to_owned())
    }

    pub(super) fn field(&mut self, path: &str, field: Option<&CompiledField>) -> FieldOutcome {
        let Some(CompiledField { from, policy }) = field else {
            return FieldOutcome {
                value: None,
                policy: UpdatePolicy::Always,
                missing: true,
                why: Some("the mapping does not name it".to_owned()),
            };
        };
        let (values, missing, why) = self.profile_values(path, from);
        FieldOutcome { value: values.into_iter().next(), policy: *policy, missing, why }
    }

    pub(super) fn attribute(&mut self, name: &str, field: &CompiledField) -> AttributeOutcome {
        let (values, missing, why) = self.profile_values(&format!("/profile/attributes/{name}"), &field.from);
        AttributeOutcome { values, policy: field.policy, missing, why }
    }

    /// Values fit for a profile: trimmed, in NFC, not blank, storable, not too long, not too many.
    fn profile_values(&mut self, path: &str, from: &CompiledSelector) -> (Vec<String>, bool, Option<String>) {
        let mut reads = Reads::default();
        let picked = self.pick(from, &mut reads);
        let nothing_found = matches!(picked, Ok(None)).then(|| self.nothing_found(&reads));
        self.reads.merge(reads);
        let values = match picked {
            Ok(Some(values)) => values,
            Ok(None) => return (Vec::new(), true, nothing_found),
            Err(failure) => {
                let why = failure.reason.to_owned();
                self.fail(path.to_owned(), RuleKind::Profile, failure);
                return (Vec::new(), true, Some(why));
            }
        };
        let values: Vec<_> = values.iter().map(|value| nfc(value.trim())).filter(|value| !value.is_empty()).collect();
        if values.is_empty() {
            return (values, false, Some("the claim was sent without a value".to_owned()));
        }
        let unfit = if values.iter().any(|value| value.len() > MAX_FIELD_BYTES) {
            format!("the value is longer than {MAX_FIELD_BYTES} bytes")
        } else if values.iter().any(|value| value.chars().any(char::is_control)) {
            "the value holds a control character".to_owned()
        } else if values.len() > MAX_ATTRIBUTE_VALUES {
            format!("the claim has more than {MAX_ATTRIBUTE_VALUES} values")
        } else {
            return (values, false, None);
        };
        (Vec::new(), true, Some(format!("{unfit}, so that it is not taken")))
    }

    pub(super) fn access(&mut self, path: &str, rule: &CompiledAccess, reads: &mut Reads) {
        let path = path.to_owned();
        let kind = match rule.grants {
            Grants::Named(_) => RuleKind::Access,
            Grants::From { .. } => RuleKind::From,
        };
        let why = match &rule.when {
            None => None,
            Some(condition) => match condition.judge(&self.reading, reads) {
                Err(failure) => return self.fail(path, kind, failure),
                Ok(judged) if judged.verdict != Verdict::Holds => return self.trace(path, kind, false, judged.why),
                Ok(judged) => Some(judged.why),
            },
        };
        match &rule.grants {
            Grants::Named(slugs) => {
                let (grants, unknown) = self.named(slugs, rule.role);
                self.yields(path, kind, grants, format!("{}{unknown}", why.unwrap_or_default()));
            }
            Grants::From { selector, match_by, case_sensitive } => {
                self.from(path, selector, match_by.as_ref(), *case_sensitive, rule.role, reads);
            }
        }
    }

    /// The named sublicenses that the client has, and a remark on those that it has not.
    pub(super) fn named(&self, slugs: &[Box<str>], role: Role) -> (Vec<WantedGrant>, String) {
        let by_slug = self
            .by_slug
            .get_or_init(|| self.sublicenses.iter().map(|one| (fold(&one.slug), one.slug.as_str())).collect());
        let (mut grants, mut unknown) = (Vec::new(), String::new());
        for slug in slugs {
            match by_slug.get(&fold(slug)) {
                Some(known) => grants.push(WantedGrant { sublicense: (*known).to_owned(), role }),
                None => unknown.push_str(&format!("; the client has no sublicense `{slug}`")),
            }
        }
        (grants, unknown)
    }

    /// Grants the sublicenses that the values of a claim name.
    fn from(
        &mut self,
        path: String,
        selector: &CompiledSelector,
        by: Option<&MatchBy>,
        case_sensitive: bool,
        role: Role,
        reads: &mut Reads,
    ) {
        let mut own = Reads::default();
        let picked = self.pick(selector, &mut own);
        let nothing_found = matches!(picked, Ok(None)).then(|| self.nothing_found(&own));
        reads.merge(own);
        let values = match picked {
            Ok(Some(values)) => values,
            Ok(None) => return self.trace(path, RuleKind::From, false, nothing_found.unwrap_or_default()),
            Err(failure) => return self.fail(path, RuleKind::From, failure),
        };
        let wanted: Rc<HashSet<String>> = match selector {
            CompiledSelector::Claim(name) => self.reading.compared_values(name, case_sensitive),
            _ => Rc::new(values.iter().map(|value| comparable(value, case_sensitive)).collect()),
        };
        let mut matched = HashSet::new();
        let mut grants = Vec::new();
        for sublicense in self.sublicenses {
            let before = grants.len();
            for name in sublicense.names(by) {
                let name = comparable(name, case_sensitive);
                if !name.is_empty() && wanted.contains(&name) {
                    matched.insert(name);
                    if grants.len() == before {
                        grants.push(WantedGrant { sublicense: sublicense.slug.clone(), role });
                    }
                }
            }
        }
        let mut unknown = 0;
        let mut seen = HashSet::new();
        for value in &values {
            let value_compared = comparable(value, case_sensitive);
            if value.trim().is_empty() || matched.contains(&value_compared) || !seen.insert(value_compared) {
                continue;
            }
            unknown += 1;
            if self.unknown.len() < MAX_UNKNOWN_LISTED && !self.unknown.contains(value) {
                self.unknown.push(value.clone());
            }
        }
        self.unknown_count += unknown;
        let by = MatchBy::word(by);
        let why = match (values.len(), unknown) {
            (0, _) => "the claim was sent without a value".to_owned(),
            (_, 0) => format!("each value is the {by} of a sublicense"),
            (all, unknown) => format!("of {all} values, {unknown} are no {by} of a sublicense"),
        };
        self.yields(path, RuleKind::From, grants, why);
    }
}

impl SublicenseFacts {
    /// The texts that a value may equal.
    fn names<'a>(&'a self, by: Option<&'a MatchBy>) -> impl Iterator<Item = &'a str> {
        let (slug, sku, refs, named) = match by {
            None => (true, true, true, None),
            Some(MatchBy::Word(MatchWord::Slug)) => (true, false, false, None),
            Some(MatchBy::Word(MatchWord::Sku)) => (false, true, false, None),
            Some(MatchBy::Word(MatchWord::Ref)) => (false, false, true, None),
            Some(MatchBy::Named(named)) => (false, false, false, self.refs.get(&named.name)),
        };
        let slug = slug.then_some(self.slug.as_str());
        let sku = self.sku.as_deref().filter(|_| sku);
        let refs = self.refs.values().filter(move |_| refs);
        slug.into_iter().chain(sku).chain(refs.chain(named).map(String::as_str))
    }
}
