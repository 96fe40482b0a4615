//! What comes next.

use std::time::Duration;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata, SignInMethod};
use auth_challenge::define_auth_challenge::{self, ChallengeName, NextStep, Refusal};
use auth_challenge::pre_authentication;
use auth_challenge::rounds::{Round, Rounds};
use auth_challenge::settings::DefineSettings;
use auth_challenge::user::{SignIn, User};
use proptest::prelude::*;

use super::{locales, metadata, moments, possible_rounds, rounds, unknown, users};
use crate::example::{ANSWER, NOW, alice, define, sign_in};

fn all_settings() -> impl Strategy<Value = DefineSettings> {
    (any::<bool>(), 1..=5_u8, 60..=600_u64).prop_map(|(password_first, max_attempts, validity)| {
        let (attempts, validity) = (max_attempts.to_string(), validity.to_string());
        let password_first = if password_first { "true" } else { "false" };
        define(&[("PASSWORD_FIRST", password_first), ("MAX_ATTEMPTS", &attempts), ("CODE_VALIDITY_SECONDS", &validity)])
    })
}

fn histories() -> impl Strategy<Value = Vec<Round>> {
    prop_oneof![3 => possible_rounds(), 1 => prop::collection::vec(rounds(), 0..8)]
}

fn decide(
    settings: &DefineSettings,
    user: &User,
    must_change_password: bool,
    rounds: &[Round],
    metadata: &ClientMetadata,
    now: UnixSeconds,
) -> NextStep {
    let rounds = rounds.iter().copied().collect();
    define_auth_challenge::decide(settings, &sign_in(), user, must_change_password, &rounds, metadata, now)
}

proptest! {
    /// All that tokens take, said from the end.
    #[test]
    fn t09_tokens_are_issued_after_a_right_answer_in_time_and_for_nothing_else(
        settings in all_settings(), user in users(), must_change: bool, history in histories(), metadata in metadata(),
        now in moments(),
    ) {
        let challenge = &settings.challenge;
        let is_right = |(place, round): (usize, &Round)| match round {
            Round::CustomChallenge { correct: false, .. } => place + 1 < history.len(),
            Round::CustomChallenge { state: ChallengeState { kind: ChallengeKind::Code, issued_at, attempts, .. }, .. } => {
                place + 1 == history.len()
                    && issued_at.0 <= now.0 + 30
                    && now.0 < issued_at.0 + challenge.validity.as_secs()
                    && *attempts < challenge.max_attempts
            }
            Round::CustomChallenge { .. } | Round::Unrecognized => false,
            Round::SrpA => place == 0,
            Round::PasswordVerified => place == 1,
        };
        let may = !history.is_empty()
            && history.iter().enumerate().all(is_right)
            && matches!(history.last(), Some(Round::CustomChallenge { correct: true, .. }))
            && matches!(user, User::Known(_))
            && (metadata.action, metadata.sign_in_method) == (Action::Answer, SignInMethod::EmailOtp)
            && (!settings.password_first || history.contains(&Round::PasswordVerified));
        let decided = decide(&settings, &user, must_change, &history, &metadata, now);
        prop_assert!(may || decided != NextStep::IssueTokens, "{decided:?}");
    }

    #[test]
    fn t31_who_is_unknown_gets_no_tokens_whatever_happened(
        settings in all_settings(), user in unknown(), history in histories(), metadata in metadata(), now in moments(),
    ) {
        prop_assert_ne!(decide(&settings, &user, false, &history, &metadata, now), NextStep::IssueTokens);
    }

    /// T25: until there is a right answer, nothing tells who exists.
    #[test]
    fn t25_as_long_as_no_answer_is_right_everybody_gets_the_same(
        settings in all_settings(), user in unknown(), history in histories(), metadata in metadata(), now in moments(),
    ) {
        let wrong = |round: &Round| match *round {
            Round::CustomChallenge { state, .. } => Round::CustomChallenge { state, correct: false },
            other @ (Round::SrpA | Round::PasswordVerified | Round::Unrecognized) => other,
        };
        let history: Vec<Round> = history.iter().map(wrong).collect();
        let [known, unknown] = [&alice(), &user].map(|user| decide(&settings, user, false, &history, &metadata, now));
        prop_assert_eq!(known, unknown);
    }

    #[test]
    fn p13_the_language_of_a_client_changes_no_decision(
        settings in all_settings(), user in users(), history in histories(), metadata in metadata(),
        locale in locales(), now in moments(),
    ) {
        let other = ClientMetadata { locale, ..metadata.clone() };
        prop_assert_eq!(
            decide(&settings, &user, false, &history, &metadata, now), decide(&settings, &user, false, &history, &other, now)
        );
    }

    #[test]
    fn p01_a_client_that_is_not_listed_begins_nothing(
        listed in prop::collection::btree_set("[a-z0-9]{1,6}", 1..5), client_id in "[a-z0-9]{1,6}",
    ) {
        let list = listed.iter().cloned().collect::<Vec<_>>().join(", ");
        let settings = define(&[("ALLOWED_CLIENT_IDS", &list)]);
        let begins = |client_id: &str| {
            let (sign_in, rounds) = (SignIn { client_id: client_id.to_owned(), ..sign_in() }, Rounds::default());
            define_auth_challenge::decide(&settings, &sign_in, &alice(), false, &rounds, &ANSWER, NOW)
        };
        let refused = NextStep::FailAuthentication(Refusal::NotAdmitted(pre_authentication::Refusal::ClientNotAllowed));
        let presented = NextStep::PresentChallenge(ChallengeName::CustomChallenge);
        prop_assert_eq!(begins(&client_id), if listed.contains(&client_id) { presented } else { refused });
        prop_assert!(listed.iter().all(|client_id| begins(client_id) != refused));
    }

    #[test]
    fn maintenance_stops_who_begins_and_nobody_who_is_in_the_middle(
        settings in all_settings(), user in users(), history in histories(), metadata in metadata(), now in moments(),
    ) {
        let mut paused = settings.clone();
        paused.admission.maintenance = true;
        let [open, paused] = [&settings, &paused].map(|settings| decide(settings, &user, false, &history, &metadata, now));
        if history.iter().any(|round| !matches!(round, Round::SrpA)) {
            prop_assert_eq!(open, paused);
        } else {
            prop_assert!(matches!(paused, NextStep::FailAuthentication(_)), "{paused:?}");
        }
    }

    #[test]
    fn t10_where_a_password_comes_first_nobody_goes_on_without(
        mut settings in all_settings(), user in users(), must_change: bool, history in histories(),
        metadata in metadata(), now in moments(),
    ) {
        settings.password_first = true;
        let decided = decide(&settings, &user, must_change, &history, &metadata, now);
        let proved = history.get(..2) == Some(&[Round::SrpA, Round::PasswordVerified]);
        let goes_on = [NextStep::IssueTokens, NextStep::PresentChallenge(ChallengeName::CustomChallenge)].contains(&decided);
        prop_assert!(proved || !goes_on, "{decided:?}");
        let asks = decided == NextStep::PresentChallenge(ChallengeName::PasswordVerifier);
        prop_assert!(!asks || (history == [Round::SrpA] && !must_change));
    }

    #[test]
    fn p18_whatever_is_too_late_stays_too_late(
        settings in all_settings(), user in users(), history in histories(), metadata in metadata(), now in moments(),
        later: u32,
    ) {
        if decide(&settings, &user, false, &history, &metadata, now) == NextStep::FailAuthentication(Refusal::Expired) {
            // A clock that is behind can still catch up.
            let Some(Round::CustomChallenge { state, .. }) = history.last() else { unreachable!() };
            prop_assume!(state.issued_at <= now);
            let then = decide(&settings, &user, false, &history, &metadata, now.plus(Duration::from_secs(later.into())));
            prop_assert_eq!(then, NextStep::FailAuthentication(Refusal::Expired));
        }
    }
}
