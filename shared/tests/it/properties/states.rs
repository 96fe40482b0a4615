//! The text in which a challenge's state travels, and the time for which it lives.

use std::time::Duration;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, UnixSeconds};
use auth_challenge::client_metadata::Action;
use auth_challenge::code::{CodeKey, CodeKeys};
use auth_challenge::email_address::EmailAddress;
use auth_challenge::user::SignIn;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::states;
use crate::example::{KEY, PREVIOUS_KEY, keys, sign_in};

fn opens(text: &str) -> bool {
    ChallengeState::open(text, &keys(), &sign_in()).is_some()
}

proptest! {
    #[test]
    fn p10_a_sealed_state_opens_to_itself(state in states()) {
        let sealed = state.seal(&keys(), &sign_in()).unwrap();
        prop_assert_eq!(ChallengeState::open(&sealed, &keys(), &sign_in()), Some(state));
        prop_assert_eq!(state.to_string().parse(), Ok(state));
    }

    #[test]
    fn r12_a_sealed_state_is_short(state in states()) {
        prop_assert!(state.seal(&keys(), &sign_in()).unwrap().len() < 200);
    }

    #[test]
    fn t45_a_state_of_another_sign_in_or_key_does_not_open(state in states(), which in 0..4, other in "\\PC{1,40}") {
        let sealed = state.seal(&keys(), &sign_in()).unwrap();
        let (sign_in, other_keys) = match which {
            0 => (SignIn { user_pool_id: other, ..sign_in() }, keys()),
            1 => (SignIn { client_id: other, ..sign_in() }, keys()),
            2 => (SignIn { user_name: other, ..sign_in() }, keys()),
            _ => (sign_in(), CodeKeys { current: CodeKey::new(other.as_bytes()), previous: None }),
        };
        prop_assert_eq!(ChallengeState::open(&sealed, &other_keys, &sign_in), None);
    }

    #[test]
    fn t45_any_text_is_read_without_a_panic(text in "\\PC*|[0-9a-z.]{0,120}") {
        prop_assert_eq!(ChallengeState::open(&text, &keys(), &sign_in()), None);
        if let Ok(state) = text.parse::<ChallengeState>() {
            prop_assert_eq!(state.to_string(), text);
        }
    }

    #[test]
    fn p10_a_state_with_another_character_does_not_open(state in states(), place: Index, other in "\\PC") {
        let sealed = state.seal(&keys(), &sign_in()).unwrap();
        let place = place.index(sealed.len());
        let mut changed = sealed.clone();
        changed.replace_range(place..=place, &other);
        prop_assert_eq!(opens(&changed), changed == sealed, "{}", changed);
    }

    #[test]
    fn p10_a_state_that_is_cut_or_goes_on_does_not_open(
        state in states(), place: Index, more in "[0-9A-Za-z._-]{1,30}",
    ) {
        let sealed = state.seal(&keys(), &sign_in()).unwrap();
        let (head, tail) = sealed.split_at(place.index(sealed.len() - 1) + 1);
        prop_assert!(!opens(tail) && (tail.is_empty() || !opens(head)));
        for longer in [format!("{sealed}{more}"), format!("{more}{sealed}"), format!("{head}{more}{tail}")] {
            prop_assert!(!opens(&longer), "{}", longer);
        }
    }

    #[test]
    fn r32_a_number_of_a_state_is_spelled_in_one_way(state in states(), field in 4..8_usize, before in "[+0 ]{1,3}") {
        let text = state.to_string();
        let mut fields: Vec<String> = text.split('.').map(str::to_owned).collect();
        fields[field].insert_str(0, &before);
        prop_assert!(fields.join(".").parse::<ChallengeState>().is_err(), "{:?}", fields);
        fields[field] = text.split('.').nth(field).unwrap().to_owned();
        prop_assert_eq!(fields.join(".").parse(), Ok(state));
    }

    #[test]
    fn p11_a_state_opens_wherever_its_key_is_known_and_nowhere_else(state in states()) {
        let (one, other) = (CodeKey::new(KEY.as_bytes()), CodeKey::new(PREVIOUS_KEY.as_bytes()));
        let sealed = state.seal(&keys(), &sign_in()).unwrap();
        let is_of_one = state.key_id == one.id();
        for (current, previous, knows) in [
            (&one, Some(&other), true), (&other, Some(&one), true), (&one, None, is_of_one), (&other, None, !is_of_one),
        ] {
            let keys = CodeKeys { current: current.clone(), previous: previous.cloned() };
            prop_assert_eq!(ChallengeState::open(&sealed, &keys, &sign_in()), knows.then_some(state));
            prop_assert_eq!(state.seal(&keys, &sign_in()), knows.then(|| sealed.clone()));
        }
    }

    #[test]
    fn p10_two_states_have_two_texts_and_two_seals(one in states(), other in states()) {
        let seal = |state: &ChallengeState| state.seal(&keys(), &sign_in()).unwrap();
        prop_assert_eq!(one.to_string() == other.to_string(), one == other);
        prop_assert_eq!(seal(&one).rsplit('.').next() == seal(&other).rsplit('.').next(), one == other);
    }

    #[test]
    fn t45_a_state_of_one_address_does_not_open_for_another(
        state in states(), one in "[a-z]{1,9}", other in "[a-z]{1,9}",
    ) {
        prop_assume!(one != other);
        let of = |name: &str| {
            let unproved = EmailAddress::parse(&format!("{name}@example.com"));
            SignIn { unproved, ..sign_in() }
        };
        let sealed = state.seal(&keys(), &of(&one)).unwrap();
        prop_assert_eq!(ChallengeState::open(&sealed, &keys(), &of(&one)), Some(state));
        prop_assert_eq!(ChallengeState::open(&sealed, &keys(), &of(&other)), None);
        prop_assert_eq!(ChallengeState::open(&sealed, &keys(), &sign_in()), None);
    }

    #[test]
    fn r12_a_state_is_kept_as_json_as_the_text_that_it_is(state in states()) {
        let kept = serde_json::to_value(state).unwrap();
        prop_assert_eq!(&kept, &Value::from(state.to_string()));
        prop_assert_eq!(serde_json::from_value::<ChallengeState>(kept).ok(), Some(state));
    }

    #[test]
    fn p18_a_challenge_lives_from_when_it_was_made_until_its_time_is_over(
        state in states(), issued_at in 0..u64::MAX - 10_000, ahead in 0..2_000_u64, behind in 0..100_u64, validity in 60..=600_u64,
    ) {
        let state = ChallengeState { issued_at: UnixSeconds(issued_at), ..state };
        // Anywhere around its life, and at its edges.
        for now in [issued_at.saturating_add(ahead).saturating_sub(behind), issued_at + validity - 1, issued_at + validity] {
            // Half a minute is what clocks may differ by.
            let lives = issued_at <= now + 30 && now < issued_at + validity;
            prop_assert_eq!(state.is_live(UnixSeconds(now), Duration::from_secs(validity)), lives);
        }
    }

    #[test]
    fn p18_what_is_over_stays_over(
        state in states(), mut moments in [any::<u64>(), any::<u64>(), any::<u64>()], validity in 60..=600_u64,
    ) {
        // Any moments at all, and some around its life.
        moments[0] = state.issued_at.0.saturating_add(moments[0] % 700);
        moments.sort_unstable();
        let [first, between, last] = moments.map(|now| state.is_live(UnixSeconds(now), Duration::from_secs(validity)));
        prop_assert!(between || !(first && last));
    }

    #[test]
    fn p07_wrong_answers_are_counted_one_by_one_and_never_back(state in states(), resends: bool) {
        let action = if resends { Action::Resend } else { Action::Answer };
        let counts = state.kind == ChallengeKind::Code && !resends && state.attempts < u8::MAX;
        prop_assert_eq!(state.attempts_after(action), state.attempts + u8::from(counts));
    }

    #[test]
    fn a_repeat_is_judged_once_less_but_once(state in states(), max_attempts in 1..=5_u8) {
        let (first, repeat) = (ChallengeState { repeated: false, ..state }, ChallengeState { repeated: true, ..state });
        prop_assert_eq!(first.allowed_attempts(max_attempts), max_attempts);
        prop_assert_eq!(repeat.allowed_attempts(max_attempts), if max_attempts == 1 { 1 } else { max_attempts - 1 });
    }

    #[test]
    fn r38_the_name_in_logs_is_one_for_all_rounds_of_a_challenge_and_tells_of_nothing_else(
        one in states(), other in states(),
    ) {
        let later = ChallengeState { nonce: one.nonce, ..other };
        prop_assert_eq!(one.log_id(), later.log_id());
        prop_assert_eq!(one.log_id().len(), 8);
        prop_assert_eq!(one.log_id() == other.log_id(), one.nonce.bytes()[..6] == other.nonce.bytes()[..6]);
    }

    #[test]
    fn p10_a_nonce_goes_through_as_it_is(bytes: [u8; 16], state in states()) {
        let state = ChallengeState { nonce: Nonce::from(bytes), ..state };
        prop_assert_eq!(state.to_string().parse::<ChallengeState>().map(|read| *read.nonce.bytes()), Ok(bytes));
    }
}
