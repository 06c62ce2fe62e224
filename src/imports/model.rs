//! What an import, its options and its rows are.

use std::{collections::BTreeMap, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::RowProblem;
use crate::{
    claims::Role,
    fault::Fault,
    ids::{ClientId, ImportId, LearnerId, SublicenseId},
};

/// A word of the schema that is also one of the API.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name { $($(#[$inner])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// As stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = Fault;

            fn from_str(text: &str) -> Result<Self, Fault> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    other => Err(Fault::Corrupt(format!(concat!("`{}` is no ", stringify!($name)), other))),
                }
            }
        }
    };
}

words! {
    /// How far an import has come.
    State {
        /// Its file is arriving.
        Receiving = "receiving",
        /// The dry run is under way.
        Checking = "checking",
        /// The dry run is done; it waits to be confirmed.
        Ready = "ready",
        /// What was confirmed is being done.
        Running = "running",
        Done = "done",
        /// It could not be checked or done; see `failure`. Nothing is under way.
        Failed = "failed",
        /// Its pending invites are being revoked.
        Undoing = "undoing",
        Undone = "undone",
    }
}

words! {
    /// What is to be done with the people of a file.
    Action {
        /// Grant access; nothing is taken away.
        Add = "add",
        /// Grant access, and end other access that imports and admins had granted.
        Move = "move",
        /// End access whatever granted it, and block it: sign-ins and codes do not grant it again.
        Remove = "remove",
    }
}

words! {
    /// What the dry run says of a row, and after the confirmation what became of it.
    Outcome {
        /// A new learner, with access.
        Create = "create",
        /// A learner who is there: access or fields change.
        Update = "update",
        /// An invite is sent; access begins when it is accepted.
        Invite = "invite",
        /// Access ends.
        Remove = "remove",
        /// A learner who has all of it.
        AlreadyThere = "already_there",
        /// An invite to this address is open.
        AlreadyInvited = "already_invited",
        /// Nobody who has what is to be removed.
        AlreadyGone = "already_gone",
        /// See `problem`.
        Invalid = "invalid",
        /// An earlier row is the same person; see `duplicate_of`.
        Duplicate = "duplicate",
        /// An admin removed the learner from one of the sublicenses.
        Blocked = "blocked",
        /// The learner is suspended; restore them first.
        Suspended = "suspended",
        /// No seat is left.
        SeatsFull = "seats_full",
    }
}

impl Outcome {
    /// Whether confirming does something with the row.
    pub const fn is_to_do(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Invite | Self::Remove)
    }

    /// Whether the row stands in the way of confirming all rows; too few seats are judged apart.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Invalid | Self::Duplicate | Self::Blocked | Self::Suspended)
    }
}

/// What holds for every row that does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportOptions {
    /// Ids, slugs or skus; empty for each client's default one.
    pub sublicenses: Vec<String>,
    pub role: Role,
    pub send_invite: bool,
    pub action: Action,
    /// Stands in the invites.
    pub message: Option<String>,
    /// Clear an admin's blocks of the learners and sublicenses that are granted.
    pub clear_blocks: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            sublicenses: Vec::new(),
            role: Role::Learner,
            send_invite: false,
            action: Action::Add,
            message: None,
            clear_blocks: false,
        }
    }
}

/// How the file was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileFacts {
    pub columns: Vec<String>,
    /// Columns that were not read.
    pub unknown_columns: Vec<String>,
    pub delimiter: String,
}

/// Which rows were confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RowChoice {
    /// All; refused while any row is bad.
    All,
    /// Those that are good; the others are left out.
    Good,
}

/// What an admin confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub rows: RowChoice,
    /// Where seats are short: give out what there is, in the order of the file, in place of refusing.
    #[serde(default)]
    pub only_what_fits: bool,
}

/// The cells of a row, cleaned; what was left empty is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowData {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sublicenses: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_invite: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A row of a file with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportRow {
    /// As a spreadsheet numbers it: the header is row 1.
    pub row: i32,
    /// What the dry run says; null until it has come to the row.
    pub outcome: Option<Outcome>,
    pub problem: Option<RowProblem>,
    /// The earlier row that is the same person.
    pub duplicate_of: Option<i32>,
    /// What became of it; null until it was done, and for rows that were left out.
    pub result: Option<Outcome>,
    pub learner: Option<LearnerId>,
    /// The invite that was made.
    pub invite: Option<String>,
    #[serde(flatten)]
    pub data: RowData,
}

/// Seats under one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SeatNeed {
    pub client: ClientId,
    /// Null for the limit of the client itself.
    pub sublicense: Option<SublicenseId>,
    /// Seats that all good rows together need.
    pub needed: i32,
    /// Seats that were free when it was checked.
    pub free: i32,
    pub is_short: bool,
}

/// An import as an admin sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Import {
    pub id: ImportId,
    pub state: State,
    pub file_name: Option<String>,
    pub options: ImportOptions,
    pub file: FileFacts,
    pub rows_total: i32,
    /// Rows dealt with in the present state.
    pub rows_done: i32,
    /// Rows by what the dry run says, once it is done.
    #[schema(value_type = Object)]
    pub counts: BTreeMap<Outcome, i32>,
    /// Rows by what became of them, once it is done.
    #[schema(value_type = Object)]
    pub results: BTreeMap<Outcome, i32>,
    /// Seats needed against seats free, for each limit that is set.
    pub seats: Vec<SeatNeed>,
    pub confirmed: Option<Choice>,
    /// Why it failed, as a code.
    pub failure: Option<String>,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub checked_at: Option<DateTime<Utc>>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub undone_at: Option<DateTime<Utc>>,
    /// When the rows, which are personal, were removed; the numbers stay.
    pub rows_removed_at: Option<DateTime<Utc>>,
}
