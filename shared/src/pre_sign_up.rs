//! pre-sign-up: may this account be made?
//!
//! Cognito calls this trigger before it makes a user, whoever asks for it. A stranger who signs up is judged by the rules that a
//! sign-in is judged by, so that nobody makes an account that could not sign in. Users whom an administrator makes, or an identity
//! provider vouches for, are admitted: somebody has decided about them already.
//!
//! What is decided here never verifies an address. Cognito would let this trigger say so (`autoVerifyEmail`), and then whoever
//! signs up with somebody else's address would have it: the account would pass for theirs, and where addresses are aliases, theirs
//! would be taken away. `AUTO_CONFIRM` only makes the account usable; its address stays unproved, and gets no code unless
//! `VERIFY_BY_CODE` asks for it.

use std::collections::HashMap;

use aws_lambda_events::cognito::CognitoEventUserPoolsPreSignupTriggerSource as Source;

use crate::pre_authentication::{self, Admission, admit_request};
use crate::settings::PreSignUpSettings;
use crate::trigger::TriggerError;

/// What becomes of a sign-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// The user is made.
    Admit {
        /// Whether without a code of Cognito's own that confirms it.
        auto_confirm: bool,
    },
    /// There will be no such user.
    Refuse(Refusal),
}

/// Why somebody may not sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account could not begin a sign-in, either.
    NotAdmitted(pre_authentication::Refusal),
    /// The domain of the address is not admitted (`ALLOWED_EMAIL_DOMAINS`, `BLOCKED_EMAIL_DOMAINS`).
    DomainNotAdmitted,
}

impl From<Refusal> for TriggerError {
    /// The error that refuses the sign-up. Which rule it was stays in the log.
    fn from(refusal: Refusal) -> TriggerError {
        match refusal {
            Refusal::NotAdmitted(pre_authentication::Refusal::Maintenance) => TriggerError::Maintenance,
            Refusal::NotAdmitted(_) | Refusal::DomainNotAdmitted => TriggerError::SignUpNotAllowed,
        }
    }
}

/// Decides about a sign-up. Nothing here depends on who has an account already, so nothing tells.
pub fn decide(
    settings: &PreSignUpSettings,
    source: &Source,
    client_id: &str,
    user_name: &str,
    attributes: &HashMap<String, String>,
) -> SignUp {
    match source {
        // Cognito does not heed the flags for these.
        Source::AdminCreateUser | Source::ExternalProvider => SignUp::Admit { auto_confirm: false },
        // Whatever Cognito may come to distinguish is judged like a stranger.
        Source::SignUp | _ => {
            if let Admission::Refuse(refusal) = admit_request(&settings.admission, client_id) {
                return SignUp::Refuse(Refusal::NotAdmitted(refusal));
            }
            let address = attributes.get("email").map_or(user_name, String::as_str);
            // Who gives no address is of no domain: none that is blocked, and none that is allowed where only some are.
            let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
            if settings.domains.admit(domain) {
                SignUp::Admit { auto_confirm: settings.auto_confirm }
            } else {
                SignUp::Refuse(Refusal::DomainNotAdmitted)
            }
        }
    }
}
