//! Who signs in, as a trigger's event tells it.

use std::collections::HashMap;

use aws_lambda_events::cognito::CognitoEventUserPoolsHeader;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::code::CodeKey;
use crate::email_address::EmailAddress;
use crate::recipient::{GreetingName, LanguageTag, Recipient};
use crate::settings::RecipientSettings;
use crate::trigger::TriggerError;

/// What a challenge is bound to: a code of one pool, app client and user opens nothing of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// `userPoolId` of the event.
    pub user_pool_id: String,
    /// `callerContext.clientId` of the event.
    pub client_id: String,
    /// `userName` of the event: the immutable name, whatever alias was typed. For a user that does not exist Cognito
    /// makes one up.
    pub user_name: String,
    /// The address that a right answer will prove, where it is not verified yet (`VERIFY_BY_CODE`). A challenge that was mailed to
    /// one address is foreign once the user has another, so nobody proves an address with a code that went elsewhere.
    pub unproved: Option<EmailAddress>,
}

impl SignIn {
    /// Reads the sign-in from an event's common part.
    ///
    /// # Errors
    ///
    /// [`TriggerError::MalformedEvent`] when one of the three is absent or empty.
    pub fn read<T>(header: &CognitoEventUserPoolsHeader<T>) -> Result<SignIn, TriggerError> {
        let present =
            |field: &Option<String>| field.clone().filter(|text| !text.is_empty()).ok_or(TriggerError::MalformedEvent);
        Ok(SignIn {
            user_pool_id: present(&header.user_pool_id)?,
            client_id: present(&header.caller_context.client_id)?,
            user_name: present(&header.user_name)?,
            unproved: None,
        })
    }

    /// The same sign-in, of this user.
    #[must_use]
    pub fn of(self, user: &User) -> SignIn {
        let unproved = match user {
            User::Known(Recipient { address, verified: false, .. }) => Some(address.clone()),
            User::Known(Recipient { verified: true, .. }) | User::Unknown(_) => None,
        };
        SignIn { unproved, ..self }
    }

    /// What is written down when a right answer proves an address: the same for the same address of the same account, and without the
    /// key it tells nothing of either. `None` when there is nothing to prove.
    pub fn proof(&self, key: &CodeKey) -> Option<String> {
        self.unproved.as_ref()?;
        let account = SignIn { client_id: String::new(), ..self.clone() };
        Some(URL_SAFE_NO_PAD.encode(&key.mac("address/v1", &account, &[])[..16]))
    }
}

/// The user behind a sign-in. Whoever may not be sent a code gets the same rounds, keys and lengths as somebody who does
/// not exist, and never tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// Exists, and may be sent a code.
    Known(Recipient),
    /// Does not exist, or may not be sent a code.
    Unknown(WhyUnknown),
}

/// Why a user is treated as unknown. For logs; no reply depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyUnknown {
    /// The pool has no such user (`userNotFound`).
    UserNotFound,
    /// `email_verified` is not exactly `"true"`: the address may be anybody's, and a code is not to prove whose.
    EmailNotVerified,
    /// There is no `email`, or it is none that we would hand to a mail service.
    EmailNotUsable,
    /// The settings do not admit the address's domain.
    DomainNotAdmitted,
    /// `cognito:user_status` is one of a user who does not sign in here: not confirmed, or of another identity provider,
    /// whose own rules a code would go round.
    StatusNotAdmitted,
}

impl User {
    /// Reads the user from `userNotFound` and `userAttributes` of an event.
    pub fn read(user_not_found: bool, attributes: &HashMap<String, String>, recipients: &RecipientSettings) -> User {
        if user_not_found {
            return User::Unknown(WhyUnknown::UserNotFound);
        }
        let status = attributes.get(STATUS).map(String::as_str);
        if !matches!(status, None | Some("CONFIRMED" | "FORCE_CHANGE_PASSWORD" | "RESET_REQUIRED")) {
            return User::Unknown(WhyUnknown::StatusNotAdmitted);
        }
        let verified = attributes.get("email_verified").map(String::as_str) == Some("true");
        // For users who are to change a password an administrator answers, who can verify the address as well.
        let may_prove_it = recipients.verify_by_code && status == Some("CONFIRMED");
        if !verified && !may_prove_it {
            return User::Unknown(WhyUnknown::EmailNotVerified);
        }
        match attributes.get("email").and_then(|email| EmailAddress::parse(email)) {
            None => User::Unknown(WhyUnknown::EmailNotUsable),
            Some(email) if !recipients.domains.admit(email.domain()) => User::Unknown(WhyUnknown::DomainNotAdmitted),
            Some(address) => {
                let locale = attributes.get("locale").and_then(|locale| LanguageTag::parse(locale));
                User::Known(Recipient { address, verified, locale, name: None })
            }
        }
    }

    /// The same user, to be greeted by the name in the attribute `named_by`, if there is a usable one.
    #[must_use]
    pub fn greeted(self, attributes: &HashMap<String, String>, named_by: Option<&str>) -> User {
        match self {
            User::Known(recipient) => {
                let name = named_by.and_then(|attribute| attributes.get(attribute));
                User::Known(Recipient { name: name.and_then(|name| GreetingName::parse(name)), ..recipient })
            }
            User::Unknown(why) => User::Unknown(why),
        }
    }
}

/// The attribute that tells how far a user has come.
const STATUS: &str = "cognito:user_status";

/// Whether Cognito would ask the user for a new password after a right one. It would then issue tokens by itself, without
/// asking define-auth-challenge again (amazon-cognito-identity-js issue 341).
pub fn must_change_password(attributes: &HashMap<String, String>) -> bool {
    matches!(attributes.get(STATUS).map(String::as_str), Some("FORCE_CHANGE_PASSWORD" | "RESET_REQUIRED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(pairs: &[(&str, &str)]) -> User {
        User::read(false, &attributes(pairs), &RecipientSettings::default())
    }

    #[test]
    fn r25_f42_f43_only_a_verified_usable_address_makes_a_known_user() {
        let address = EmailAddress::parse("alice@example.com").unwrap();
        let alice = Recipient { address, verified: true, locale: None, name: None };
        assert_eq!(read(&[("email", "alice@example.com"), ("email_verified", "true")]), User::Known(alice));

        let not_verified = User::Unknown(WhyUnknown::EmailNotVerified);
        for form in ["false", "True", "TRUE", "1", "", " true"] {
            assert_eq!(read(&[("email", "alice@example.com"), ("email_verified", form)]), not_verified, "{form:?}");
        }
        assert_eq!(read(&[("email", "alice@example.com")]), not_verified);
        let confirmed =
            [("email", "alice@example.com"), ("email_verified", "false"), ("cognito:user_status", "CONFIRMED")];
        assert_eq!(read(&confirmed), not_verified);
        assert_eq!(read(&[("email_verified", "true")]), User::Unknown(WhyUnknown::EmailNotUsable));
        assert_eq!(read(&[("email", " "), ("email_verified", "true")]), User::Unknown(WhyUnknown::EmailNotUsable));
    }

    #[test]
    fn r25_f46_only_users_of_this_pool_are_known() {
        let with = |status| {
            read(&[("email", "alice@example.com"), ("email_verified", "true"), ("cognito:user_status", status)])
        };
        for status in ["CONFIRMED", "FORCE_CHANGE_PASSWORD", "RESET_REQUIRED"] {
            assert!(matches!(with(status), User::Known(_)), "{status}");
        }
        for status in ["UNCONFIRMED", "EXTERNAL_PROVIDER", "ARCHIVED", "COMPROMISED", "UNKNOWN", "confirmed", ""] {
            assert_eq!(with(status), User::Unknown(WhyUnknown::StatusNotAdmitted), "{status}");
        }
    }

    #[test]
    fn r25_an_address_that_is_not_verified_gets_a_code_only_of_a_confirmed_user_and_only_when_asked_for() {
        let asked = |name: &str| (name == "VERIFY_BY_CODE").then(|| "true".to_owned());
        let asked = RecipientSettings::from_vars(&asked).unwrap();
        let read = |status: Option<&str>, verified: &str| {
            let mut given = attributes(&[("email", "alice@example.com"), ("email_verified", verified)]);
            given.extend(status.map(|status| ("cognito:user_status".to_owned(), status.to_owned())));
            User::read(false, &given, &asked)
        };
        for form in ["false", "True", ""] {
            let User::Known(recipient) = read(Some("CONFIRMED"), form) else { panic!("{form:?}") };
            assert!(!recipient.verified, "{form:?}");
            for status in [None, Some("FORCE_CHANGE_PASSWORD"), Some("RESET_REQUIRED")] {
                assert_eq!(read(status, form), User::Unknown(WhyUnknown::EmailNotVerified), "{status:?}");
            }
            for status in ["UNCONFIRMED", "EXTERNAL_PROVIDER"] {
                assert_eq!(read(Some(status), form), User::Unknown(WhyUnknown::StatusNotAdmitted), "{status}");
            }
        }
        let User::Known(recipient) = read(Some("CONFIRMED"), "true") else { panic!("verified") };
        assert!(recipient.verified);
    }

    #[test]
    fn t31_attributes_do_not_make_a_missing_user_known() {
        let given = attributes(&[("email", "alice@example.com"), ("email_verified", "true")]);
        assert_eq!(User::read(true, &given, &RecipientSettings::default()), User::Unknown(WhyUnknown::UserNotFound));
    }

    #[test]
    fn a_user_of_a_domain_that_is_not_admitted_is_unknown() {
        let given = attributes(&[("email", "alice@example.com"), ("email_verified", "true")]);
        let read = |list: &str| {
            let blocked = |name: &str| (name == "BLOCKED_EMAIL_DOMAINS").then(|| list.to_owned());
            User::read(false, &given, &RecipientSettings::from_vars(&blocked).unwrap())
        };
        assert_eq!(read("example.com"), User::Unknown(WhyUnknown::DomainNotAdmitted));
        assert!(matches!(read("example.org"), User::Known(_)));
    }

    #[test]
    fn who_is_to_choose_a_new_password_is_known_by_the_status() {
        let must = |status: &str| must_change_password(&attributes(&[("cognito:user_status", status)]));
        assert_eq!(["FORCE_CHANGE_PASSWORD", "RESET_REQUIRED"].map(must), [true, true]);
        assert_eq!(["CONFIRMED", "UNCONFIRMED", "EXTERNAL_PROVIDER", "reset_required", ""].map(must), [false; 5]);
        assert!(!must_change_password(&attributes(&[])));
    }

    #[test]
    fn f34_a_sign_in_has_a_pool_a_client_and_a_name() {
        let read = |pool: Option<&str>, client: Option<&str>, name: Option<&str>| {
            let mut header = CognitoEventUserPoolsHeader::<()>::default();
            header.user_pool_id = pool.map(str::to_owned);
            header.caller_context.client_id = client.map(str::to_owned);
            header.user_name = name.map(str::to_owned);
            SignIn::read(&header)
        };
        assert!(read(Some("pool"), Some("client"), Some("name")).is_ok());
        for missing in [None, Some("")] {
            assert_eq!(read(missing, Some("client"), Some("name")), Err(TriggerError::MalformedEvent));
            assert_eq!(read(Some("pool"), missing, Some("name")), Err(TriggerError::MalformedEvent));
            assert_eq!(read(Some("pool"), Some("client"), missing), Err(TriggerError::MalformedEvent));
        }
    }

    #[test]
    fn a_known_user_has_the_language_of_the_locale_attribute_and_the_name_that_is_asked_for() {
        let given = attributes(&[
            ("email", "alice@example.com"),
            ("email_verified", "true"),
            ("locale", "pt_BR"),
            ("given_name", "Alice"),
            ("nickname", "<b>"),
        ]);
        let read = |named_by| match User::read(false, &given, &RecipientSettings::default()).greeted(&given, named_by) {
            User::Known(Recipient { locale, name, .. }) => (locale, name),
            User::Unknown(why) => panic!("{why:?}"),
        };
        let locale = LanguageTag::parse("pt-BR");
        assert_eq!(read(None), (locale.clone(), None));
        assert_eq!(read(Some("given_name")), (locale.clone(), GreetingName::parse("Alice")));
        assert_eq!(read(Some("nickname")), (locale.clone(), None));
        assert_eq!(read(Some("family_name")), (locale, None));
        let nobody = User::Unknown(WhyUnknown::UserNotFound);
        assert_eq!(nobody.clone().greeted(&given, Some("given_name")), nobody);
    }
}
