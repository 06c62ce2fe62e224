//! Typed, prefixed ids. Each is a UUIDv7 in storage and `<prefix>_<32 hex digits>` everywhere a person sees it, so
//! that one kind of id can never be passed for another.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The text was not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0} id")]
pub struct InvalidId(pub &'static str);

fn parse(text: &str, prefix: &'static str) -> Result<Uuid, InvalidId> {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(InvalidId(prefix))?;
    let canonical = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !canonical {
        return Err(InvalidId(prefix));
    }
    Uuid::try_parse(digits).map_err(|_| InvalidId(prefix))
}

/// A kind of id, made from a fresh UUID by [`crate::entropy::Entropy::id`].
pub trait Id: Copy + From<Uuid> {
    /// The letters before the underscore.
    const PREFIX: &'static str;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
        }
        impl $name {
            /// The id as PostgreSQL stores it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }
        impl From<Uuid> for $name {
            fn from(value: Uuid) -> Self {
                Self(value)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!($prefix, "_{}"), self.0.simple())
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text, $prefix).map(Self)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-9a-f]{32}$")))
                    .into()
            }
        }
        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A client.
    ClientId = "cli";
    /// A sublicense.
    SublicenseId = "sub";
    /// A connection.
    ConnectionId = "con";
    /// A learner.
    LearnerId = "lrn";
    /// A sign-in attempt.
    AttemptId = "att";
    /// An audit event, or an outgoing event.
    EventId = "evt";
    /// An API token.
    TokenId = "tok";
    /// A content item.
    ContentId = "cnt";
    /// A bulk import.
    ImportId = "imp";
    /// An account.
    AccountId = "acc";
    /// An invite.
    InviteId = "inv";
    /// A registration code.
    RegistrationCodeId = "reg";
    /// A batch of redemption codes.
    BatchId = "bat";
    /// A redemption code.
    CodeId = "red";
    /// One use of a code.
    RedemptionId = "rdm";
    /// A key pair of ours for one connection.
    KeyId = "key";
    /// A mail in the outbox.
    MailId = "mal";
    /// A running replica.
    ReplicaId = "rep";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_round_trips_and_another_kind_is_refused() {
        let id = ClientId::from(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse::<ClientId>(), Ok(id));
        assert_eq!(id.to_string().parse::<LearnerId>(), Err(InvalidId("lrn")));
    }

    #[test]
    fn only_the_canonical_spelling_of_an_id_is_read() {
        for text in [
            "",
            "cli_",
            "cli_0000000000000000000000000000000A",
            "cli_00000000-0000-0000-0000-000000000007",
            "CLI_00000000000000000000000000000007",
        ] {
            assert_eq!(text.parse::<ClientId>(), Err(InvalidId("cli")), "{text}");
        }
    }
}
