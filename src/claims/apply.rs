//! Applies a compiled mapping to one person's claims. The same for a login and for a dry run, and it decides nothing about
//! seats, blocks or linking: those are `learners` and `access`.

use std::collections::BTreeMap;

use super::compiled::CompiledMapping;
use super::condition::Verdict;
use super::mapping::SyncMode;
use super::outcome::{Outcome, ProfileOutcome, RuleKind};
use super::reading::Reads;
use super::run::Run;
use super::text::{email_domain, fold};
use super::value::Claims;

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
        let mut run = Run::new(input);
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
