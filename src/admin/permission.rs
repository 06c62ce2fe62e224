//! What a token may be allowed to do. Each permission is a value, for storage and lists, and a type, so that a
//! handler's signature says what it needs.

use std::str::FromStr;

/// A permission as a type.
pub trait Grants: Send + Sync + 'static {
    /// The same permission as a value.
    const PERMISSION: Permission;
}

/// The text names no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a permission")]
pub struct UnknownPermission;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A permission as a value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum Permission {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Permission {
            /// Every permission there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The permission as a token lists it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        impl FromStr for Permission {
            type Err = UnknownPermission;

            fn from_str(text: &str) -> Result<Self, UnknownPermission> {
                match text {
                    $($text => Ok(Self::$name),)*
                    _ => Err(UnknownPermission),
                }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}

            impl Grants for $name {
                const PERMISSION: Permission = Permission::$name;
            }
        )*
    };
}

permissions! {
    /// See clients and their sublicenses.
    ClientsRead = "clients:read";
    /// Make and change clients and their sublicenses.
    ClientsWrite = "clients:write";
    /// See connections and mappings, and try a mapping on pasted claims.
    ConnectionsRead = "connections:read";
    /// Make and change connections and mappings.
    ConnectionsWrite = "connections:write";
    /// See learners and their access.
    LearnersRead = "learners:read";
    /// Change learners, their access and sessions.
    LearnersWrite = "learners:write";
    /// See sign-in attempts.
    AttemptsRead = "attempts:read";
    /// See codes, the codes themselves too, and who redeemed them.
    CodesRead = "codes:read";
    /// Make, change and revoke codes.
    CodesWrite = "codes:write";
    /// See content items.
    ContentRead = "content:read";
    /// Make and change content items.
    ContentWrite = "content:write";
    /// See imports and what became of their rows.
    ImportsRead = "imports:read";
    /// Upload, confirm and undo imports.
    ImportsWrite = "imports:write";
    /// See mails and what became of them, never their links.
    MailRead = "mail:read";
    /// Send mails again, and report bounces.
    MailWrite = "mail:write";
    /// See invites.
    InvitesRead = "invites:read";
    /// Make, resend and revoke invites.
    InvitesWrite = "invites:write";
    /// Read the audit trail.
    EventsRead = "events:read";
    /// See tokens, never their secrets.
    TokensRead = "tokens:read";
    /// Make and revoke tokens.
    TokensWrite = "tokens:write";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_reads_back_as_itself() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
        }
        assert_eq!("clients:*".parse::<Permission>(), Err(UnknownPermission));
    }
}
