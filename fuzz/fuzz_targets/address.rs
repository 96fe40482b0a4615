//! Addresses from attributes, and senders from settings.
//!
//! Holds: an address that is taken is one mailbox by a grammar that is written here once more and allows less than any RFC, and stays
//! as it was to the octet; a user's mail goes there and nowhere else. A sender that is taken becomes one line of ASCII with one address
//! in it, and no encoded word is longer than it may be.
#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use auth_challenge::email_address::{EmailAddress, Sender};
use auth_challenge::settings::RecipientSettings;
use auth_challenge::user::User;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;

static RECIPIENTS: LazyLock<RecipientSettings> = LazyLock::new(|| RecipientSettings::from_vars(&|_| None).unwrap());

fuzz_target!(|text: &str| {
    let parsed = EmailAddress::parse(text);
    let attributes = HashMap::from([("email", text), ("email_verified", "true")]);
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    match (User::read(false, &attributes, &RECIPIENTS), &parsed) {
        (User::Known(to), Some(address)) => assert_eq!(to.address, *address),
        (User::Unknown(_), None) => {}
        (user, _) => panic!("{user:?}"),
    }
    if let Some(address) = parsed {
        check(&address, text);
    }
    if let Some(Sender { name, address }) = Sender::parse(text) {
        check(&address, address.as_str());
        assert!(text.contains(address.as_str()));
        let header = Sender { name: name.clone(), address: address.clone() }.to_string();
        assert!(header.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '), "{header:?}");
        let before = header.strip_suffix(&format!("<{}>", address.as_str()));
        match (name, before) {
            (None, None) => assert_eq!(header, address.as_str()),
            (Some(name), Some(before)) => assert_eq!(name_in(before), name, "{header:?}"),
            _ => panic!("{header:?}"),
        }
    }
});

/// A mailbox by a grammar that allows less than any RFC.
fn check(address: &EmailAddress, text: &str) {
    assert_eq!(address.as_str().as_bytes(), text.as_bytes());
    assert!(text.len() <= 254);
    let parts: Vec<&str> = text.split('@').collect();
    let [local, domain] = parts[..] else { panic!("{text:?} is not one mailbox") };
    assert_eq!(address.domain(), domain);
    assert!((1..=64).contains(&local.len()), "{text:?}");
    for octet in local.bytes() {
        assert!(octet.is_ascii_graphic() && !b"\"(),:;<>@[]\\%!".contains(&octet), "{octet:#x} in {text:?}");
    }
    assert!(!text.contains("=?"), "an encoded word begins in {text:?}");
    let labels: Vec<&str> = domain.split('.').collect();
    assert!(labels.len() >= 2 && domain.len() <= 253, "{text:?}");
    for label in &labels {
        assert!((1..=63).contains(&label.len()), "{text:?}");
        assert!(label.chars().all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-')), "{text:?}");
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{text:?}");
    }
    assert!(
        domain.parse::<std::net::Ipv4Addr>().is_err() && labels.last().unwrap().parse::<u64>().is_err(),
        "{text:?}"
    );
}

/// The name that a mail program reads before the address.
fn name_in(header: &str) -> String {
    let header = header.strip_suffix(' ').unwrap();
    if let Some(name) = header.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        assert!(!name.contains(['"', '\\']), "{header:?}");
        return name.to_owned();
    }
    let words = header.split(' ').map(|word| {
        assert!(word.len() <= 75, "{word}");
        let encoded = word.strip_prefix("=?UTF-8?B?").and_then(|word| word.strip_suffix("?=")).unwrap();
        // Each is whole characters: mail programs decode them one by one.
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    });
    words.collect()
}
