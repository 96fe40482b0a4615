//! Who signs in, as a trigger's event tells it.

use std::collections::HashMap;
use std::fmt;

use aws_lambda_events::cognito::CognitoEventUserPoolsHeader;

use crate::settings::EmailDomains;
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
        })
    }
}

/// The user behind a sign-in. Whoever may not be sent a code gets the same rounds, keys and lengths as somebody who does
/// not exist, and never tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// Exists, and may be sent a code at this address.
    Known(EmailAddress),
    /// Does not exist, or may not be sent a code.
    Unknown(WhyUnknown),
}

/// Why a user is treated as unknown. For logs; no reply depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyUnknown {
    /// The pool has no such user (`userNotFound`).
    UserNotFound,
    /// `email_verified` is not exactly `"true"`: the address may be anybody's.
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
    pub fn read(user_not_found: bool, attributes: &HashMap<String, String>, domains: &EmailDomains) -> User {
        if user_not_found {
            return User::Unknown(WhyUnknown::UserNotFound);
        }
        let status = attributes.get(STATUS).map(String::as_str);
        if !matches!(status, None | Some("CONFIRMED" | "FORCE_CHANGE_PASSWORD" | "RESET_REQUIRED")) {
            return User::Unknown(WhyUnknown::StatusNotAdmitted);
        }
        if attributes.get("email_verified").map(String::as_str) != Some("true") {
            return User::Unknown(WhyUnknown::EmailNotVerified);
        }
        match attributes.get("email").and_then(|email| EmailAddress::parse(email)) {
            None => User::Unknown(WhyUnknown::EmailNotUsable),
            Some(email) if !domains.admit(email.domain()) => User::Unknown(WhyUnknown::DomainNotAdmitted),
            Some(email) => User::Known(email),
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

/// An e-mail address that is safe to hand to a mail service: one mailbox, plain ASCII, nothing quoted, commented or routed.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    address: String,
    at: usize,
}

impl EmailAddress {
    /// Longest address in bytes (RFC 5321 §4.5.3.1, erratum 1690).
    pub const MAX_LENGTH: usize = 254;

    /// Reads an address exactly as it is written; nothing is trimmed or normalised.
    ///
    /// The local part is 1 to 64 letters, digits, dots, backquotes and `#$&'*+-/=?^_{|}~`. `%` and `!`, which used to route
    /// mail onwards (RFC 5321 appendix F.2), are refused, as are quotes and comments. The domain is two or more labels of
    /// letters, digits and hyphens; an international one must be in its A-label form (`xn--…`).
    pub fn parse(text: &str) -> Option<EmailAddress> {
        let (local, domain) = text.split_once('@')?;
        let local_is_plain = (1..=64).contains(&local.len())
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".#$&'*+-/=?^_`{|}~".contains(&b));
        (text.len() <= Self::MAX_LENGTH && local_is_plain && is_domain(domain))
            .then(|| EmailAddress { address: text.to_owned(), at: local.len() })
    }

    /// The whole address, as it was written.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        &self.address[self.at + 1..]
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress")
    }
}

/// Whether `text` is a domain name of two or more labels, in ASCII, that is not an IP address.
pub(crate) fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(is_label)
        && text.rsplit('.').next().is_some_and(|top| !top.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(pairs: &[(&str, &str)]) -> User {
        User::read(false, &attributes(pairs), &EmailDomains::default())
    }

    #[test]
    fn r25_only_a_verified_usable_address_makes_a_known_user() {
        let alice = EmailAddress::parse("alice@example.com").unwrap();
        assert_eq!(read(&[("email", "alice@example.com"), ("email_verified", "true")]), User::Known(alice));

        let not_verified = User::Unknown(WhyUnknown::EmailNotVerified);
        for form in ["false", "True", "TRUE", "1", "", " true"] {
            assert_eq!(read(&[("email", "alice@example.com"), ("email_verified", form)]), not_verified, "{form:?}");
        }
        assert_eq!(read(&[("email", "alice@example.com")]), not_verified);
        assert_eq!(read(&[("email_verified", "true")]), User::Unknown(WhyUnknown::EmailNotUsable));
        assert_eq!(read(&[("email", " "), ("email_verified", "true")]), User::Unknown(WhyUnknown::EmailNotUsable));
    }

    #[test]
    fn r25_only_users_of_this_pool_are_known() {
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
    fn t31_attributes_do_not_make_a_missing_user_known() {
        let given = attributes(&[("email", "alice@example.com"), ("email_verified", "true")]);
        assert_eq!(User::read(true, &given, &EmailDomains::default()), User::Unknown(WhyUnknown::UserNotFound));
    }

    #[test]
    fn t34_an_address_is_one_plain_mailbox_or_none() {
        for usable in [
            "alice@example.com",
            "a.b+tag@sub.example.co.uk",
            "o'neill@example.ie",
            "x@xn--bcher-kva.example",
            "A_B-c@EXAMPLE.COM",
        ] {
            let address = EmailAddress::parse(usable).expect(usable);
            assert_eq!(address.as_str(), usable);
            assert_eq!(address.domain(), usable.split('@').nth(1).unwrap());
        }
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "a.".repeat(126));
        for refused in [
            "",
            "@",
            "a@",
            "@example.com",
            "alice",
            "alice@localhost",
            "alice@example.com ",
            " alice@example.com",
            "alice@example.com\n",
            "alice@example.com\r\nBcc: eve@evil.example",
            "a@b@example.com",
            "\"e@evil.example\"@example.com",
            "alice@example.com,eve@evil.example",
            "alice@example.com;eve@evil.example",
            "<alice@example.com>",
            "Alice <alice@example.com>",
            "alice(comment)@example.com",
            "alice@(c)example.com",
            "alice%evil.example@example.com",
            "evil.example!alice@example.com",
            "alice@[192.0.2.1]",
            "alice@192.0.2.1",
            "alice@example..com",
            "alice@.example.com",
            "alice@example.com.",
            "alice@-example.com",
            "alice@example-.com",
            "alice＠example.com",
            "alice@ex\u{430}mple.com",
            "ali\u{0}ce@example.com",
            "ali\u{202e}ce@example.com",
            "jürgen@example.com",
            "alice@bücher.example",
            "alice @example.com",
            "alice\\@example.com",
            &long,
            &longer,
        ] {
            assert_eq!(EmailAddress::parse(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn a_user_of_a_domain_that_is_not_admitted_is_unknown() {
        let given = attributes(&[("email", "alice@example.com"), ("email_verified", "true")]);
        let read = |list: &str| {
            let blocked = |name: &str| (name == "BLOCKED_EMAIL_DOMAINS").then(|| list.to_owned());
            User::read(false, &given, &EmailDomains::from_vars(&blocked).unwrap())
        };
        assert_eq!(read("example.com"), User::Unknown(WhyUnknown::DomainNotAdmitted));
        assert!(matches!(read("example.org"), User::Known(_)));
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
    fn r55_an_address_does_not_print_itself() {
        let user = read(&[("email", "alice@example.com"), ("email_verified", "true")]);
        assert_eq!(format!("{user:?}"), "Known(EmailAddress)");
    }
}
