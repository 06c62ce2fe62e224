//! What each vendor's IdP really sends: a mapping that works with nothing typed, and the settings to begin with.
//!
//! Every preset falls back to `main`: who may use the application is decided at the IdP, and a new connection lets those
//! people in. An admin who wants less removes the fallback or adds a requirement.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::mapping::{Fallback, Field, Mapping, ProfileRules, UpdatePolicy};
use super::selector::Selector;
use super::vendors::{
    ADFS_GROUP, ENTRA_GROUPS, ENTRA_OBJECT, OID_MEMBER, PAIRWISE_ID, SUBJECT_ID, oidc_names, saml_names,
};

/// The products whose claim names are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    Okta,
    Entra,
    Google,
    Adfs,
    Onelogin,
    Ping,
    Keycloak,
    Shibboleth,
    #[default]
    Generic,
}

impl Preset {
    pub const ALL: [Self; 9] = [
        Self::Okta,
        Self::Entra,
        Self::Google,
        Self::Adfs,
        Self::Onelogin,
        Self::Ping,
        Self::Keycloak,
        Self::Shibboleth,
        Self::Generic,
    ];

    /// The word of schema and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Google => "google",
            Self::Adfs => "adfs",
            Self::Onelogin => "onelogin",
            Self::Ping => "ping",
            Self::Keycloak => "keycloak",
            Self::Shibboleth => "shibboleth",
            Self::Generic => "generic",
        }
    }
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Saml,
    Oidc,
}

impl Protocol {
    /// The word of schema and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Saml => "saml",
            Self::Oidc => "oidc",
        }
    }
}

/// What to begin with where a connection says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Defaults {
    /// Where the lasting name of a person stands, best first: `NameID`, `sub`, or an attribute that is better than it.
    pub subject: &'static [&'static str],
    /// SAML NameIDPolicy format to ask for; nothing where asking makes the IdP refuse.
    pub name_id_format: Option<&'static str>,
    /// Algorithms that an ID token may be signed with.
    pub id_token_algs: &'static [&'static str],
    /// OIDC scopes to ask for.
    pub scopes: &'static [&'static str],
    /// The claim that carries groups, for the rules that an admin will add.
    pub groups: Option<&'static str>,
    /// What the person who sets it up must know.
    pub notes: &'static [&'static str],
}

const EMAIL_FORMAT: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
const PERSISTENT_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const OPENID: &[&str] = &["openid", "profile", "email"];

/// The subject, where it looks like an address: many SAML IdPs send the e-mail as NameID and nowhere else.
const SUBJECT_IF_ADDRESS: &str = "subject if '@' in subject";

/// A mapping that works with this vendor as it comes.
pub fn preset(preset: Preset, protocol: Protocol) -> Mapping {
    let names = match protocol {
        Protocol::Saml => saml_names(preset),
        Protocol::Oidc => oidc_names(preset),
    };
    let subject = names.email_from_subject.then(|| Selector::Expr(SUBJECT_IF_ADDRESS.to_owned()));
    let profile = ProfileRules {
        email: first_of(names.email, subject).map(Field::from),
        first_name: first_of(names.first_name, None).map(Field::from),
        last_name: first_of(names.last_name, None).map(Field::from),
        locale: first_of(names.locale, None).map(|from| Field::WithPolicy { from, update: UpdatePolicy::First }),
        external_id: first_of(names.external_id, None).map(Field::from),
        ..ProfileRules::default()
    };
    Mapping {
        profile,
        fallback: Some(Fallback { sublicenses: vec!["main".to_owned()], role: None }),
        ..Mapping::default()
    }
}

fn first_of(names: &[&str], last: Option<Selector>) -> Option<Selector> {
    let mut alternatives: Vec<_> = names.iter().map(|name| Selector::Claim((*name).to_owned())).chain(last).collect();
    match alternatives.len() {
        0 | 1 => alternatives.pop(),
        _ => Some(Selector::FirstOf(alternatives)),
    }
}

/// What to begin with where a connection says nothing.
pub fn defaults(preset: Preset, protocol: Protocol) -> Defaults {
    match protocol {
        Protocol::Saml => saml_defaults(preset),
        Protocol::Oidc => oidc_defaults(preset),
    }
}

fn saml_defaults(preset: Preset) -> Defaults {
    const NAME_ID: &[&str] = &["NameID"];
    let (subject, name_id_format, groups, notes): (&'static [_], _, _, &'static [_]) = match preset {
        Preset::Okta => (
            NAME_ID,
            Some(EMAIL_FORMAT),
            Some("groups"),
            &[
                "Add attribute statements email, firstName and lastName to the Okta application; a group attribute needs a filter.",
                "The NameID is the e-mail unless the application says otherwise: choose a lasting one if addresses change.",
            ],
        ),
        Preset::Entra => (
            &["NameID", ENTRA_OBJECT],
            Some(PERSISTENT_FORMAT),
            Some(ENTRA_GROUPS),
            &[
                "Entra replaces the groups of people in more than 150 by a link: send only the groups that are assigned to the application.",
                "Groups are sent as object ids unless they are synced from a directory.",
                "The signing certificate lasts three years: let Usher refresh the metadata from its URL.",
            ],
        ),
        Preset::Google => (
            NAME_ID,
            Some(EMAIL_FORMAT),
            Some("groups"),
            &[
                "Map email, firstName and lastName in the SAML application; groups are an attribute whose name and groups you choose.",
                "Google ignores ForceAuthn and has no single logout.",
            ],
        ),
        Preset::Adfs => (
            NAME_ID,
            None,
            Some(ADFS_GROUP),
            &[
                "Add claim rules for e-mail address, given name, surname and Name ID; a persistent Name ID is best.",
                "AD FS changes its certificate by itself every year: let Usher refresh the metadata from its URL.",
            ],
        ),
        Preset::Onelogin => (
            NAME_ID,
            Some(EMAIL_FORMAT),
            Some("memberOf"),
            &[
                "Tick multi-value for memberOf; else its values come in one text with semicolons, which an expression has to split.",
            ],
        ),
        Preset::Ping => (
            NAME_ID,
            None,
            Some("memberOf"),
            &["Map email, givenName and sn in the application; memberOf holds whole distinguished names."],
        ),
        Preset::Keycloak => (
            NAME_ID,
            Some(PERSISTENT_FORMAT),
            Some("Role"),
            &["Add the built-in mappers for e-mail, given name and surname to the client."],
        ),
        Preset::Shibboleth => (
            &[SUBJECT_ID, PAIRWISE_ID, "NameID"],
            None,
            Some(OID_MEMBER),
            &["The NameID is transient by default: release subject-id or pairwise-id, which Usher takes as subject."],
        ),
        Preset::Generic => (
            &["NameID"],
            None,
            None,
            &["Send a persistent NameID, and the e-mail, first name and last name as attributes."],
        ),
    };
    Defaults { subject, name_id_format, id_token_algs: &[], scopes: &[], groups, notes }
}

fn oidc_defaults(preset: Preset) -> Defaults {
    let (id_token_algs, groups, notes): (&'static [_], _, &'static [_]) = match preset {
        Preset::Okta => (
            &["RS256"],
            Some("groups"),
            &[
                "Groups need a groups claim in the application, and the scope `groups` where the authorization server knows it.",
                "The issuer of the organisation and that of a custom authorization server differ.",
            ],
        ),
        Preset::Entra => (
            &["RS256"],
            Some("groups"),
            &[
                "Use the issuer of your tenant, never `common`.",
                "`sub` differs from application to application; `oid`, kept as external id, is the same in the whole tenant.",
                "Entra replaces the groups of people in more than 200 by a link: send only the groups that are assigned to the application.",
                "Entra does not say whether an e-mail is verified: vouch for the domain to link existing learners.",
            ],
        ),
        Preset::Google => {
            (&["RS256"], None, &["Google sends no groups here; require the claim `hd` to be your domain."])
        }
        Preset::Adfs => (
            &["RS256"],
            Some("group"),
            &["Add issuance rules for email, given_name and family_name; upn is always sent."],
        ),
        Preset::Onelogin => (&["RS256"], Some("groups"), &["Groups need the scope `groups`."]),
        Preset::Ping => {
            (&["RS256", "ES256"], Some("memberOf"), &["Map email, given_name and family_name in the application."])
        }
        Preset::Keycloak => (
            &["RS256", "ES256", "PS256", "EdDSA"],
            Some("realm_access.roles"),
            &["Groups come as paths (`/parent/child`) when the client has the group membership mapper."],
        ),
        Preset::Shibboleth => {
            (&["RS256", "ES256"], None, &["Release email, given_name and family_name in the attribute filter."])
        }
        Preset::Generic => (&["RS256", "ES256", "PS256"], None, &[]),
    };
    let subject: &[_] = if preset == Preset::Entra { &["sub", "oid"] } else { &["sub"] };
    Defaults { subject, name_id_format: None, id_token_algs, scopes: OPENID, groups, notes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{Claims, ConnectionFacts, Input, Outcome, SublicenseFacts};

    fn sign_in(chosen: Preset, protocol: Protocol, subject: &str, sent: &[(&str, &str)]) -> Outcome {
        let mut claims = Claims::new();
        sent.iter().for_each(|(name, value)| claims.push(*name, *value).unwrap());
        let main = [SublicenseFacts { slug: "main".to_owned(), ..Default::default() }];
        let connection = ConnectionFacts { id: "con_1", name: "IdP", protocol: protocol.as_str() };
        let input = Input { claims: &claims, subject, connection, sublicenses: &main, carries_entitlement: false };
        preset(chosen, protocol).compile().unwrap().apply(&input)
    }

    #[test]
    fn every_preset_compiles_and_lets_a_person_into_main() {
        for chosen in Preset::ALL {
            for protocol in [Protocol::Saml, Protocol::Oidc] {
                let outcome = sign_in(chosen, protocol, "u1", &[]);
                assert_eq!(outcome.refusal, None, "{chosen:?} {protocol:?}");
                assert_eq!(outcome.grants[0].sublicense, "main");
                let json = serde_json::to_value(preset(chosen, protocol)).unwrap();
                assert_eq!(Mapping::parse(&json).unwrap(), preset(chosen, protocol));
                assert_eq!(serde_json::to_value(chosen).unwrap(), chosen.as_str());
            }
        }
    }

    #[test]
    fn what_each_vendor_sends_becomes_the_same_profile() {
        let soap = |name: &str| format!("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/{name}");
        let (mail, given, surname) = (soap("emailaddress"), soap("givenname"), soap("surname"));
        let sent: [(Preset, Protocol, [&str; 3]); 11] = [
            (Preset::Okta, Protocol::Saml, ["email", "firstName", "lastName"]),
            (Preset::Okta, Protocol::Oidc, ["email", "given_name", "family_name"]),
            (Preset::Entra, Protocol::Saml, [&mail, &given, &surname]),
            (Preset::Entra, Protocol::Oidc, ["preferred_username", "given_name", "family_name"]),
            (Preset::Google, Protocol::Oidc, ["email", "given_name", "family_name"]),
            (Preset::Adfs, Protocol::Saml, [&mail, &given, &surname]),
            (Preset::Onelogin, Protocol::Saml, ["User.email", "User.FirstName", "User.LastName"]),
            (Preset::Ping, Protocol::Saml, ["email", "givenName", "sn"]),
            (Preset::Keycloak, Protocol::Saml, ["urn:oid:1.2.840.113549.1.9.1", "urn:oid:2.5.4.42", "urn:oid:2.5.4.4"]),
            (
                Preset::Shibboleth,
                Protocol::Saml,
                ["urn:oid:0.9.2342.19200300.100.1.3", "urn:oid:2.5.4.42", "urn:oid:2.5.4.4"],
            ),
            (Preset::Generic, Protocol::Saml, ["mail", "givenName", "sn"]),
        ];
        for (chosen, protocol, [email, first, last]) in sent {
            let outcome =
                sign_in(chosen, protocol, "u1", &[(email, "ann@acme.example"), (first, "Ann"), (last, "Lee")]);
            let profile = &outcome.profile;
            let got = [&profile.email, &profile.first_name, &profile.last_name].map(|field| field.value.as_deref());
            assert_eq!(got, [Some("ann@acme.example"), Some("Ann"), Some("Lee")], "{chosen:?} {protocol:?}");
        }
    }

    #[test]
    fn a_subject_that_is_an_address_is_the_email_where_the_vendor_means_it_so() {
        let email = |chosen, subject| sign_in(chosen, Protocol::Saml, subject, &[]).profile.email.value;
        assert_eq!(email(Preset::Google, "ann@acme.example").as_deref(), Some("ann@acme.example"));
        assert_eq!(email(Preset::Google, "G-123"), None);
        assert_eq!(email(Preset::Shibboleth, "ann@acme.example"), None);
    }
}
