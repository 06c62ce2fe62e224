//! Applies a compiled mapping to one person's claims. The same for a login and for a dry run, and it decides nothing about
//! seats, blocks or linking: those are `learners` and `access`.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::compile::{CompiledAccess, CompiledField, CompiledMapping, CompiledSelector, Grants};
use super::condition::Verdict;
use super::expr::Failure;
use super::limits::{MAX_ATTRIBUTE_VALUES, MAX_FIELD_BYTES, MAX_UNKNOWN_LISTED};
use super::mapping::{MatchBy, MatchWord, Role, SyncMode, UpdatePolicy};
use super::outcome::{
    AttributeOutcome, FieldOutcome, Outcome, ProfileOutcome, Refusal, RuleKind, RuleTrace, WantedGrant,
};
use super::reading::{Read, Reading, Reads};
use super::text::{comparable, email_domain, fold, nfc};
use super::value::Claims;

const EXPRESSION_REFUSED: &str = "Your organisation's sign-in is set up with a rule that does not work for your account. Ask your administrator to look at it.";
const NOTHING_GRANTED: &str =
    "Your organisation signed you in, but nothing here is assigned to you. Ask your administrator for access.";

/// Everything a mapping may look at.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub claims: &'a Claims,
    /// The IdP's lasting name for the person: NameID or `sub`.
    pub subject: &'a str,
    pub connection: ConnectionFacts<'a>,
    /// Every sublicense of the client.
    pub sublicenses: &'a [SublicenseFacts],
    /// Whether the attempt carries a code or an invite, which counts as a yield.
    pub carries_entitlement: bool,
}

/// What an expression may know of the connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub protocol: &'a str,
}

/// What names a sublicense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SublicenseFacts {
    pub slug: String,
    pub sku: Option<String>,
    pub refs: BTreeMap<String, String>,
}

impl CompiledMapping {
    /// Says what becomes of this person. Never fails: what goes wrong is a refusal in the outcome.
    pub fn apply(&self, input: &Input<'_>) -> Outcome {
        let mut run = Run {
            reading: Reading::new(input.claims, input.subject, input.connection),
            sublicenses: input.sublicenses,
            by_slug: OnceCell::new(),
            reads: Reads::default(),
            rules: Vec::with_capacity(self.require.len() + self.access.len() + 1),
            wanted: Vec::new(),
            unknown: Vec::new(),
            unknown_count: 0,
            refusal: None,
        };
        let email = run.field("/profile/email", self.profile.email.as_ref());
        let domain = email.value.as_deref().and_then(email_domain);
        run.reading.email_domain.get_or_init(|| domain.clone());
        let email_verified = email_verified(input.claims, email.value.as_deref());
        let profile = ProfileOutcome {
            email,
            first_name: run.field("/profile/first_name", self.profile.first_name.as_ref()),
            last_name: run.field("/profile/last_name", self.profile.last_name.as_ref()),
            locale: run.field("/profile/locale", self.profile.locale.as_ref()),
            external_id: run.field("/profile/external_id", self.profile.external_id.as_ref()),
        };
        let attributes = self
            .profile
            .attributes
            .iter()
            .map(|(name, field)| (name.to_string(), run.attribute(name, field)))
            .collect();
        let failed_requirement = self.require(&mut run);
        let mut access_reads = Reads::default();
        for (index, rule) in self.access.iter().enumerate() {
            run.access(&format!("/access/{index}"), rule, &mut access_reads);
        }
        let used_fallback = self.fallback(&mut run, input.carries_entitlement);
        if run.wanted.is_empty() && !input.carries_entitlement {
            run.refuse("mapping.nothing_granted", NOTHING_GRANTED);
        }
        let (removal_allowed, removal_why) = self.removal(&run, failed_requirement.as_ref().unwrap_or(&access_reads));
        run.reads.merge(access_reads);
        Outcome {
            profile,
            attributes,
            email_domain: domain,
            email_verified,
            grants: if run.refusal.is_some() { Vec::new() } else { run.wanted },
            unknown_values: run.unknown,
            unknown_value_count: run.unknown_count,
            rules: run.rules,
            used_fallback,
            refusal: run.refusal,
            missing_claims: run.reads.missing.into_iter().collect(),
            overage_claims: run.reads.overage.into_iter().collect(),
            sync: self.sync,
            removal_allowed,
            removal_why,
        }
    }

    /// Judges every requirement; gives what the first unmet one had looked for in vain.
    fn require(&self, run: &mut Run<'_>) -> Option<Reads> {
        let mut first_unmet = None;
        for (index, requirement) in self.require.iter().enumerate() {
            let mut reads = Reads::default();
            let judged = requirement.that.judge(&run.reading, &mut reads);
            let met = matches!(&judged, Ok(judged) if judged.verdict == Verdict::Holds);
            let path = format!("/require/{index}");
            match judged {
                Ok(judged) => run.trace(path, RuleKind::Require, met, judged.why),
                Err(failure) => run.fail(path, RuleKind::Require, failure),
            }
            if !met {
                run.refuse("mapping.required", &requirement.otherwise);
                first_unmet.get_or_insert(reads.clone());
            }
            run.reads.merge(reads);
        }
        first_unmet
    }

    /// Grants the fallback when nothing else yields.
    fn fallback(&self, run: &mut Run<'_>, carries_entitlement: bool) -> bool {
        let Some((slugs, role)) = &self.fallback else { return false };
        let path = "/fallback".to_owned();
        if !run.wanted.is_empty() {
            run.trace(path, RuleKind::Fallback, false, "a rule yielded, so that the fallback is not needed".to_owned());
            return false;
        }
        if carries_entitlement {
            run.trace(
                path,
                RuleKind::Fallback,
                false,
                "the code or invite that the person brings counts as a yield".to_owned(),
            );
            return false;
        }
        let (grants, unknown) = run.named(slugs, *role);
        let used = !grants.is_empty();
        run.yields(path, RuleKind::Fallback, grants, format!("no rule yielded{unknown}"));
        used
    }

    /// A missing claim is not an empty one: only who is known to have lost something loses it.
    fn removal(&self, run: &Run<'_>, reads: &Reads) -> (bool, String) {
        match self.sync {
            SyncMode::Add => (false, "`sync` is `add`, which removes nothing".to_owned()),
            SyncMode::FirstLogin => (false, "`sync` is `first_login`, which removes nothing".to_owned()),
            SyncMode::Replace if run.refusal.as_ref().is_some_and(|refusal| refusal.code == "mapping.expression") => {
                (false, "an expression failed, so that what the person should have is not known".to_owned())
            }
            SyncMode::Replace if !reads.is_complete() => {
                (false, format!("not every claim that decides on access was sent: {}", reads.names()))
            }
            SyncMode::Replace => (true, "every claim that decides on access was sent".to_owned()),
        }
    }
}

/// One application of a mapping.
struct Run<'a> {
    reading: Reading<'a>,
    sublicenses: &'a [SublicenseFacts],
    by_slug: OnceCell<HashMap<String, &'a str>>,
    /// What profile and requirements looked for in vain.
    reads: Reads,
    rules: Vec<RuleTrace>,
    wanted: Vec<WantedGrant>,
    unknown: Vec<String>,
    unknown_count: usize,
    refusal: Option<Refusal>,
}

/// What a selector found.
enum Picked {
    Values(Vec<String>),
    Missing(String),
}

impl<'a> Run<'a> {
    /// The first refusal stays; but an expression that failed goes before all, because it is nobody's fault but the mapping's.
    fn refuse(&mut self, code: &'static str, message: &str) {
        let stays = self.refusal.as_ref().is_some_and(|earlier| code != "mapping.expression" || earlier.code == code);
        if !stays {
            self.refusal = Some(Refusal { code, message: message.to_owned() });
        }
    }

    fn trace(&mut self, path: String, kind: RuleKind, fired: bool, why: String) {
        self.rules.push(RuleTrace { path, kind, fired, why, grants: Vec::new(), detail: None });
    }

    fn fail(&mut self, path: String, kind: RuleKind, failure: Failure) {
        self.refuse("mapping.expression", EXPRESSION_REFUSED);
        let why = failure.reason.to_owned();
        self.rules.push(RuleTrace { path, kind, fired: false, why, grants: Vec::new(), detail: failure.detail });
    }

    fn yields(&mut self, path: String, kind: RuleKind, grants: Vec<WantedGrant>, why: String) {
        for grant in &grants {
            match self.wanted.iter_mut().find(|wanted| wanted.sublicense == grant.sublicense) {
                Some(wanted) => wanted.role = wanted.role.max(grant.role),
                None => self.wanted.push(grant.clone()),
            }
        }
        self.rules.push(RuleTrace { path, kind, fired: !grants.is_empty(), why, grants, detail: None });
    }

    fn pick(&self, selector: &CompiledSelector, reads: &mut Reads) -> Result<Picked, Failure> {
        match selector {
            CompiledSelector::Claim(name) => Ok(match self.reading.read(name, reads) {
                Read::Values(values) => Picked::Values(values.to_vec()),
                Read::Missing(why) | Read::Overage(why) => Picked::Missing(why),
            }),
            CompiledSelector::Expr(expr) => {
                let mut own = Reads::default();
                let values = expr.values(&self.reading, &mut own)?;
                let why = own.overage_reason().or_else(|| own.missing_reason(self.reading.claims));
                reads.merge(own);
                Ok(values.map_or_else(
                    || Picked::Missing(why.unwrap_or_else(|| "the expression yields nothing".to_owned())),
                    Picked::Values,
                ))
            }
            CompiledSelector::FirstOf(alternatives) => self.first_of(alternatives, reads),
        }
    }

    /// The first alternative with a value; else an empty one that was sent; else all of them are missing.
    fn first_of(&self, alternatives: &[CompiledSelector], reads: &mut Reads) -> Result<Picked, Failure> {
        let (mut in_vain, mut sent_empty, mut whys) = (Reads::default(), false, Vec::new());
        for alternative in alternatives {
            match self.pick(alternative, &mut in_vain)? {
                Picked::Values(values) if values.iter().any(|value| !value.trim().is_empty()) => {
                    reads.overage.extend(in_vain.overage);
                    return Ok(Picked::Values(values));
                }
                Picked::Values(_) => sent_empty = true,
                Picked::Missing(why) => whys.push(why),
            }
        }
        reads.merge(in_vain);
        Ok(if sent_empty { Picked::Values(Vec::new()) } else { Picked::Missing(whys.join("; ")) })
    }

    fn field(&mut self, path: &str, field: Option<&CompiledField>) -> FieldOutcome {
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

    fn attribute(&mut self, name: &str, field: &CompiledField) -> AttributeOutcome {
        let (values, missing, why) = self.profile_values(&format!("/profile/attributes/{name}"), &field.from);
        AttributeOutcome { values, policy: field.policy, missing, why }
    }

    /// Values fit for a profile: trimmed, in NFC, not blank, storable, not too long, not too many.
    fn profile_values(&mut self, path: &str, from: &CompiledSelector) -> (Vec<String>, bool, Option<String>) {
        let mut reads = Reads::default();
        let picked = self.pick(from, &mut reads);
        self.reads.merge(reads);
        let values = match picked {
            Ok(Picked::Values(values)) => values,
            Ok(Picked::Missing(why)) => return (Vec::new(), true, Some(why)),
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

    fn access(&mut self, path: &str, rule: &CompiledAccess, reads: &mut Reads) {
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
    fn named(&self, slugs: &[Box<str>], role: Role) -> (Vec<WantedGrant>, String) {
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
        let values = match self.pick(selector, reads) {
            Ok(Picked::Values(values)) => values,
            Ok(Picked::Missing(why)) => return self.trace(path, RuleKind::From, false, why),
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

/// OpenID Connect Core 5.1: the claim speaks of the claim `email`, so that it verifies no address that came from elsewhere.
/// "Not verified" is believed in any case.
fn email_verified(claims: &Claims, mapped: Option<&str>) -> Option<bool> {
    let said = claims.get("email_verified")?;
    let is = |value: &String, words: [&str; 2]| words.iter().any(|word| value.trim().eq_ignore_ascii_case(word));
    if said.iter().any(|value| is(value, ["false", "0"])) {
        return Some(false);
    }
    let about_this =
        matches!((claims.get("email"), mapped), (Some([only]), Some(mapped)) if fold(only.trim()) == fold(mapped));
    (about_this && !said.is_empty() && said.iter().all(|value| is(value, ["true", "1"]))).then_some(true)
}
