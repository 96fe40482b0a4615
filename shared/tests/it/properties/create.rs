//! What the client is asked, and who gets which mail.

use std::collections::HashMap;

use auth_challenge::challenge::{ChallengeState, ErrorCode, PublicChallengeParameters, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata};
use auth_challenge::code::CodeFormat;
use auth_challenge::create_auth_challenge::{self, Challenge, Deliver};
use auth_challenge::rounds::Round;
use auth_challenge::settings::CreateSettings;
use auth_challenge::user::User;
use proptest::prelude::*;

use super::{asked, formats, known, metadata, moments, possible_rounds, unknown};
use crate::example::{ANSWER, Counter, NOW, alice, create, keys, sign_in};

fn all_settings() -> impl Strategy<Value = CreateSettings> {
    (formats(), any::<bool>(), any::<bool>(), 1..=5_u8, 1..=5_u8, 10..=300_u64).prop_map(
        |(format, parameters, masked, attempts, mails, seconds)| {
            let [length, attempts, mails, seconds] =
                [format.length() as u64, attempts.into(), mails.into(), seconds].map(|number| number.to_string());
            create(&[
                ("CODE_ALPHABET", format.alphabet.name()),
                ("CODE_LENGTH", &length),
                ("PARAMETER_ROUND", if parameters { "true" } else { "false" }),
                ("SHOW_DESTINATION", if masked { "masked" } else { "none" }),
                ("MAX_ATTEMPTS", &attempts),
                ("MAX_MAILS", &mails),
                ("RESEND_AFTER_SECONDS", &seconds),
            ])
        },
    )
}

/// Histories after which define-auth-challenge can ask for a challenge.
fn open_rounds() -> impl Strategy<Value = Vec<Round>> {
    possible_rounds().prop_filter("it is over", |rounds| {
        !matches!(rounds.last(), Some(Round::CustomChallenge { correct: true, .. }))
    })
}

fn decide(
    settings: &CreateSettings,
    user: &User,
    rounds: &[Round],
    metadata: &ClientMetadata,
    now: UnixSeconds,
    chance: u64,
) -> Challenge {
    let rounds = rounds.iter().copied().collect();
    create_auth_challenge::decide(settings, &sign_in(), user, &rounds, metadata, now, &mut Counter(chance)).unwrap()
}

fn code(settings: &CreateSettings, made: &Challenge) -> String {
    made.state.code(&keys(), &sign_in(), settings.challenge.format).unwrap().grouped().to_string()
}

proptest! {
    #[test]
    fn p02_a_mail_goes_to_the_users_own_address_and_has_the_code_of_the_challenge(
        settings in all_settings(), user in known(), history in open_rounds(), metadata in metadata(), now in moments(),
        chance: u64,
    ) {
        let made = decide(&settings, &user, &history, &metadata, now, chance);
        let User::Known(recipient) = user else { unreachable!() };
        if let Deliver::Mail(mail) = &made.deliver {
            prop_assert_eq!(&mail.to, &recipient);
            prop_assert_eq!(&*mail.code.grouped(), &code(&settings, &made));
            prop_assert_eq!(&mail.locale, &metadata.locale);
            // No longer than the challenge lives.
            prop_assert!(mail.asked_at == now && now.0 + mail.valid_for.as_secs() <= made.public.expires_at.0.max(now.0));
        }
    }

    #[test]
    fn t25_p15_whoever_it_is_gets_the_same_keys_and_lengths(
        settings in all_settings(), user in known(), nobody in unknown(), history in open_rounds(),
        metadata in metadata(), now in moments(), chance: u64,
    ) {
        let [known, unknown] = [&user, &nobody].map(|user| decide(&settings, user, &history, &metadata, now, chance));
        prop_assert_eq!(matches!(known.deliver, Deliver::Nothing), matches!(unknown.deliver, Deliver::Nothing));
        prop_assert!(!matches!(unknown.deliver, Deliver::Mail(_)) && !matches!(known.deliver, Deliver::Pretend(_)));
        prop_assert_eq!(known.state, unknown.state);
        let told = |made: &Challenge| -> HashMap<String, String> { made.public.clone().into() };
        let (known, unknown) = (told(&known), told(&unknown));
        for (key, value) in &known {
            let other = &unknown[key];
            prop_assert!(other == value || (key == "destination" && other.len() == value.len()), "{key}");
        }
        prop_assert_eq!(known.len(), unknown.len());
    }

    #[test]
    fn p05_no_round_makes_a_challenge_live_longer_or_changes_its_code(
        settings in all_settings(), history in open_rounds(), metadata in metadata(), now in moments(), chance: u64,
    ) {
        let made = decide(&settings, &alice(), &history, &metadata, now, chance);
        prop_assert_eq!(made.public.expires_at, made.state.issued_at.plus(settings.challenge.validity));
        let of = |state: ChallengeState| (state.nonce, state.issued_at, state.key_id);
        match asked(&history) {
            Some(state) => prop_assert_eq!(of(made.state), of(state)),
            None => prop_assert_eq!(made.state.issued_at, now),
        }
    }

    #[test]
    fn a_mail_is_one_that_was_asked_for_in_time_and_allowed(
        settings in all_settings(), history in open_rounds(), metadata in metadata(), now in moments(), chance: u64,
    ) {
        let made = decide(&settings, &alice(), &history, &metadata, now, chance);
        let is_mailed = matches!(made.deliver, Deliver::Mail(_));
        let expected = match asked(&history) {
            Some(state) => {
                let expected = metadata.action == Action::Resend
                    && state.mails < settings.max_mails
                    && now.0 >= state.last_sent.0 + settings.resend_after.as_secs();
                prop_assert_eq!(made.state.mails, state.mails + u8::from(expected));
                prop_assert_eq!(made.state.last_sent, if expected { now } else { state.last_sent });
                expected
            }
            // After the parameters, and at once where there are none.
            None => !settings.parameter_round || matches!(history.last(), Some(Round::CustomChallenge { .. })),
        };
        prop_assert_eq!(is_mailed, expected);
        prop_assert_eq!(made.public.resend_after, made.state.last_sent.plus(settings.resend_after));
    }

    #[test]
    fn p08_each_sign_in_has_a_code_of_its_own(chance: u64, other: u64, parameters: bool) {
        // So that what both of them draw is apart.
        prop_assume!(chance.abs_diff(other) > 2);
        let settings = create(&[("CODE_ALPHABET", "letters"), ("CODE_LENGTH", "16")]);
        let history = if parameters {
            let state = decide(&create(&[("PARAMETER_ROUND", "true")]), &alice(), &[], &ANSWER, NOW, chance).state;
            vec![Round::CustomChallenge { state, correct: false }]
        } else {
            vec![]
        };
        let [one, other] = [chance, other].map(|chance| decide(&settings, &alice(), &history, &ANSWER, NOW, chance));
        prop_assert_ne!(one.state.nonce, other.state.nonce);
        prop_assert_ne!(code(&settings, &one), code(&settings, &other));
    }

    #[test]
    fn what_is_left_is_what_is_allowed_less_what_was_wrong(
        settings in all_settings(), history in open_rounds(), metadata in metadata(), now in moments(), chance: u64,
    ) {
        let made = decide(&settings, &alice(), &history, &metadata, now, chance);
        let PublicChallengeParameters { attempts_left, error, .. } = made.public;
        let allowed = made.state.allowed_attempts(settings.challenge.max_attempts);
        prop_assert_eq!(attempts_left, allowed.saturating_sub(made.state.attempts));
        let is_wrong = asked(&history).is_some() && metadata.action == Action::Answer;
        prop_assert_eq!(error == Some(ErrorCode::CodeMismatch), is_wrong);
    }

    #[test]
    fn p09_the_code_stands_in_nothing_that_leaves_but_the_mail(
        mut settings in all_settings(), user in known(), history in open_rounds(), metadata in metadata(),
        now in moments(), chance: u64,
    ) {
        // A moment in seconds has ten digits, of which some may be those of a shorter code.
        let CodeFormat { alphabet, .. } = settings.challenge.format;
        settings.challenge.format = CodeFormat::new(alphabet, settings.challenge.format.length().max(11)).unwrap();
        let made = decide(&settings, &user, &history, &metadata, now, chance);
        let code = code(&settings, &made);
        let told: HashMap<String, String> = made.public.clone().into();
        for text in told.into_values().chain([made.sealed_state.clone(), format!("{made:?}")]) {
            prop_assert!(!text.contains(&code) && !text.contains(&code.replace(' ', "")), "{text}");
        }
    }
}
