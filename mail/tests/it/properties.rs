//! Mails with any code, name, language and time.

use std::time::Duration;

use auth_challenge::challenge::{Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, CodeFormat, CodeKey};
use auth_challenge::create_auth_challenge::Message;
use auth_challenge::recipient::{GreetingName, LanguageTag, Recipient};
use auth_challenge::user::SignIn;
use proptest::prelude::*;
use sign_in_mail::{Mail, Templates, example_message};

use crate::built_in::templates;

/// Mails of all kinds: the message, and whether it is for somebody with a name.
fn messages() -> impl Strategy<Value = Message> {
    let languages: Vec<String> = templates(&[]).languages().map(str::to_owned).collect();
    let format = (any::<bool>(), 6..=16_usize).prop_map(|(digits, length)| {
        CodeFormat::new(if digits { Alphabet::Digits } else { Alphabet::Letters }, length).unwrap()
    });
    let name = prop::option::of("[A-Z][a-z]{8,14}( [A-Z][a-z]{1,9})?|[\u{5d0}-\u{5ea}]{9}|[\u{4e00}-\u{4fff}]{9}");
    (prop::sample::select(languages), format, any::<[u8; 16]>(), name, 0..4_000_000_000_u64, 0..=600_u64).prop_map(
        |(language, format, nonce, name, asked_at, seconds)| {
            let example = example_message(LanguageTag::parse(&language), format);
            let sign_in = SignIn {
                user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
                client_id: "1example".to_owned(),
                user_name: "alice".to_owned(),
                unproved: None,
            };
            let asked_at = UnixSeconds(asked_at);
            let name = name.map(|name| GreetingName::parse(&name).unwrap());
            Message {
                to: Recipient { name, ..example.to },
                code: CodeKey::new(b"a key").code(&sign_in, &Nonce::from(nonce), asked_at, format),
                asked_at,
                valid_for: Duration::from_secs(seconds),
                ..example
            }
        },
    )
}

fn render(templates: &Templates, message: &Message) -> Mail {
    templates.render(message).unwrap()
}

/// The same mail for somebody else.
fn named(name: Option<&str>, message: Message) -> Message {
    Message { to: Recipient { name: name.and_then(GreetingName::parse), ..message.to }, ..message }
}

proptest! {
    #[test]
    fn p09_the_code_stands_once_in_each_part_and_not_in_the_subject(message in messages()) {
        let mail = render(&templates(&[]), &message);
        let (shown, bare) = (message.code.grouped().replace(' ', "\u{a0}"), message.code.grouped().replace(' ', ""));
        for part in [&mail.text, &mail.html] {
            prop_assert_eq!(part.matches(&shown).count(), 1, "{}", **part);
            prop_assert!(!part.contains(&bare), "{}", **part);
        }
        prop_assert!(!mail.subject.contains(&shown) && !mail.subject.contains(&bare));
        prop_assert_eq!(Some(&*mail.language), message.locale.as_ref().map(LanguageTag::as_str));
    }

    #[test]
    fn t35_a_name_is_said_once_and_changes_nothing_else(message in messages()) {
        let templates = templates(&[]);
        let name = message.to.name.clone();
        let with = render(&templates, &message);
        let message = named(Some("Alice"), message);
        let alice = render(&templates, &message);
        let without = render(&templates, &named(None, message));
        prop_assert_eq!([&*with.subject, &*alice.subject], [&*without.subject; 2]);
        match name {
            None => prop_assert_eq!((&*with.text, &*with.html), (&*without.text, &*without.html)),
            Some(name) => {
                let count = |text: &str| text.matches(name.as_str()).count();
                prop_assert_eq!([&with.text, &with.html, &without.text, &without.html].map(|part| count(part)), [1, 1, 0, 0]);
                prop_assert_eq!(&with.html.replace(name.as_str(), "Alice"), &*alice.html);
            }
        }
    }

    #[test]
    fn there_is_a_mail_in_one_of_our_languages_whatever_is_asked_for(
        message in messages(), wished in prop::option::of("[a-zA-Z]{2,8}([_-][a-zA-Z0-9]{1,8}){0,3}"),
    ) {
        let templates = templates(&[("DEFAULT_LOCALE", "fr")]);
        let locale = wished.as_deref().and_then(LanguageTag::parse);
        let mail = render(&templates, &Message { locale, ..message });
        prop_assert!(templates.languages().any(|language| language == mail.language), "{}", mail.language);
        if wished.is_none() {
            prop_assert_eq!(mail.language, "fr");
        }
    }

    #[test]
    fn t34_a_subject_is_one_line_and_a_name_of_the_app_is_text_in_html(
        message in messages(), app_name in "[A-Za-z<>&\"'{}%# ]{1,40}",
    ) {
        prop_assume!(!app_name.trim().is_empty());
        let called = |name: &str| render(&templates(&[("APP_NAME", name)]), &message);
        let (plain, strange) = (called("Acme"), called(&app_name));
        prop_assert!(!strange.subject.contains(['\r', '\n']));
        prop_assert!(strange.text.contains(app_name.trim()) && strange.subject.contains(app_name.trim()), "{}", *strange.text);
        let markup = |html: &str| html.matches(['<', '>', '"']).count();
        prop_assert_eq!(markup(&plain.html), markup(&strange.html), "{}", *strange.html);
    }

    #[test]
    fn p05_nobody_is_promised_more_time_than_there_is(message in messages()) {
        let minutes = message.valid_for.as_secs() / 60;
        let mail = render(&templates(&[]), &Message { locale: LanguageTag::parse("en"), ..message });
        let promised = match minutes {
            0 => "less than a minute".to_owned(),
            1 => "1 minute".to_owned(),
            _ => format!("{minutes} minutes"),
        };
        prop_assert_eq!(mail.text.matches(&format!(" {promised},")).count(), 1, "{}", *mail.text);
    }
}
