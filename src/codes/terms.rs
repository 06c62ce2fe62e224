//! What an offer of either kind says, what may change of it, and whether that holds: pure.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    admin::Invalid,
    claims::email_domain,
    clients::{
        domain::{NotOwn, own_domain},
        is_plain_text, is_sane_date,
    },
    ids::SublicenseId,
};

const MAX_LABEL: usize = 200;
const MAX_SUBLICENSES: usize = 100;
const MAX_DOMAINS: usize = 100;
const ACCESS_DAYS: std::ops::RangeInclusive<i32> = 1..=36_500;

/// The terms of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Terms {
    pub label: String,
    pub sublicenses: Vec<SublicenseId>,
    pub max_redemptions: Option<i32>,
    pub starts_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub access_days: Option<i32>,
    pub access_ends_at: Option<DateTime<Utc>>,
    pub email_domains: Vec<String>,
    pub active: bool,
    pub prefix: String,
    pub length: i32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            label: String::new(),
            sublicenses: Vec::new(),
            max_redemptions: None,
            starts_at: None,
            expires_at: None,
            access_days: None,
            access_ends_at: None,
            email_domains: Vec::new(),
            active: true,
            prefix: String::new(),
            length: 12,
        }
    }
}

/// A change of terms; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(super) struct TermsChange {
    pub label: Option<String>,
    /// Ids or slugs, the whole list.
    pub sublicenses: Option<Vec<String>>,
    pub max_redemptions: Option<Option<i32>>,
    pub starts_at: Option<Option<DateTime<Utc>>>,
    pub expires_at: Option<Option<DateTime<Utc>>>,
    pub access_days: Option<Option<i32>>,
    pub access_ends_at: Option<Option<DateTime<Utc>>>,
    pub email_domains: Option<Vec<String>>,
    pub active: Option<bool>,
    pub prefix: Option<String>,
    pub length: Option<i32>,
}

impl TermsChange {
    /// Brings domains to their one spelling, and says everything that does not hold by itself.
    pub fn check(&mut self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.label.as_ref().is_some_and(|label| !is_plain_text(label, MAX_LABEL, false)) {
            invalid.push("api.invalid", "/label", "a label has 1 to 200 characters");
        }
        match &self.sublicenses {
            Some(list) if list.is_empty() => {
                invalid.push("codes.no_sublicenses", "/sublicenses", "name at least one sublicense");
            }
            Some(list) if list.len() > MAX_SUBLICENSES => {
                invalid.push("api.invalid", "/sublicenses", "at most 100 sublicenses");
            }
            Some(_) | None => {}
        }
        if self.max_redemptions.flatten().is_some_and(|most| most < 1) {
            invalid.push("api.invalid", "/max_redemptions", "a maximum is at least 1; null is none");
        }
        if self.access_days.flatten().is_some_and(|days| !ACCESS_DAYS.contains(&days)) {
            invalid.push("api.invalid", "/access_days", "days of access are 1 to 36500");
        }
        let is_prefix =
            |text: &String| text.len() <= 20 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if self.prefix.as_ref().is_some_and(|prefix| !is_prefix(prefix)) {
            invalid.push("api.invalid", "/prefix", "a prefix has at most 20 letters, digits and dashes");
        }
        if self.length.is_some_and(|length| !(8..=32).contains(&length)) {
            invalid.push("api.invalid", "/length", "a code has 8 to 32 drawn letters and digits");
        }
        if let Some(domains) = &mut self.email_domains {
            check_domains(domains, &mut invalid);
        }
        invalid.finish()
    }

    /// The terms as they will be; `sublicenses` are those that the change names.
    pub fn apply(self, terms: &mut Terms, sublicenses: Option<Vec<SublicenseId>>) -> Result<(), Invalid> {
        fn set<T>(field: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        set(&mut terms.label, self.label);
        set(&mut terms.sublicenses, sublicenses);
        set(&mut terms.max_redemptions, self.max_redemptions);
        set(&mut terms.starts_at, self.starts_at);
        set(&mut terms.expires_at, self.expires_at);
        set(&mut terms.access_days, self.access_days);
        set(&mut terms.access_ends_at, self.access_ends_at);
        set(&mut terms.email_domains, self.email_domains);
        set(&mut terms.active, self.active);
        set(&mut terms.prefix, self.prefix);
        set(&mut terms.length, self.length);
        let mut invalid = Invalid::default();
        let dates = [
            ("/starts_at", terms.starts_at),
            ("/expires_at", terms.expires_at),
            ("/access_ends_at", terms.access_ends_at),
        ];
        for (pointer, date) in dates {
            if date.is_some_and(|date| !is_sane_date(date)) {
                invalid.push("api.invalid", pointer, "a time lies between the years 1970 and 9999");
            }
        }
        if terms.access_days.is_some() && terms.access_ends_at.is_some() {
            let detail = "give days of access or an end of access, not both; set the other to null";
            invalid.push("codes.access_both", "/access_ends_at", detail);
        }
        if terms.starts_at.zip(terms.expires_at).is_some_and(|(start, end)| end <= start) {
            invalid.push("codes.expires_before_start", "/expires_at", "a code expires after it starts");
        }
        invalid.finish()
    }
}

fn check_domains(domains: &mut Vec<String>, invalid: &mut Invalid) {
    if domains.len() > MAX_DOMAINS {
        return invalid.push("api.invalid", "/email_domains", "at most 100 domains");
    }
    for (index, domain) in domains.iter_mut().enumerate() {
        let read = match own_domain(domain) {
            // A code may well be for people with mailboxes at a public provider.
            Err(NotOwn::PublicMail) => email_domain(&format!("x@{domain}")).ok_or(NotOwn::NotADomain),
            read => read,
        };
        match read {
            Ok(ascii) => *domain = ascii,
            Err(wrong) => invalid.push(wrong.code(), format!("/email_domains/{index}"), wrong.detail()),
        }
    }
    domains.sort();
    domains.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_get_their_one_spelling_and_public_suffixes_are_refused() {
        let domains = |list: &[&str]| TermsChange {
            email_domains: Some(list.iter().map(|text| (*text).to_owned()).collect()),
            ..TermsChange::default()
        };
        let mut change = domains(&["BÜCHER.example", "gmail.com", "xn--bcher-kva.example"]);
        change.check().expect("they hold");
        assert_eq!(change.email_domains.expect("a list"), ["gmail.com", "xn--bcher-kva.example"]);
        assert!(domains(&["co.uk"]).check().is_err());
        assert!(domains(&["someone@acme.example"]).check().is_err());
    }

    #[test]
    fn days_and_an_end_of_access_do_not_go_together() {
        let end = DateTime::from_timestamp(1_900_000_000, 0);
        let mut terms = Terms { access_days: Some(30), ..Terms::default() };
        let change = TermsChange { access_ends_at: Some(end), ..TermsChange::default() };
        assert!(change.clone().apply(&mut terms.clone(), None).is_err());
        let both = TermsChange { access_days: Some(None), ..change };
        both.apply(&mut terms, None).expect("one of them");
        assert_eq!((terms.access_days, terms.access_ends_at), (None, end));
    }

    #[test]
    fn a_code_expires_after_it_starts() {
        let at = |seconds| Some(DateTime::from_timestamp(seconds, 0));
        let change = |start, end| TermsChange { starts_at: at(start), expires_at: at(end), ..TermsChange::default() };
        assert!(change(2000, 2000).apply(&mut Terms::default(), None).is_err());
        assert!(change(2000, 2001).apply(&mut Terms::default(), None).is_ok());
    }
}
