//! The authorization response, as the browser brings it by query or by form. Nothing in it is trusted; it is only
//! compared.

use std::fmt;

use super::{
    error::{OidcError, sentence, word},
    model::{Handshake, RelyingParty},
};
use crate::{crypto, login::trail::Trail};

const MAX_CODE: usize = 8 << 10;
const MAX_TEXT: usize = 2 << 10;

enum Answer {
    Code(String),
    Error { error: String, description: Option<String> },
}

/// The authorization response of RFC 6749, sections 4.1.2 and 4.1.2.1.
pub struct Callback {
    state: String,
    iss: Option<String>,
    answer: Answer,
}

/// Prints neither code nor state.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

impl Callback {
    /// Reads the parameters, in which none that is known may stand twice (RFC 6749, section 3.1).
    pub fn read(parameters: impl IntoIterator<Item = (String, String)>) -> Result<Self, OidcError> {
        let [mut state, mut iss, mut code, mut error, mut description] = [const { None }; 5];
        for (name, value) in parameters {
            let (slot, limit): (&mut Option<String>, _) = match name.as_str() {
                "state" => (&mut state, MAX_TEXT),
                "iss" => (&mut iss, MAX_TEXT),
                "code" => (&mut code, MAX_CODE),
                "error" => (&mut error, MAX_TEXT),
                "error_description" => (&mut description, MAX_TEXT),
                _ => continue,
            };
            if value.len() > limit {
                return Err(OidcError::Callback("a parameter is too long"));
            }
            if slot.replace(value).is_some() {
                return Err(OidcError::Callback("a parameter stands twice"));
            }
        }
        let state = state.filter(|state| !state.is_empty()).ok_or(OidcError::Callback("it has no state"))?;
        let answer = match (code.filter(|code| !code.is_empty()), error) {
            (Some(code), None) => Answer::Code(code),
            (None, Some(error)) => Answer::Error { error, description },
            (Some(_), Some(_)) => return Err(OidcError::Callback("it has a code and an error")),
            (None, None) => return Err(OidcError::Callback("it has neither code nor error")),
        };
        Ok(Self { state, iss, answer })
    }

    /// By which the attempt is found.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Checks that this answers our request to this provider, and gives the code.
    pub(super) fn code(
        &self,
        party: &RelyingParty,
        handshake: &Handshake,
        trail: &mut Trail,
    ) -> Result<&str, OidcError> {
        let same_state = crypto::same(self.state.as_bytes(), handshake.state.as_bytes());
        trail.outcome("oidc.state", if same_state { Ok(()) } else { Err(OidcError::State) })?;
        trail.outcome("oidc.iss_parameter", self.issuer(party))?;
        match &self.answer {
            Answer::Code(code) => Ok(code),
            Answer::Error { error, description } => {
                let refusal = refusal(error);
                let said = description.as_deref().map(sentence).filter(|said| !said.is_empty());
                trail.failed(
                    "oidc.answer",
                    said.map_or_else(|| refusal.to_string(), |said| format!("{refusal} ({said})")),
                );
                Err(refusal)
            }
        }
    }

    // RFC 9207, section 2.4: required when announced, and equal to the issuer whenever it is there, errors included.
    fn issuer(&self, party: &RelyingParty) -> Result<(), OidcError> {
        let wrong = |found: String| OidcError::IssParameter { expected: party.issuer.clone(), found };
        match &self.iss {
            Some(iss) if *iss == party.issuer => Ok(()),
            Some(iss) => Err(wrong(format!("names {} as its issuer", word(iss)))),
            None if party.provider.iss_parameter => Err(wrong("does not name its issuer".to_owned())),
            None => Ok(()),
        }
    }
}

// RFC 6749, 4.1.2.1, and OpenID Connect Core 1.0, 3.1.2.6.
fn refusal(error: &str) -> OidcError {
    match error {
        "access_denied" => OidcError::AccessDenied,
        "server_error" | "temporarily_unavailable" => OidcError::Unavailable(error.to_owned()),
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            OidcError::InteractionNeeded(error.to_owned())
        }
        other => OidcError::Refused(word(other)),
    }
}
