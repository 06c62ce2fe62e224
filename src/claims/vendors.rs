//! The names under which each vendor sends what a profile needs.

use super::presets::Preset;

const SOAP_EMAIL: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";
const SOAP_GIVEN_NAME: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname";
const SOAP_SURNAME: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname";
const SOAP_NAME: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name";
const ADFS_UPN: &str = "http://schemas.xmlsoap.org/claims/UPN";
pub(super) const ADFS_GROUP: &str = "http://schemas.xmlsoap.org/claims/Group";
pub(super) const ENTRA_OBJECT: &str = "http://schemas.microsoft.com/identity/claims/objectidentifier";
pub(super) const ENTRA_GROUPS: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups";
const OID_MAIL: &str = "urn:oid:0.9.2342.19200300.100.1.3";
const OID_GIVEN_NAME: &str = "urn:oid:2.5.4.42";
const OID_SURNAME: &str = "urn:oid:2.5.4.4";
const OID_PRINCIPAL: &str = "urn:oid:1.3.6.1.4.1.5923.1.1.1.6";
pub(super) const OID_MEMBER: &str = "urn:oid:1.3.6.1.4.1.5923.1.5.1.1";
pub(super) const SUBJECT_ID: &str = "urn:oasis:names:tc:SAML:attribute:subject-id";
pub(super) const PAIRWISE_ID: &str = "urn:oasis:names:tc:SAML:attribute:pairwise-id";

/// Where a vendor's profile fields are found, each with its alternatives.
pub(super) struct Names {
    pub email: &'static [&'static str],
    pub email_from_subject: bool,
    pub first_name: &'static [&'static str],
    pub last_name: &'static [&'static str],
    pub locale: &'static [&'static str],
    pub external_id: &'static [&'static str],
}

pub(super) fn saml_names(preset: Preset) -> Names {
    let (email, first_name, last_name, external_id): (&'static [_], &'static [_], &'static [_], &'static [_]) =
        match preset {
            Preset::Okta => (
                &["email", "Email", "user.email"],
                &["firstName", "FirstName", "user.firstName"],
                &["lastName", "LastName", "user.lastName"],
                &[],
            ),
            Preset::Entra => (&[SOAP_EMAIL, SOAP_NAME], &[SOAP_GIVEN_NAME], &[SOAP_SURNAME], &[ENTRA_OBJECT]),
            Preset::Google => (
                &["email", "mail", "primaryEmail"],
                &["firstName", "first_name", "givenName"],
                &["lastName", "last_name", "familyName", "surname"],
                &["employeeId", "employee_id"],
            ),
            Preset::Adfs => (&[SOAP_EMAIL, ADFS_UPN], &[SOAP_GIVEN_NAME], &[SOAP_SURNAME], &[]),
            Preset::Onelogin => (
                &["User.email", "email"],
                &["User.FirstName", "firstName"],
                &["User.LastName", "lastName"],
                &["memberID"],
            ),
            Preset::Ping => {
                (&["email", "mail"], &["givenName", "given_name", "firstName"], &["sn", "family_name", "lastName"], &[])
            }
            Preset::Keycloak => (
                &["email", OID_MAIL, "urn:oid:1.2.840.113549.1.9.1"],
                &["firstName", "givenName", OID_GIVEN_NAME],
                &["lastName", "surname", OID_SURNAME],
                &[],
            ),
            Preset::Shibboleth => (
                &[OID_MAIL, "mail"],
                &[OID_GIVEN_NAME, "givenName"],
                &[OID_SURNAME, "sn"],
                &[OID_PRINCIPAL, "eduPersonPrincipalName"],
            ),
            Preset::Generic => (
                &["email", "mail", OID_MAIL, SOAP_EMAIL, "User.email", "emailAddress"],
                &[
                    "firstName",
                    "first_name",
                    "givenName",
                    "given_name",
                    OID_GIVEN_NAME,
                    SOAP_GIVEN_NAME,
                    "User.FirstName",
                ],
                &["lastName", "last_name", "sn", "surname", "family_name", OID_SURNAME, SOAP_SURNAME, "User.LastName"],
                &[],
            ),
        };
    let locale: &[_] = if preset == Preset::Shibboleth {
        &["urn:oid:2.16.840.1.113730.3.1.39", "preferredLanguage"]
    } else {
        &["locale", "preferredLanguage"]
    };
    // A Shibboleth subject may look like an address (`who@scope`) and is none.
    Names { email, email_from_subject: preset != Preset::Shibboleth, first_name, last_name, locale, external_id }
}

pub(super) fn oidc_names(preset: Preset) -> Names {
    let email: &[_] = match preset {
        // Entra sends `email` only when asked to, and a user principal name always.
        Preset::Entra => &["email", "preferred_username"],
        Preset::Adfs => &["email", "upn"],
        Preset::Shibboleth => &["email", "mail"],
        _ => &["email"],
    };
    let external_id: &[_] = if preset == Preset::Entra { &["oid"] } else { &[] };
    Names {
        email,
        email_from_subject: false,
        first_name: &["given_name"],
        last_name: &["family_name"],
        locale: &["locale"],
        external_id,
    }
}
