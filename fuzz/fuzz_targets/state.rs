//! States and their seals: what is made opens, and nothing else does.
//!
//! Holds: there is one spelling for each state, below 200 characters; a sealed state opens to what it was, for its own sign-in alone,
//! and not with any octet of it changed, added or taken away; and a text that only looks like a state does not open even with a right
//! seal behind it.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::code::{CodeKey, CodeKeys};
use auth_challenge::settings::EXAMPLE_CODE_KEY;
use auth_challenge::user::SignIn;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    parameters: bool,
    repeated: bool,
    previous_key: bool,
    nonce: [u8; 16],
    issued_at: u64,
    attempts: u8,
    mails: u8,
    last_sent: u64,
    /// Pool, client and user.
    names: [&'a str; 3],
    /// A sign-in that may be another.
    others: [&'a str; 3],
    /// Where the sealed text is changed, and to what.
    place: u8,
    octet: u8,
    /// Anything.
    text: &'a str,
}

static KEYS: LazyLock<CodeKeys> = LazyLock::new(|| CodeKeys {
    current: CodeKey::new(EXAMPLE_CODE_KEY.as_bytes()),
    previous: Some(CodeKey::new(b"the key before it")),
});

fuzz_target!(|input: Input| {
    let sign_in = sign_in(input.names);
    let previous = KEYS.previous.as_ref().unwrap();
    let state = ChallengeState {
        kind: if input.parameters { ChallengeKind::Parameters } else { ChallengeKind::Code },
        key_id: if input.previous_key { previous.id() } else { KEYS.current.id() },
        nonce: Nonce::from(input.nonce),
        issued_at: UnixSeconds(input.issued_at),
        attempts: input.attempts,
        mails: input.mails,
        last_sent: UnixSeconds(input.last_sent),
        // A parameter round is nothing that could be shared.
        repeated: input.repeated && !input.parameters,
    };
    let text = state.to_string();
    assert_eq!(text.parse(), Ok(state));
    let sealed = state.seal(&KEYS, &sign_in).unwrap();
    assert!(sealed.len() < 200 && sealed.is_ascii(), "{sealed}");
    assert_eq!(sealed, format!("{text}.{}", seal(&KEYS, &state, input.names, &text)), "the seal that is documented");
    let open = |text: &str| ChallengeState::open(text, &KEYS, &sign_in);
    assert_eq!(open(&sealed), Some(state));

    let others = self::sign_in(input.others);
    assert_eq!(ChallengeState::open(&sealed, &KEYS, &others).is_some(), others == sign_in);
    let place = usize::from(input.place) % sealed.len();
    for octet in std::iter::once(input.octet).chain((0..8).map(|bit| sealed.as_bytes()[place] ^ (1 << bit))) {
        for range in [place..place + 1, place..place] {
            let mut changed = sealed.clone().into_bytes();
            changed.splice(range, [octet]);
            if let Ok(changed) = std::str::from_utf8(&changed) {
                assert_eq!(open(changed).is_some(), changed == sealed, "{changed} is not {sealed}");
            }
        }
    }
    assert_eq!(open(&sealed[..place]), None);
    assert_eq!(open(&format!("{}{}", &sealed[..place], &sealed[place + 1..])), None);

    // Anything else: as a text, as a sealed text, and with a right seal behind it.
    let read = input.text.parse::<ChallengeState>();
    if let Ok(read) = read {
        assert_eq!(read.to_string(), input.text, "two spellings of one state");
    }
    if let Some(opened) = open(input.text) {
        assert_eq!(opened.seal(&KEYS, &sign_in).as_deref(), Some(input.text));
    }
    let forged = format!("{}.{}", input.text, seal(&KEYS, &state, input.names, input.text));
    assert_eq!(open(&forged), read.ok().filter(|read| read.key_id == state.key_id));
});

fn sign_in([pool, client, user]: [&str; 3]) -> SignIn {
    let [user_pool_id, client_id, user_name] = [pool, client, user].map(str::to_owned);
    SignIn { user_pool_id, client_id, user_name, unproved: None }
}

/// The seal as `code.rs` and `challenge.rs` describe it, made without them.
fn seal(keys: &CodeKeys, state: &ChallengeState, names: [&str; 3], text: &str) -> String {
    let is_current = state.key_id == keys.current.id();
    let secret: &[u8] = if is_current { EXAMPLE_CODE_KEY.as_bytes() } else { b"the key before it" };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    for field in ["state/v1", names[0], names[1], names[2], text] {
        mac.update(&(field.len() as u32).to_be_bytes());
        mac.update(field.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
}
