//! Where a mail may go, what is said in it beside the code, and what a client says.

use std::collections::HashMap;

use auth_challenge::client_metadata::{Action, ClientMetadata, MAX_VALUE_LENGTH, SignInMethod};
use auth_challenge::email_address::{EmailAddress, Sender};
use auth_challenge::recipient::{GreetingName, LanguageTag, Recipient};
use auth_challenge::settings::RecipientSettings;
use auth_challenge::user::{User, WhyUnknown, must_change_password};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::Index;

/// Text in which addresses are not rare.
fn address_like() -> impl Strategy<Value = String> {
    let almost = "[a-z0-9]{0,3}[ -~]{1,2}[a-z0-9]{0,3}@[a-z]{1,5}([ -~][a-z]{1,3})?\\.[a-z]{2,3}";
    prop_oneof![almost, "[a-zA-Z0-9.+@\"<>,;:()%!= \\\\-]{0,40}", "\\PC{0,10}@\\PC{1,20}", "[a-z]{1,5}@[a-z.-]{1,15}"]
}

fn attributes() -> impl Strategy<Value = HashMap<String, String>> {
    let value = |values: &'static [&'static str]| prop::option::of(prop::sample::select(values));
    let statuses =
        &["CONFIRMED", "UNCONFIRMED", "FORCE_CHANGE_PASSWORD", "RESET_REQUIRED", "EXTERNAL_PROVIDER", "confirmed", ""];
    let addresses = &["alice@example.com", "alice@evil.example", "alice", "a@b@example.com", ""];
    (value(addresses), value(&["true", "false", "True", "1", ""]), value(statuses), prop::option::of("\\PC{0,20}"))
        .prop_map(|(email, verified, status, name)| {
            let given = [
                ("email", email),
                ("email_verified", verified),
                ("cognito:user_status", status),
                ("name", name.as_deref()),
            ];
            given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
        })
}

fn metadata() -> impl Strategy<Value = HashMap<String, String>> {
    let key = prop_oneof![
        prop::sample::select(&["action", "signInMethod", "locale", "Action", "otp"][..]).prop_map(str::to_owned),
        prop::sample::select(&["action", "signInMethod", "locale"][..])
            .prop_map(|key| format!("Amplify.Passwordless.{key}")),
        "\\PC{0,12}",
    ];
    let value = prop_oneof!["RESEND|EMAIL_OTP|OTP|MAGIC_LINK|pt[_-]BR|", "\\PC{0,300}"];
    prop::collection::hash_map(key, value, 0..8)
}

proptest! {
    #[test]
    fn t34_an_address_is_one_mailbox_in_plain_ascii_as_it_was_written(text in address_like()) {
        if let Some(address) = EmailAddress::parse(&text) {
            prop_assert_eq!(address.as_str(), &text);
            prop_assert!(text.len() <= 254 && text.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(!text.contains(['"', '<', '>', ',', ';', ':', '(', ')', '[', ']', '\\', '%', '!']), "{text}");
            prop_assert_eq!(text.matches('@').count(), 1);
            prop_assert!(text.strip_suffix(address.domain()).is_some_and(|local| local.ends_with('@')));
            prop_assert!(address.domain().contains('.'));
        }
    }

    #[test]
    fn t34_ordinary_addresses_are_taken(
        local in "[a-zA-Z0-9]{1,20}([.+_'-][a-zA-Z0-9]{1,10}){0,3}",
        domain in "([a-z0-9]{1,10}(-[a-z0-9]{1,5})?\\.){1,4}[a-z]{2,10}",
    ) {
        let text = format!("{local}@{domain}");
        prop_assert_eq!(EmailAddress::parse(&text).map(|address| address.domain().to_owned()), Some(domain));
    }

    #[test]
    fn t34_a_sender_is_one_line_of_ascii_from_which_its_name_can_be_read(
        name in "\\PC{1,64}", address in "[a-z]{1,9}@example\\.com",
    ) {
        let Some(sender) = Sender::parse(&format!("{name} <{address}>")) else { return Ok(()) };
        let header = sender.to_string();
        prop_assert!(header.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{header:?}");
        let (words, bare) = header.rsplit_once('<').map_or(("", &*header), |(words, rest)| (words, rest.trim_end_matches('>')));
        prop_assert_eq!(bare, &address);
        let decoded = match words.trim_end().strip_prefix('"') {
            Some(quoted) => quoted.trim_end_matches('"').to_owned(),
            None => {
                let encoded = words.split_whitespace().map(|word| {
                    assert!(word.len() <= 75, "{word}");
                    STANDARD.decode(word.strip_prefix("=?UTF-8?B?").unwrap().strip_suffix("?=").unwrap()).unwrap()
                });
                String::from_utf8(encoded.flatten().collect()).unwrap()
            }
        };
        prop_assert_eq!(decoded, sender.name.unwrap_or_default());
    }

    #[test]
    fn t35_a_name_to_greet_by_is_no_link_no_number_and_no_markup(
        text in "\\PC{0,45}|[A-Za-z\u{c0}-\u{24f} .'-]{0,45}",
    ) {
        let Some(name) = GreetingName::parse(&text) else { return Ok(()) };
        prop_assert_eq!(name.as_str(), text.trim());
        prop_assert_eq!(GreetingName::parse(name.as_str()), Some(name.clone()));
        let name = name.as_str();
        prop_assert!(name.chars().count() <= 40 && name.split(' ').count() <= 4);
        let stranger = name.chars().find(|c| c.is_numeric() || c.is_control() || (c.is_ascii_punctuation() && !"-'.".contains(*c)));
        prop_assert_eq!(stranger, None);
        // A dot has a space behind it, so that no program makes a link of it.
        prop_assert!(name.split('.').skip(1).all(|after| after.is_empty() || after.starts_with(' ')), "{name}");
    }

    #[test]
    fn t35_a_tag_of_a_language_is_a_few_letters_and_digits(
        text in "[a-zA-Z]{1,9}([_-][a-zA-Z0-9]{1,9}){0,4}|\\PC{0,40}",
    ) {
        let Some(tag) = LanguageTag::parse(&text) else { return Ok(()) };
        prop_assert_eq!(tag.as_str(), text.replace('_', "-"));
        prop_assert_eq!(LanguageTag::parse(tag.as_str()), Some(tag.clone()));
        prop_assert!(tag.as_str().len() <= 35 && tag.as_str().bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric()));
    }

    #[test]
    fn ordinary_tags_of_languages_are_taken_in_either_spelling(tag in "[a-zA-Z]{2,8}(-[a-zA-Z0-9]{1,8}){0,2}", underscores: bool) {
        let written = if underscores { tag.replace('-', "_") } else { tag.clone() };
        prop_assert_eq!(LanguageTag::parse(&written).map(|read| read.as_str().to_owned()), Some(tag));
    }

    #[test]
    fn r28_p13_keys_that_we_do_not_know_change_nothing(given in metadata(), more in metadata()) {
        let known = ["action", "signInMethod", "locale"];
        let is_known = |key: &str| known.contains(&key.strip_prefix("Amplify.Passwordless.").unwrap_or(key));
        let mut with_more: HashMap<String, String> = more.into_iter().filter(|(key, _)| !is_known(key)).collect();
        with_more.extend(given.clone());
        prop_assert_eq!(ClientMetadata::read(&with_more), ClientMetadata::read(&given));
    }

    #[test]
    fn r28_what_a_client_wants_is_what_the_shorter_key_says_or_else_the_longer(given in metadata()) {
        let said = |key: &str| {
            let values = [key.to_owned(), format!("Amplify.Passwordless.{key}")].map(|key| given.get(&key));
            values.into_iter().flatten().find(|value| !value.is_empty() && value.len() <= MAX_VALUE_LENGTH).map(String::as_str)
        };
        let ClientMetadata { action, sign_in_method, locale } = ClientMetadata::read(&given);
        prop_assert_eq!(action == Action::Resend, said("action") == Some("RESEND"));
        let is_ours = [None, Some("OTP"), Some("EMAIL_OTP")].contains(&said("signInMethod"));
        prop_assert_eq!(sign_in_method == SignInMethod::EmailOtp, is_ours);
        prop_assert_eq!(locale, said("locale").and_then(LanguageTag::parse));
    }

    #[test]
    fn r28_what_is_too_long_counts_as_absent(given in metadata(), key in any::<Index>(), length in 257..2_000_usize) {
        let keys: Vec<&String> = given.keys().collect();
        if keys.is_empty() {
            return Ok(());
        }
        let key = (*key.get(&keys)).clone();
        let (mut long, mut absent) = (given.clone(), given);
        long.insert(key.clone(), "x".repeat(length));
        absent.remove(&key);
        prop_assert_eq!(ClientMetadata::read(&long), ClientMetadata::read(&absent));
    }

    #[test]
    fn r25_p02_known_is_who_has_a_verified_usable_address_and_may_sign_in(
        given in attributes(), not_found: bool, verify_by_code: bool, blocks: bool,
    ) {
        let flag = verify_by_code.to_string();
        let vars = |name: &str| match name {
            "VERIFY_BY_CODE" => Some(flag.clone()),
            "BLOCKED_EMAIL_DOMAINS" if blocks => Some("evil.example".to_owned()),
            _ => None,
        };
        let settings = RecipientSettings::from_vars(&vars).unwrap();
        let value = |key: &str| given.get(key).map(String::as_str);
        let status = value("cognito:user_status");
        let verified = value("email_verified") == Some("true");
        let address = match value("email") {
            Some(address @ "alice@example.com") => Some(address),
            Some(address @ "alice@evil.example") if !blocks => Some(address),
            _ => None,
        };
        let may = !not_found
            && (verified || (verify_by_code && status == Some("CONFIRMED")))
            && [None, Some("CONFIRMED"), Some("FORCE_CHANGE_PASSWORD"), Some("RESET_REQUIRED")].contains(&status);
        match User::read(not_found, &given, &settings) {
            User::Known(recipient) => {
                prop_assert!(may);
                prop_assert_eq!((Some(recipient.address.as_str()), recipient.verified), (address, verified));
            }
            User::Unknown(why) => {
                prop_assert!(!(may && address.is_some()), "{why:?}");
                prop_assert_eq!(why == WhyUnknown::UserNotFound, not_found);
            }
        }
    }

    #[test]
    fn t31_no_attribute_makes_somebody_known_but_those(given in attributes(), more in metadata(), not_found: bool) {
        let is_read = |key: &str| ["email", "email_verified", "cognito:user_status", "locale"].contains(&key);
        let mut with_more: HashMap<String, String> = more.into_iter().filter(|(key, _)| !is_read(key)).collect();
        with_more.extend(given.clone());
        let read = |attributes| User::read(not_found, attributes, &RecipientSettings::default());
        prop_assert_eq!(read(&with_more), read(&given));
        let is_known = |user| matches!(user, User::Known(_));
        prop_assert_eq!(is_known(read(&given).greeted(&given, Some("name"))), is_known(read(&given)));
        prop_assert_eq!(must_change_password(&with_more), must_change_password(&given));
    }

    #[test]
    fn t35_who_is_greeted_is_greeted_by_the_one_attribute(given in attributes(), other in "\\PC{0,20}") {
        let user = || User::read(false, &given, &RecipientSettings::default());
        let mut with_other = given.clone();
        with_other.insert("nickname".to_owned(), other);
        prop_assert_eq!(user().greeted(&with_other, Some("name")), user().greeted(&given, Some("name")));
        if let User::Known(Recipient { name, .. }) = user().greeted(&given, Some("name")) {
            prop_assert_eq!(name, given.get("name").and_then(|name| GreetingName::parse(name)));
        }
        prop_assert_eq!(user().greeted(&given, None), user());
    }
}
