//! What a history amounts to.

use auth_challenge::challenge::ChallengeKind;
use auth_challenge::rounds::{MAX_ROUNDS, Round, Rounds, Standing};
use aws_lambda_events::cognito::CognitoEventUserPoolsChallengeResult;
use proptest::prelude::*;
use serde_json::json;

use super::{asked, possible_rounds, rounds, states};
use crate::example::{keys, sign_in, state};

fn standing(rounds: &[Round]) -> Standing {
    rounds.iter().copied().collect::<Rounds>().standing()
}

fn is_right(round: &Round) -> bool {
    matches!(round, Round::CustomChallenge { correct: true, .. })
}

/// A history as Cognito tells it.
fn read(name: &str, result: bool, metadata: Option<&str>) -> Option<Round> {
    let entry = json!({"challengeName": name, "challengeResult": result, "challengeMetadata": metadata});
    let entry: CognitoEventUserPoolsChallengeResult = serde_json::from_value(entry).unwrap();
    Rounds::read(&[Some(entry)], &keys(), &sign_in()).into_iter().next()
}

proptest! {
    #[test]
    fn p06_a_history_that_is_impossible_stays_so_whatever_follows(
        history in prop::collection::vec(rounds(), 0..8), more in prop::collection::vec(rounds(), 0..8),
    ) {
        let longer = [history.clone(), more].concat();
        prop_assert!(standing(&history) != Standing::Impossible || standing(&longer) == Standing::Impossible);
    }

    #[test]
    fn t11_nothing_comes_after_a_right_answer(
        before in possible_rounds(), more in prop::collection::vec(rounds(), 1..4),
    ) {
        let mut before = before;
        if !before.last().is_some_and(is_right) {
            let state = asked(&before).unwrap_or_else(state);
            before.push(Round::CustomChallenge { state, correct: true });
            prop_assert_ne!(standing(&before), Standing::Impossible);
        }
        prop_assert_eq!(standing(&[before, more].concat()), Standing::Impossible);
    }

    #[test]
    fn t10_what_is_not_recognized_leads_nowhere_wherever_it_stands(
        before in possible_rounds(), after in prop::collection::vec(rounds(), 0..4),
    ) {
        prop_assert_eq!(standing(&[before, vec![Round::Unrecognized], after].concat()), Standing::Impossible);
    }

    #[test]
    fn t11_there_are_twelve_rounds_at_most(state in states(), count in 0..40_usize) {
        let history = vec![Round::CustomChallenge { state, correct: false }; count];
        let goes_on = count <= MAX_ROUNDS && (state.kind == ChallengeKind::Code || count <= 1);
        prop_assert_eq!(standing(&history) != Standing::Impossible, goes_on);
    }

    #[test]
    fn p06_the_newest_answer_is_what_counts(history in possible_rounds()) {
        match (standing(&history), history.last()) {
            (Standing::Answered { state, correct, password_verified }, Some(last)) => {
                prop_assert_eq!(Round::CustomChallenge { state, correct }, *last);
                prop_assert_eq!(password_verified, history.contains(&Round::PasswordVerified));
            }
            (Standing::Begun, None)
            | (Standing::SrpBegun, Some(Round::SrpA))
            | (Standing::PasswordVerified, Some(Round::PasswordVerified)) => {}
            (other, _) => prop_assert!(false, "{other:?} of {history:?}"),
        }
    }

    #[test]
    fn r32_in_a_history_that_counts_there_is_one_code_whose_counts_never_fall(
        before in possible_rounds(), more in prop::collection::vec(rounds(), 0..3),
    ) {
        let history = [before, more].concat();
        if standing(&history) == Standing::Impossible {
            return Ok(());
        }
        let states: Vec<_> = history.iter().filter_map(|round| asked(&[*round])).collect();
        for pair in states.windows(2) {
            let [one, other] = [pair[0], pair[1]].map(|state| (state.nonce, state.issued_at, state.repeated));
            prop_assert_eq!(one, other);
            prop_assert!(pair[0].attempts <= pair[1].attempts && pair[0].mails <= pair[1].mails);
        }
        prop_assert!(history.iter().rev().skip(1).all(|round| !is_right(round)));
    }

    #[test]
    fn t11_what_we_did_not_seal_is_not_recognized(
        name in "\\PC{0,20}|CUSTOM_CHALLENGE", result: bool, metadata in prop::option::of("\\PC{0,99}"),
    ) {
        prop_assume!(!["SRP_A", "PASSWORD_VERIFIER"].contains(&&*name));
        prop_assert_eq!(read(&name, result, metadata.as_deref()), Some(Round::Unrecognized));
    }

    #[test]
    fn r32_what_we_sealed_is_read_as_it_was_in_a_challenge_of_ours_alone(
        state in states(), correct: bool, other in "[A-Z_]{1,20}",
    ) {
        let sealed = state.seal(&keys(), &sign_in()).unwrap();
        prop_assert_eq!(read("CUSTOM_CHALLENGE", correct, Some(&sealed)), Some(Round::CustomChallenge { state, correct }));
        prop_assert_eq!(read(&other, false, Some(&sealed)), Some(Round::Unrecognized));
        prop_assert_eq!(read("PASSWORD_VERIFIER", false, Some(&sealed)), Some(Round::Unrecognized));
    }
}
