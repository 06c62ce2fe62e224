//! What can be wrong with one row, each with its code, and the words that say what to do.

use serde::Serialize;
use utoipa::ToSchema;

/// Why a row is not good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowProblem {
    /// Stable, for programs.
    pub code: String,
    /// The column of the file.
    pub column: Option<String>,
    /// What to do about it, for people.
    pub detail: &'static str,
}

macro_rules! flaws {
    ($($name:ident = $code:literal, $detail:literal;)*) => {
        /// What is wrong with a row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Flaw { $($name,)* }

        impl Flaw {
            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }

        fn detail(code: &str) -> &'static str {
            match code {
                $($code => $detail,)*
                _ => "This row cannot be imported.",
            }
        }
    };
}

flaws! {
    EmailMissing = "imports.email_missing", "Nobody is known by this external id: an e-mail address is needed.";
    EmailInvalid = "imports.email_invalid", "This is not one plain e-mail address.";
    NameInvalid = "imports.name_invalid", "A name has at most 200 characters and no line break.";
    ExternalIdInvalid = "imports.external_id_invalid", "An external id has at most 255 characters and no line break.";
    LanguageInvalid = "imports.language_invalid", "Write a language tag such as en or de-CH.";
    RoleUnknown = "imports.role_unknown", "Write learner or manager, or leave it empty.";
    SendInviteUnknown = "imports.send_invite_unknown", "Write yes or no, or leave it empty.";
    ActionUnknown = "imports.action_unknown", "Write add, move or remove, or leave it empty.";
    AttributeInvalid = "imports.attribute_invalid", "A value has at most 1000 bytes; a learner has at most 50 attributes.";
    TooManyCells = "imports.too_many_cells", "The row has more cells than there are columns: put quotation marks around a cell that holds the delimiter.";
    NoSuchClient = "imports.no_such_client", "You have no client of this name.";
    ClientNotLive = "imports.client_not_live", "This client is disabled or its licence is over.";
    TooManyClients = "imports.too_many_clients", "A file may name at most 1000 clients. Split it.";
    NoSuchSublicense = "imports.no_such_sublicense", "The client has no such sublicense. Separate several by |.";
    SublicenseEnded = "imports.sublicense_ended", "This sublicense is over.";
    ExternalIdTaken = "imports.external_id_taken", "The external id is one learner's and the address another's.";
    ExternalIdAmbiguous = "imports.external_id_ambiguous", "Several learners have this external id. Name the address, too.";
    InvitedTooOften = "imports.invited_too_often", "This address was sent as many invites as a day allows. Try again tomorrow.";
    Vanished = "imports.learner_vanished", "The learner's record was merged or removed in this moment. Upload the row again.";
    InviteRefused = "imports.invite_refused", "No invite could be made for this row.";
}

impl RowProblem {
    /// As stored, with its words.
    pub fn read(code: String, column: Option<String>) -> Self {
        let detail = detail(&code);
        Self { code, column, detail }
    }
}

/// A flaw and the column that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub flaw: Flaw,
    pub column: Option<String>,
}

impl Flaw {
    /// The flaw in a column.
    pub fn at(self, column: impl Into<String>) -> Found {
        Found { flaw: self, column: Some(column.into()) }
    }

    /// The flaw of the row as a whole.
    pub const fn whole(self) -> Found {
        Found { flaw: self, column: None }
    }
}
