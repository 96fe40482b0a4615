//! What clients say beside an answer, languages and names.
//!
//! Holds: keys that we do not know change nothing, nor do values that are too long; whatever a client says, the challenge is the same and
//! so is the mail, but for its language. A language tag and a name are as short and as plain as they are said to be, and are read
//! again as they are.
#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use auth_challenge::challenge::UnixSeconds;
use auth_challenge::client_metadata::{Action, ClientMetadata, MAX_VALUE_LENGTH, SignInMethod};
use auth_challenge::create_auth_challenge::{self, Deliver};
use auth_challenge::recipient::{GreetingName, LanguageTag};
use auth_challenge::rounds::Rounds;
use auth_challenge::settings::{CreateSettings, EXAMPLE_CODE_KEY};
use auth_challenge::user::{SignIn, User};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pairs: Vec<(Key<'a>, &'a str)>,
    /// As the user's attributes have them.
    locale: &'a str,
    name: &'a str,
}

#[derive(Arbitrary, Debug)]
enum Key<'a> {
    Action,
    Locale,
    SignInMethod,
    AmplifyAction,
    AmplifyLocale,
    AmplifySignInMethod,
    Other(&'a str),
}

const KNOWN: [&str; 6] = [
    "action",
    "locale",
    "signInMethod",
    "Amplify.Passwordless.action",
    "Amplify.Passwordless.locale",
    "Amplify.Passwordless.signInMethod",
];

static SETTINGS: LazyLock<CreateSettings> = LazyLock::new(|| {
    CreateSettings::from_vars(&|name| match name {
        "CODE_KEY" => Some(EXAMPLE_CODE_KEY.to_owned()),
        "AWS_SAM_LOCAL" => Some("true".to_owned()),
        "GREETING_ATTRIBUTE" => Some("given_name".to_owned()),
        "SHOW_DESTINATION" => Some("masked".to_owned()),
        _ => None,
    })
    .unwrap()
});

fuzz_target!(|input: Input| {
    let all: HashMap<String, String> =
        input.pairs.iter().map(|(key, value)| (key.name().to_owned(), (*value).to_owned())).collect();
    let known = all.iter().filter(|(key, value)| KNOWN.contains(&key.as_str()) && value.len() <= MAX_VALUE_LENGTH);
    let known: HashMap<String, String> = known.map(|(key, value)| (key.clone(), value.clone())).collect();
    let metadata = ClientMetadata::read(&all);
    assert_eq!(metadata, ClientMetadata::read(&known), "another key, or a long value");
    let says = |key: &str, value: &str| known.iter().any(|(known, given)| known.ends_with(key) && given == value);
    assert!(metadata.action == Action::Answer || says("action", "RESEND"));
    assert!(metadata.sign_in_method == SignInMethod::EmailOtp || !known.is_empty());
    if let Some(locale) = &metadata.locale {
        assert!(
            says("locale", locale.as_str())
                || says("locale", &locale.as_str().replace('-', "_"))
                || known.values().any(|given| given.replace('_', "-") == locale.as_str())
        );
    }
    assert_eq!(mail(&metadata, &input), mail(&ClientMetadata::default(), &input), "metadata is in a mail");

    for text in [input.locale, input.name].into_iter().chain(all.values().map(String::as_str)) {
        if let Some(tag) = LanguageTag::parse(text) {
            let tag = tag.as_str();
            assert_eq!(tag, text.replace('_', "-"));
            assert!(
                (2..=35).contains(&tag.len())
                    && tag.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            );
            assert!(tag.split('-').all(|part| (1..=8).contains(&part.len())), "{tag}");
            assert_eq!(LanguageTag::parse(tag).unwrap().as_str(), tag);
        }
        if let Some(name) = GreetingName::parse(text) {
            check_name(name.as_str(), text);
        }
    }
});

impl<'a> Key<'a> {
    fn name(&self) -> &'a str {
        match self {
            Key::Action => KNOWN[0],
            Key::Locale => KNOWN[1],
            Key::SignInMethod => KNOWN[2],
            Key::AmplifyAction => KNOWN[3],
            Key::AmplifyLocale => KNOWN[4],
            Key::AmplifySignInMethod => KNOWN[5],
            Key::Other(name) => name,
        }
    }
}

/// The first round's challenge and mail, but for the language that the client wants.
fn mail(metadata: &ClientMetadata, input: &Input) -> String {
    let attributes = HashMap::from([
        ("email", "alice@example.com"),
        ("email_verified", "true"),
        ("locale", input.locale),
        ("given_name", input.name),
    ]);
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let user = User::read(false, &attributes, &SETTINGS.recipients).greeted(&attributes, Some("given_name"));
    let sign_in = SignIn {
        user_pool_id: "eu-west-1_EXAMPLE".to_owned(),
        client_id: "1example23456789".to_owned(),
        user_name: "alice".to_owned(),
        unproved: None,
    };
    let rng = &mut StdRng::seed_from_u64(0);
    let now = UnixSeconds(1_767_268_800);
    let challenge =
        create_auth_challenge::decide(&SETTINGS, &sign_in, &user, &Rounds::default(), metadata, now, rng).unwrap();
    let Deliver::Mail(message) = &challenge.deliver else { panic!("no mail") };
    let to = &message.to;
    let locale = to.locale.as_ref().map(LanguageTag::as_str);
    let name = to.name.as_ref().map(GreetingName::as_str);
    let code = message.code.grouped();
    let public = &challenge.public;
    let address = to.address.as_str();
    format!("{address} {locale:?} {name:?} {code:?} {:?} {public:?} {}", message.valid_for, challenge.sealed_state)
}

/// Letters with what joins them: nothing that a mail program could take for a link, an address, a number or markup.
fn check_name(name: &str, text: &str) {
    assert_eq!(name, text.trim());
    assert!((1..=40).contains(&name.chars().count()), "{name:?}");
    assert!(name.split(' ').count() <= 4 && !name.split(' ').any(str::is_empty), "{name:?}");
    assert!(!name.chars().any(|c| c.is_control() || c.is_numeric() || c == '\u{200b}'), "{name:?}");
    let marks = name.bytes().filter(|octet| octet.is_ascii() && !octet.is_ascii_alphabetic());
    assert!(marks.into_iter().all(|octet| b" -'.".contains(&octet)), "{name:?}");
    let pairs = name.chars().zip(name.chars().skip(1));
    assert!(pairs.into_iter().all(|(dot, next)| dot != '.' || next == ' '), "a link in {name:?}");
    assert!(!name.contains(['\u{202e}', '\u{2066}', '\u{2028}', '＠', '．', '。', '／', '：']), "{name:?}");
    assert_eq!(GreetingName::parse(name).unwrap().as_str(), name);
}
