//! Codes as an admin sees and writes them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{
    model::CodeState,
    terms::{Terms, TermsChange},
};
use crate::{
    admin::present,
    ids::{BatchId, CodeId, LearnerId, RedemptionId, RegistrationCodeId, SublicenseId},
};

/// One code, many learners.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegistrationCode {
    pub id: RegistrationCodeId,
    pub label: String,
    /// The code itself; case, dashes and spaces do not matter when it is typed.
    pub code: String,
    pub sublicenses: Vec<SublicenseId>,
    /// How many learners may redeem it; null for any number.
    pub max_redemptions: Option<i32>,
    /// Redemptions that stand.
    pub times_redeemed: i32,
    /// How many are left; null where there is no maximum.
    pub redemptions_left: Option<i32>,
    pub starts_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Days of access from the redemption; null leaves it to each sublicense.
    pub access_days: Option<i32>,
    /// When the access it gives ends; never together with `access_days`.
    pub access_ends_at: Option<DateTime<Utc>>,
    /// Only for verified addresses of these domains and their sub-domains; empty for all.
    pub email_domains: Vec<String>,
    /// Off stops new redemptions at once and leaves earlier learners alone.
    pub active: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A batch of redemption codes: one code, one learner.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RedemptionBatch {
    pub id: BatchId,
    pub label: String,
    /// What generated codes begin with.
    pub prefix: String,
    /// How many letters and digits are drawn for a generated code.
    pub length: i32,
    pub sublicenses: Vec<SublicenseId>,
    pub expires_at: Option<DateTime<Utc>>,
    pub access_days: Option<i32>,
    pub access_ends_at: Option<DateTime<Utc>>,
    pub email_domains: Vec<String>,
    pub active: bool,
    pub codes_total: i32,
    pub codes_redeemed: i32,
    pub codes_revoked: i32,
    pub codes_unused: i32,
    /// Codes that are still to be generated; 0 when the batch is whole.
    pub codes_to_come: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// One redemption code.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CodeView {
    pub id: CodeId,
    pub code: String,
    pub batch: BatchId,
    pub sublicenses: Vec<SublicenseId>,
    pub state: CodeState,
    /// Who redeemed it.
    pub learner: Option<LearnerId>,
    pub redeemed_at: Option<DateTime<Utc>>,
}

/// One use of a registration code.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RedemptionView {
    pub id: RedemptionId,
    pub learner: LearnerId,
    pub redeemed_at: DateTime<Utc>,
    /// When it was taken back; null while it stands.
    pub undone_at: Option<DateTime<Utc>>,
    /// Why: `undone` by an admin; `merged`, when the learner became one with another who had no need of it.
    pub undone_why: Option<String>,
}

/// How one use of a registration code is undone.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoRedemption {
    /// Whether what the code gave the learner ends, too. They keep it where this is left out.
    #[serde(default)]
    pub ends_access: bool,
}

/// Changes of a registration code. What is left out stays as it is; null clears.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationCodeChange {
    #[serde(default, deserialize_with = "present")]
    pub label: Option<String>,
    /// Your own code, 8 to 64 letters, digits and dashes; generated where it is left out. Never changed afterwards.
    #[serde(default, deserialize_with = "present")]
    pub code: Option<String>,
    /// Ids or slugs; the whole list.
    #[serde(default, deserialize_with = "present")]
    pub sublicenses: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    pub max_redemptions: Option<Option<i32>>,
    #[serde(default, deserialize_with = "present")]
    pub starts_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "present")]
    pub expires_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "present")]
    pub access_days: Option<Option<i32>>,
    #[serde(default, deserialize_with = "present")]
    pub access_ends_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "present")]
    pub email_domains: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    pub active: Option<bool>,
}

/// Changes of a batch. What is left out stays as it is; null clears.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedemptionBatchChange {
    #[serde(default, deserialize_with = "present")]
    pub label: Option<String>,
    /// For codes that are generated from now on.
    #[serde(default, deserialize_with = "present")]
    pub prefix: Option<String>,
    /// For codes that are generated from now on: 8 to 32.
    #[serde(default, deserialize_with = "present")]
    pub length: Option<i32>,
    /// Ids or slugs; the whole list.
    #[serde(default, deserialize_with = "present")]
    pub sublicenses: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    pub expires_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "present")]
    pub access_days: Option<Option<i32>>,
    #[serde(default, deserialize_with = "present")]
    pub access_ends_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "present")]
    pub email_domains: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    pub active: Option<bool>,
    /// With a new batch: how many codes to generate, up to 1,000,000. Beyond 100,000 they come bit by bit: see
    /// `codes_to_come`.
    #[serde(default, deserialize_with = "present")]
    pub count: Option<i32>,
    /// With a new batch: your own codes, 6 to 64 letters, digits and dashes each.
    #[serde(default, deserialize_with = "present")]
    pub codes: Option<Vec<String>>,
}

/// More codes for a batch: one of the two.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Append {
    /// How many to generate.
    #[serde(default, deserialize_with = "present")]
    pub count: Option<i32>,
    /// Your own.
    #[serde(default, deserialize_with = "present")]
    pub codes: Option<Vec<String>>,
}

/// A batch, and what became of each code that was sent with it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchReply {
    pub batch: RedemptionBatch,
    /// Present where codes were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// What became of codes that were sent. Lines that are not listed are valid and were taken.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Report {
    pub valid: i32,
    /// Sent twice.
    pub duplicate: i32,
    pub malformed: i32,
    /// A code of this client reads so already.
    pub in_use: i32,
    /// The lines that were not taken, at most 10,000 of them.
    pub lines: Vec<ReportLine>,
}

/// One code that was not taken.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReportLine {
    /// Counted from 1.
    pub line: i32,
    pub outcome: LineOutcome,
    /// The line that had it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<i32>,
}

/// Why a code was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineOutcome {
    Duplicate,
    Malformed,
    InUse,
}

/// How many codes were revoked.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Revoked {
    pub revoked: i32,
}

macro_rules! required {
    ($(#[$doc:meta])* $new:ident($change:ident) requires $($field:literal),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(transparent)]
        pub struct $new(pub $change);

        impl PartialSchema for $new {
            fn schema() -> RefOr<Schema> {
                let mut schema = $change::schema();
                if let RefOr::T(Schema::Object(object)) = &mut schema {
                    object.required = vec![$($field.to_owned()),*];
                }
                schema
            }
        }

        impl ToSchema for $new {
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $change::schemas(schemas);
            }
        }
    };
}

required! {
    /// A registration code about to be made.
    NewRegistrationCode(RegistrationCodeChange) requires "label", "sublicenses"
}
required! {
    /// A batch about to be made, with `count`, `codes` or neither, to be appended to.
    NewRedemptionBatch(RedemptionBatchChange) requires "label", "sublicenses"
}

impl RegistrationCodeChange {
    pub(super) fn terms(self) -> TermsChange {
        TermsChange {
            label: self.label,
            sublicenses: self.sublicenses,
            max_redemptions: self.max_redemptions,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            access_days: self.access_days,
            access_ends_at: self.access_ends_at,
            email_domains: self.email_domains,
            active: self.active,
            prefix: None,
            length: None,
        }
    }
}

impl RedemptionBatchChange {
    pub(super) fn terms(self) -> TermsChange {
        TermsChange {
            label: self.label,
            sublicenses: self.sublicenses,
            max_redemptions: None,
            starts_at: None,
            expires_at: self.expires_at,
            access_days: self.access_days,
            access_ends_at: self.access_ends_at,
            email_domains: self.email_domains,
            active: self.active,
            prefix: self.prefix,
            length: self.length,
        }
    }
}

/// An offer as it is stored, whichever kind it is.
#[derive(Debug, Clone)]
pub(super) struct StoredOffer {
    pub id: uuid::Uuid,
    pub terms: Terms,
    pub times_redeemed: i32,
    /// The code of a registration offer.
    pub code: Option<String>,
    pub codes_total: i32,
    pub codes_revoked: i32,
    pub codes_to_come: i32,
    /// Codes are being marked as revoked.
    pub is_revoking: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<StoredOffer> for RegistrationCode {
    fn from(offer: StoredOffer) -> Self {
        let terms = offer.terms;
        Self {
            id: offer.id.into(),
            label: terms.label,
            code: offer.code.unwrap_or_default(),
            sublicenses: terms.sublicenses,
            max_redemptions: terms.max_redemptions,
            times_redeemed: offer.times_redeemed,
            redemptions_left: terms.max_redemptions.map(|most| (most - offer.times_redeemed).max(0)),
            starts_at: terms.starts_at,
            expires_at: terms.expires_at,
            access_days: terms.access_days,
            access_ends_at: terms.access_ends_at,
            email_domains: terms.email_domains,
            active: terms.active,
            created_at: offer.created_at,
            updated_at: offer.updated_at,
        }
    }
}

impl From<StoredOffer> for RedemptionBatch {
    fn from(offer: StoredOffer) -> Self {
        let terms = offer.terms;
        Self {
            id: offer.id.into(),
            label: terms.label,
            prefix: terms.prefix,
            length: terms.length,
            sublicenses: terms.sublicenses,
            expires_at: terms.expires_at,
            access_days: terms.access_days,
            access_ends_at: terms.access_ends_at,
            email_domains: terms.email_domains,
            active: terms.active,
            codes_total: offer.codes_total,
            codes_redeemed: offer.times_redeemed,
            codes_revoked: offer.codes_revoked,
            codes_unused: offer.codes_total - offer.times_redeemed - offer.codes_revoked,
            codes_to_come: offer.codes_to_come,
            created_at: offer.created_at,
            updated_at: offer.updated_at,
        }
    }
}
