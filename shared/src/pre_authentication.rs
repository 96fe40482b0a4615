//! pre-authentication: may this sign-in begin?
//!
//! Cognito calls this trigger when a sign-in opens with a password, and is reported not to call it in a pure custom flow
//! (amplify-js issue 5318). So define-auth-challenge asks [`admit_request`] again in its first round; the rules below that
//! need `validationData`, which only this trigger is given, cannot be asked there.
//!
//! The domain rules refuse a known user here, whatever the flow. In the custom flow they say nothing aloud: a user of a
//! domain that is not admitted is treated like one who does not exist ([`User`](crate::user::User)).

use std::collections::HashMap;

use crate::client_metadata::short_value;
use crate::settings::{AdmissionSettings, PreAuthenticationSettings};
use crate::trigger::TriggerError;
use crate::user::SignIn;

/// What becomes of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may go on.
    Admit,
    /// It ends here.
    Refuse(Refusal),
}

/// Why a sign-in may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All sign-ins are paused (`MAINTENANCE`).
    Maintenance,
    /// The app client is not among `ALLOWED_CLIENT_IDS`.
    ClientNotAllowed,
    /// The domain of the user's address is not admitted (`ALLOWED_EMAIL_DOMAINS`, `BLOCKED_EMAIL_DOMAINS`).
    DomainNotAdmitted,
    /// A key of `REQUIRED_CLIENT_METADATA` is absent, or differs from the user's attribute.
    MetadataNotAccepted,
}

impl From<Refusal> for TriggerError {
    /// The error that refuses the sign-in. Which rule it was stays in the log.
    fn from(refusal: Refusal) -> TriggerError {
        match refusal {
            Refusal::Maintenance => TriggerError::Maintenance,
            Refusal::ClientNotAllowed | Refusal::DomainNotAdmitted | Refusal::MetadataNotAccepted => {
                TriggerError::SignInNotAllowed
            }
        }
    }
}

/// Decides with all the rules: those of [`admit_request`], the domain of a known user's address, and the metadata that a
/// client has to send along.
///
/// A required attribute that the user does not have is never met, so a user who does not exist is refused like one whose
/// attribute differs. Whoever knows the right value can still tell the two apart from a user who is admitted; the README
/// says so.
pub fn decide(
    settings: &PreAuthenticationSettings,
    sign_in: &SignIn,
    attributes: &HashMap<String, String>,
    validation_data: &HashMap<String, String>,
) -> Admission {
    if let refused @ Admission::Refuse(_) = admit_request(&settings.admission, &sign_in.client_id) {
        return refused;
    }
    // The address as it stands, verified or not: a rule about domains must not be escaped by an address that is never
    // mailed. A user who does not exist has none; then the name that was typed is judged, where Cognito passes it on.
    let address = attributes.get("email").unwrap_or(&sign_in.user_name);
    let domain = match address.rsplit_once('@') {
        Some((_, domain)) => Some(domain),
        // A user without an address is of no domain. Nobody knows of which somebody is who does not exist, and so has no attributes.
        None => (!attributes.is_empty()).then_some(""),
    };
    if domain.is_some_and(|domain| !settings.domains.admit(domain)) {
        return Admission::Refuse(Refusal::DomainNotAdmitted);
    }
    let met = settings.required_client_metadata.iter().all(|required| {
        let given = short_value(validation_data, &required.key);
        match &required.equals_attribute {
            None => given.is_some(),
            Some(attribute) => given.is_some() && given == attributes.get(attribute).map(String::as_str),
        }
    });
    if met { Admission::Admit } else { Admission::Refuse(Refusal::MetadataNotAccepted) }
}

/// Decides with the rules that look at nothing but the request, and so tell nothing about a user.
pub fn admit_request(settings: &AdmissionSettings, client_id: &str) -> Admission {
    if settings.maintenance {
        Admission::Refuse(Refusal::Maintenance)
    } else if !settings.allow(client_id) {
        Admission::Refuse(Refusal::ClientNotAllowed)
    } else {
        Admission::Admit
    }
}
