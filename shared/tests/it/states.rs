//! The text in which a challenge's state travels.

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::code::{Alphabet, CodeFormat, CodeKeys};
use auth_challenge::rounds::{Round, Rounds};
use auth_challenge::user::SignIn;
use serde_json::json;

use crate::example::{keys, sign_in, state, vectors};

#[test]
fn g17_t45_every_change_of_one_character_is_refused() {
    let sealed = state().seal(&keys(), &sign_in()).unwrap();
    let opens = |text: &str| ChallengeState::open(text, &keys(), &sign_in()).is_some();
    assert!(opens(&sealed));
    let mut changes = 0;
    for place in 0..sealed.len() {
        let (before, after) = (&sealed[..place], &sealed[place + 1..]);
        assert!(!opens(before), "cut at {place}");
        assert!(!opens(&format!("{before}{after}")), "without {place}");
        for c in (0..=127).map(char::from).chain(['é', '０', '\u{202e}']) {
            assert!(!opens(&format!("{before}{c}{}", &sealed[place..])), "{c:?} put in at {place}");
            if !sealed[place..].starts_with(c) {
                changes += 1;
                assert!(!opens(&format!("{before}{c}{after}")), "{c:?} at {place}");
            }
        }
    }
    assert!(changes > 10_000);
    println!("{}", json!({"gate": "G17", "changes": changes}));
}

#[test]
fn g17_r09_t22_with_anything_of_another_sign_in_neither_the_state_nor_the_code_is_right() {
    let state = state();
    let sealed = state.seal(&keys(), &sign_in()).unwrap();
    // Sixteen symbols, so that two codes are not equal by chance.
    let format = CodeFormat::new(Alphabet::Letters, 16).unwrap();
    let code = |sign_in: &SignIn, state: &ChallengeState| state.code(&keys(), sign_in, format).unwrap().grouped();
    let right = code(&sign_in(), &state);
    let mut swaps = 0;
    for swapped in 0u8..32 {
        let is_swapped = |bit: u8| swapped >> bit & 1 == 1;
        let text = |bit, ours: String, theirs: &str| if is_swapped(bit) { theirs.to_owned() } else { ours };
        let SignIn { user_pool_id, client_id, user_name, unproved } = sign_in();
        let other = SignIn {
            user_pool_id: text(0, user_pool_id, "eu-west-1_OTHER0000"),
            client_id: text(1, client_id, "2example23456789"),
            user_name: text(2, user_name, "8d5ba2f0-6d1b-4e0f-9d3f-2f1f0c6b9d11"),
            unproved,
        };
        let changed = ChallengeState {
            nonce: if is_swapped(3) { Nonce::from([8; 16]) } else { state.nonce },
            issued_at: if is_swapped(4) { UnixSeconds(state.issued_at.0 + 1) } else { state.issued_at },
            ..state
        };
        let is_ours = swapped == 0;
        assert_eq!(code(&other, &changed) == right, is_ours, "{swapped:05b}");
        // The state of one sign-in with the seal of the other.
        let seal = sealed.rsplit_once('.').unwrap().1;
        let opened = ChallengeState::open(&format!("{changed}.{seal}"), &keys(), &other);
        assert_eq!(opened, is_ours.then_some(state), "{swapped:05b}");
        swaps += u32::from(!is_ours);
    }
    println!("{}", json!({"gate": "G17", "swaps": swaps}));
}

#[test]
fn r12_there_is_one_spelling_for_each_state() {
    let text = state().to_string();
    let good: Vec<&str> = text.split('.').collect();
    let parses = |place: usize, field: &str| {
        let mut fields = good.clone();
        fields[place] = field;
        fields.join(".").parse::<ChallengeState>().is_ok()
    };
    assert!(parses(1, "code") && parses(1, "parameters"));
    for (place, field) in [
        (0, "2"),
        (0, ""),
        (0, "01"),
        (1, "Code"),
        (1, "link"),
        (1, ""),
        (2, "+0000001"),
        (2, "0"),
        (2, "ABCDEF01"),
        (3, ""),
        (3, "AAAAAAAAAAAAAAAAAAAAAA=="),
        (3, "AAAAAAAAAAAAAAAAAAAAAB"),
        (3, "AAAA"),
        (4, "+1"),
        (4, "01"),
        (4, "-1"),
        (4, "18446744073709551616"),
        (4, " 1"),
        (5, "256"),
        (5, "00"),
        (5, "-0"),
        (6, ""),
        (7, "1e9"),
        (7, "1767268800.0"),
    ] {
        assert!(!parses(place, field), "{place}: {field:?}");
    }
}

#[test]
fn r39_what_is_no_state_is_refused_without_repeating_it() {
    let error = serde_json::from_str::<ChallengeState>("\"CODE-48310937\"").unwrap_err().to_string();
    assert_eq!(error.split(" at line").next(), Some("no challenge state"));
}

#[test]
fn the_name_in_logs_is_the_challenges_own_and_short() {
    let id = |nonce| ChallengeState { nonce: Nonce::from(nonce), ..state() }.log_id();
    let standing = |rounds: &[Round]| rounds.iter().copied().collect::<Rounds>().standing().log_id();
    assert_eq!(standing(&[Round::CustomChallenge { state: state(), correct: false }]), Some(state().log_id()));
    assert_eq!([standing(&[]), standing(&[Round::SrpA]), standing(&[Round::Unrecognized])], [None, None, None]);
    assert_eq!(id([7; 16]), ChallengeState { attempts: 2, mails: 3, ..state() }.log_id());
    assert_ne!(id([7; 16]), id([8; 16]));
    assert_eq!(id([7; 16]).len(), 8);
}

#[test]
fn t43_f50_a_state_opens_while_its_key_is_the_previous_one_and_no_longer() {
    let CodeKeys { current: new, previous: old } = keys();
    let old = old.unwrap();
    let before = CodeKeys { current: old.clone(), previous: None };
    let state = ChallengeState { key_id: old.id(), ..state() };
    let sealed = state.seal(&before, &sign_in()).unwrap();
    let during = CodeKeys { current: new.clone(), previous: Some(old) };
    assert_eq!(ChallengeState::open(&sealed, &during, &sign_in()), Some(state));
    // A later round of the same sign-in goes on under the key that the mailed code was made with.
    assert_eq!(state.seal(&during, &sign_in()), Some(sealed.clone()));
    let after = CodeKeys { current: new, previous: None };
    assert_eq!(ChallengeState::open(&sealed, &after, &sign_in()), None);
    assert_eq!(state.seal(&after, &sign_in()), None);
}

/// A version that comes later must still read what this one wrote, while sign-ins are under way.
#[test]
fn r60_the_published_states_open() {
    let vectors = vectors("states");
    assert!(vectors.len() >= 6);
    for vector in vectors {
        let keys = CodeKeys { current: vector.key(), previous: None };
        let state = ChallengeState {
            kind: match &*vector.text("kind") {
                "code" | "repeat" => ChallengeKind::Code,
                _ => ChallengeKind::Parameters,
            },
            key_id: keys.current.id(),
            nonce: vector.nonce(),
            issued_at: UnixSeconds(vector.number("issued_at")),
            attempts: vector.number("attempts") as u8,
            mails: vector.number("mails") as u8,
            last_sent: UnixSeconds(vector.number("last_sent")),
            repeated: vector.text("kind") == "repeat",
        };
        assert_eq!(ChallengeState::open(&vector.text("sealed"), &keys, &vector.sign_in()), Some(state));
        assert_eq!(state.seal(&keys, &vector.sign_in()), Some(vector.text("sealed")));
    }
}
