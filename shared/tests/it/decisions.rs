//! The four decisions: each rule by itself, and all together in whole sign-ins.

use std::collections::HashMap;
use std::time::Duration;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, ErrorCode, Nonce, PRIVATE_KEY, UnixSeconds};
use auth_challenge::client_metadata::{ClientMetadata, SignInMethod};
use auth_challenge::create_auth_challenge::{self, Challenge, Deliver, Next};
use auth_challenge::define_auth_challenge::{self, ChallengeName, NextStep};
use auth_challenge::limits::{Account, Count, Limited, Limits};
use auth_challenge::pre_authentication::{self, Admission};
use auth_challenge::recipient::{LanguageTag, Recipient};
use auth_challenge::rounds::{MAX_ROUNDS, Round, Rounds};
use auth_challenge::settings::{LimitsSettings, PreAuthenticationSettings};
use auth_challenge::trigger::TriggerError;
use auth_challenge::user::{SignIn, User};
use auth_challenge::verify_auth_challenge::{self, Verdict};

use crate::example::{
    ANSWER, Counter, NOW, RESEND, alice, create, define, keys, later, nobody, settings, sign_in, state, verify,
};

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn custom(state: ChallengeState, correct: bool) -> Round {
    Round::CustomChallenge { state, correct }
}

mod pre_authentication_decides {
    use super::*;
    use auth_challenge::pre_authentication::Refusal;

    fn decide(given: &[(&str, &str)], attributes: &[(&str, &str)], validation_data: &[(&str, &str)]) -> Admission {
        let settings = settings(PreAuthenticationSettings::from_vars, given).unwrap();
        pre_authentication::decide(&settings, &sign_in(), &map(attributes), &map(validation_data))
    }

    #[test]
    fn everybody_is_admitted_by_default() {
        assert_eq!(decide(&[], &[], &[]), Admission::Admit);
        assert_eq!(decide(&[], &[("email", "alice@example.com")], &[("tenant", "acme")]), Admission::Admit);
    }

    #[test]
    fn maintenance_refuses_everybody() {
        assert_eq!(decide(&[("MAINTENANCE", "true")], &[], &[]), Admission::Refuse(Refusal::Maintenance));
    }

    #[test]
    fn t41_only_listed_clients_are_admitted() {
        let listed = [("ALLOWED_CLIENT_IDS", "another, 1example23456789")];
        assert_eq!(decide(&listed, &[], &[]), Admission::Admit);
        let others = [("ALLOWED_CLIENT_IDS", "1example2345678,1example234567890")];
        assert_eq!(decide(&others, &[], &[]), Admission::Refuse(Refusal::ClientNotAllowed));
    }

    #[test]
    fn domains_are_allowed_and_blocked() {
        let admits = |variable, list, email| decide(&[(variable, list)], &[("email", email)], &[]) == Admission::Admit;
        let allowed = |list, email| admits("ALLOWED_EMAIL_DOMAINS", list, email);
        assert!(allowed("example.com", "alice@example.com"));
        assert!(allowed("example.org, example.com", "alice@EXAMPLE.com"));
        assert!(allowed("*.example.com", "alice@mail.example.com"));
        assert!(!allowed("*.example.com", "alice@example.com"));
        assert!(!allowed("example.com", "alice@mail.example.com"));
        assert!(!allowed("example.com", "alice@notexample.com"));
        assert!(!allowed("example.com", "\"alice@example.com\"@evil.example"));
        let blocked = |list, email| !admits("BLOCKED_EMAIL_DOMAINS", list, email);
        assert!(blocked("example.com", "alice@example.com"));
        assert!(blocked("example.com", "alice@Example.Com."));
        assert!(!blocked("example.com", "alice@example.org"));
        let both = [("ALLOWED_EMAIL_DOMAINS", "example.com"), ("BLOCKED_EMAIL_DOMAINS", "example.com")];
        let refused = Admission::Refuse(Refusal::DomainNotAdmitted);
        assert_eq!(decide(&both, &[("email", "alice@example.com")], &[]), refused);
    }

    #[test]
    fn without_an_attribute_the_typed_name_is_judged_if_it_is_an_address() {
        let settings = settings(PreAuthenticationSettings::from_vars, &[("BLOCKED_EMAIL_DOMAINS", "evil.example")]);
        let typed = |user_name: &str| {
            let sign_in = SignIn { user_name: user_name.to_owned(), ..sign_in() };
            pre_authentication::decide(settings.as_ref().unwrap(), &sign_in, &map(&[]), &map(&[]))
        };
        assert_eq!(typed("eve@evil.example"), Admission::Refuse(Refusal::DomainNotAdmitted));
        assert_eq!(typed("eve@example.com"), Admission::Admit);
        assert_eq!(typed("eve"), Admission::Admit);
    }

    #[test]
    fn a_user_without_an_address_is_of_no_allowed_domain() {
        let decide = |variable, attributes: &[(&str, &str)]| {
            let sign_in = SignIn { user_name: "bob".to_owned(), ..sign_in() };
            let settings = settings(PreAuthenticationSettings::from_vars, &[(variable, "example.com")]);
            pre_authentication::decide(settings.as_ref().unwrap(), &sign_in, &map(attributes), &map(&[]))
        };
        for attributes in [&[("sub", "b0b")][..], &[("sub", "b0b"), ("email", "")], &[("email", "bob")]] {
            let refused = Admission::Refuse(Refusal::DomainNotAdmitted);
            assert_eq!(decide("ALLOWED_EMAIL_DOMAINS", attributes), refused, "{attributes:?}");
            assert_eq!(decide("BLOCKED_EMAIL_DOMAINS", attributes), Admission::Admit, "{attributes:?}");
        }
        // Whoever does not exist has no attributes, and learns nothing here.
        assert_eq!(decide("ALLOWED_EMAIL_DOMAINS", &[]), Admission::Admit);
    }

    #[test]
    fn required_metadata_has_to_be_there_and_equal() {
        let refused = Admission::Refuse(Refusal::MetadataNotAccepted);
        let present = [("REQUIRED_CLIENT_METADATA", "termsAccepted")];
        assert_eq!(decide(&present, &[], &[("termsAccepted", "2026-01-01")]), Admission::Admit);
        assert_eq!(decide(&present, &[], &[("termsAccepted", "")]), refused);
        assert_eq!(decide(&present, &[], &[("termsaccepted", "yes")]), refused);
        assert_eq!(decide(&present, &[], &[]), refused);

        let tenant = [("REQUIRED_CLIENT_METADATA", "tenant = custom:tenant, app")];
        let acme = [("custom:tenant", "acme")];
        assert_eq!(decide(&tenant, &acme, &[("tenant", "acme"), ("app", "web")]), Admission::Admit);
        assert_eq!(decide(&tenant, &acme, &[("tenant", "Acme"), ("app", "web")]), refused);
        assert_eq!(decide(&tenant, &acme, &[("tenant", "acme")]), refused);
        assert_eq!(decide(&tenant, &acme, &[("app", "web")]), refused);
        assert_eq!(decide(&tenant, &[], &[("app", "web")]), refused);
        assert_eq!(decide(&tenant, &[("custom:tenant", "")], &[("tenant", ""), ("app", "web")]), refused);
        let long = "a".repeat(257);
        assert_eq!(decide(&tenant, &[("custom:tenant", &long)], &[("tenant", &long), ("app", "web")]), refused);
    }

    #[test]
    fn r39_t25_the_error_does_not_tell_which_rule_it_was() {
        for refusal in [Refusal::ClientNotAllowed, Refusal::DomainNotAdmitted, Refusal::MetadataNotAccepted] {
            assert_eq!(TriggerError::from(refusal), TriggerError::SignInNotAllowed);
        }
        assert_eq!(TriggerError::from(Refusal::Maintenance), TriggerError::Maintenance);
    }
}

mod define_decides {
    use super::*;
    use ChallengeName::{CustomChallenge, PasswordVerifier};
    use NextStep::{FailAuthentication, IssueTokens, PresentChallenge};
    use auth_challenge::define_auth_challenge::Refusal;

    const OPEN: &[(&str, &str)] = &[];
    const PASSWORD_FIRST: &[(&str, &str)] = &[("PASSWORD_FIRST", "true")];

    fn decide(given: &[(&str, &str)], rounds: &[Round], metadata: ClientMetadata, now: UnixSeconds) -> NextStep {
        let rounds: Rounds = rounds.iter().copied().collect();
        define_auth_challenge::decide(&define(given), &sign_in(), &alice(), false, &rounds, &metadata, now)
    }

    fn after(rounds: &[Round]) -> NextStep {
        decide(OPEN, rounds, ANSWER, later(60))
    }

    fn attempt(attempts: u8, correct: bool) -> Round {
        custom(ChallengeState { attempts, ..state() }, correct)
    }

    #[test]
    fn challenges_have_cognitos_names() {
        assert_eq!((CustomChallenge.name(), PasswordVerifier.name()), ("CUSTOM_CHALLENGE", "PASSWORD_VERIFIER"));
    }

    #[test]
    fn the_first_round_presents_the_challenge() {
        assert_eq!(after(&[]), PresentChallenge(CustomChallenge));
    }

    #[test]
    fn a_client_that_opens_with_srp_is_asked_for_the_code_if_no_password_is_wanted() {
        assert_eq!(after(&[Round::SrpA]), PresentChallenge(CustomChallenge));
        assert_eq!(after(&[Round::SrpA, Round::PasswordVerified]), PresentChallenge(CustomChallenge));
        assert_eq!(after(&[Round::SrpA, attempt(0, true)]), IssueTokens);
    }

    #[test]
    fn a_password_comes_first_when_it_is_wanted() {
        let step = |rounds: &[Round]| decide(PASSWORD_FIRST, rounds, ANSWER, later(60));
        assert_eq!(step(&[]), FailAuthentication(Refusal::PasswordMissing));
        assert_eq!(step(&[Round::SrpA]), PresentChallenge(PasswordVerifier));
        assert_eq!(step(&[Round::SrpA, Round::PasswordVerified]), PresentChallenge(CustomChallenge));
        assert_eq!(step(&[Round::SrpA, Round::PasswordVerified, attempt(0, true)]), IssueTokens);
        assert_eq!(step(&[Round::SrpA, attempt(0, true)]), FailAuthentication(Refusal::PasswordMissing));
        assert_eq!(step(&[attempt(0, true)]), FailAuthentication(Refusal::PasswordMissing));
        assert_eq!(step(&[Round::PasswordVerified]), FailAuthentication(Refusal::ImpossibleHistory));
    }

    #[test]
    fn a_password_that_must_be_changed_is_not_asked_for_because_tokens_would_follow_it_without_a_code() {
        let step = |given: &[(&str, &str)], rounds: &[Round]| {
            let rounds: Rounds = rounds.iter().copied().collect();
            define_auth_challenge::decide(&define(given), &sign_in(), &alice(), true, &rounds, &ANSWER, later(60))
        };
        assert_eq!(step(PASSWORD_FIRST, &[Round::SrpA]), FailAuthentication(Refusal::PasswordMustChange));
        // Without a password in the way, a new user who never had one may sign in.
        assert_eq!(step(OPEN, &[Round::SrpA]), PresentChallenge(CustomChallenge));
        assert_eq!(step(OPEN, &[]), PresentChallenge(CustomChallenge));
        assert_eq!(step(OPEN, &[attempt(0, true)]), IssueTokens);
    }

    #[test]
    fn r13_three_answers_are_judged_and_the_last_may_be_right() {
        assert_eq!(after(&[attempt(0, false)]), PresentChallenge(CustomChallenge));
        assert_eq!(after(&[attempt(0, false), attempt(1, false)]), PresentChallenge(CustomChallenge));
        assert_eq!(after(&[attempt(0, false), attempt(1, false), attempt(2, true)]), IssueTokens);
        let used_up = FailAuthentication(Refusal::AttemptsUsedUp);
        assert_eq!(after(&[attempt(0, false), attempt(1, false), attempt(2, false)]), used_up);
        assert_eq!(after(&[attempt(3, true)]), used_up);
        // One that shares its challenge leaves the last to who was first; and it goes on as it began.
        let shared = |attempts, correct| custom(ChallengeState { attempts, repeated: true, ..state() }, correct);
        assert_eq!(after(&[shared(0, false)]), PresentChallenge(CustomChallenge));
        assert_eq!(after(&[shared(0, false), shared(1, false)]), used_up);
        assert_eq!(after(&[shared(2, true)]), used_up);
        assert_eq!(after(&[shared(0, false), attempt(1, true)]), FailAuthentication(Refusal::ImpossibleHistory));
    }

    #[test]
    fn a_resend_costs_no_attempt_and_never_succeeds() {
        let step = |rounds: &[Round]| decide(OPEN, rounds, RESEND, later(60));
        assert_eq!(step(&[attempt(2, false)]), PresentChallenge(CustomChallenge));
        assert_eq!(step(&[attempt(0, true)]), FailAuthentication(Refusal::ImpossibleHistory));
    }

    #[test]
    fn r05_t24_the_end_of_a_code_is_the_end_of_the_sign_in() {
        let expired = FailAuthentication(Refusal::Expired);
        for metadata in [ANSWER, RESEND] {
            assert_eq!(
                decide(OPEN, &[attempt(0, false)], metadata.clone(), later(599)),
                PresentChallenge(CustomChallenge)
            );
            assert_eq!(decide(OPEN, &[attempt(0, false)], metadata, later(600)), expired);
        }
        assert_eq!(decide(OPEN, &[attempt(0, true)], ANSWER, later(599)), IssueTokens);
        assert_eq!(decide(OPEN, &[attempt(0, true)], ANSWER, later(600)), expired);
    }

    #[test]
    fn r59_a_challenge_from_the_future_does_not_count() {
        let at = |now| decide(OPEN, &[attempt(0, true)], ANSWER, UnixSeconds(now));
        assert_eq!(at(NOW.0 - 30), IssueTokens);
        assert_eq!(at(NOW.0 - 31), FailAuthentication(Refusal::Expired));
        assert_eq!(at(0), FailAuthentication(Refusal::Expired));
        assert_eq!(at(u64::MAX), FailAuthentication(Refusal::Expired));
    }

    #[test]
    fn f53_the_clocks_of_two_environments_may_differ_a_little() {
        let parameters = ChallengeState { kind: ChallengeKind::Parameters, mails: 0, ..state() };
        let after_parameters = |seconds_before| {
            let made = UnixSeconds(NOW.0 - seconds_before);
            let code = ChallengeState { issued_at: made, last_sent: made, ..state() };
            after(&[custom(parameters, false), custom(code, true)])
        };
        assert_eq!(after_parameters(30), IssueTokens);
        assert_eq!(after_parameters(31), FailAuthentication(Refusal::ImpossibleHistory));
    }

    #[test]
    fn t11_what_went_before_has_to_fit() {
        let impossible = FailAuthentication(Refusal::ImpossibleHistory);
        for rounds in [
            &[attempt(0, true), attempt(1, true)][..],
            &[attempt(0, true), attempt(0, false)],
            &[Round::Unrecognized],
            &[Round::Unrecognized, attempt(0, true)],
            &[attempt(0, false), Round::Unrecognized, attempt(1, true)],
            &[Round::SrpA, Round::SrpA],
            &[Round::PasswordVerified, Round::SrpA],
            &[attempt(0, false), Round::SrpA],
            &[attempt(1, false), attempt(0, true)],
            &[attempt(0, false), attempt(2, true)],
            &[attempt(0, false), custom(ChallengeState { nonce: Nonce::from([8; 16]), ..state() }, true)],
            &[attempt(0, false), custom(ChallengeState { issued_at: later(1), ..state() }, true)],
            &[attempt(0, false), custom(ChallengeState { mails: 3, ..state() }, true)],
            &[attempt(0, false), custom(ChallengeState { kind: ChallengeKind::Parameters, ..state() }, false)],
            &[custom(ChallengeState { kind: ChallengeKind::Parameters, ..state() }, true)],
        ] {
            assert_eq!(after(rounds), impossible, "{rounds:?}");
        }
    }

    #[test]
    fn f40_too_many_rounds_fail() {
        let rounds = |n| vec![attempt(0, false); n];
        assert_eq!(decide(OPEN, &rounds(MAX_ROUNDS - 1), RESEND, later(60)), PresentChallenge(CustomChallenge));
        // Nobody is asked for an answer that could not count.
        let too_many = FailAuthentication(Refusal::TooManyRounds);
        assert_eq!(decide(OPEN, &rounds(MAX_ROUNDS), RESEND, later(60)), too_many);
        let last_is_right = [rounds(MAX_ROUNDS - 1), vec![attempt(0, true)]].concat();
        assert_eq!(decide(OPEN, &last_is_right, ANSWER, later(60)), IssueTokens);
        let impossible = FailAuthentication(Refusal::ImpossibleHistory);
        assert_eq!(decide(OPEN, &rounds(MAX_ROUNDS + 1), RESEND, later(60)), impossible);
        assert_eq!(decide(OPEN, &rounds(1_000), RESEND, later(60)), impossible);
    }

    #[test]
    fn t12_an_unknown_sign_in_method_is_refused_at_any_time() {
        let unsupported = ClientMetadata { sign_in_method: SignInMethod::Unsupported, ..ANSWER };
        for rounds in [&[][..], &[attempt(0, false)], &[attempt(0, true)]] {
            let step = decide(OPEN, rounds, unsupported.clone(), later(60));
            assert_eq!(step, FailAuthentication(Refusal::SignInMethodNotSupported));
        }
    }

    #[test]
    fn r64_admission_is_asked_in_the_first_round_and_a_live_sign_in_goes_on() {
        let paused = &[("MAINTENANCE", "true")];
        for rounds in [&[][..], &[Round::SrpA]] {
            let step = decide(paused, rounds, ANSWER, later(60));
            assert_eq!(step, FailAuthentication(Refusal::NotAdmitted(pre_authentication::Refusal::Maintenance)));
        }
        assert_eq!(decide(paused, &[attempt(0, true)], ANSWER, later(60)), IssueTokens);
    }

    #[test]
    fn t09_an_unknown_user_never_gets_tokens() {
        let rounds: Rounds = [attempt(0, true)].into_iter().collect();
        let step =
            define_auth_challenge::decide(&define(OPEN), &sign_in(), &nobody(), false, &rounds, &ANSWER, later(60));
        assert!(matches!(step, FailAuthentication(Refusal::UnknownUser(_))));
    }
}

mod verify_decides {
    use super::*;
    use auth_challenge::verify_auth_challenge::Refusal;

    fn code_of(state: &ChallengeState) -> String {
        state.code(&keys(), &sign_in(), verify(&[]).challenge.format).unwrap().grouped().to_string()
    }

    fn decide(state: ChallengeState, user: &User, answer: &str, metadata: ClientMetadata, now: UnixSeconds) -> Verdict {
        let private = map(&[(PRIVATE_KEY, &state.seal(&keys(), &sign_in()).unwrap())]);
        verify_auth_challenge::decide(&verify(&[]), &sign_in(), user, &private, answer, &metadata, now).0
    }

    #[test]
    fn r05_the_code_is_accepted_in_time() {
        let right = code_of(&state());
        assert_eq!(decide(state(), &alice(), &right, ANSWER, NOW), Verdict::Accept);
        assert_eq!(decide(state(), &alice(), &right, ANSWER, later(599)), Verdict::Accept);
        assert_eq!(decide(state(), &alice(), &right, ANSWER, later(600)), Verdict::Reject(Refusal::Expired));
        let early = UnixSeconds(NOW.0 - 31);
        assert_eq!(decide(state(), &alice(), &right, ANSWER, early), Verdict::Reject(Refusal::Expired));
    }

    #[test]
    fn any_other_answer_is_rejected() {
        for answer in ["", "00000000", "not a code", &"0".repeat(131_072)] {
            assert_eq!(decide(state(), &alice(), answer, ANSWER, NOW), Verdict::Reject(Refusal::CodeMismatch));
        }
    }

    #[test]
    fn an_answer_with_a_wish_for_another_mail_is_not_looked_at() {
        for answer in [&*code_of(&state()), "00000000"] {
            assert_eq!(decide(state(), &alice(), answer, RESEND, NOW), Verdict::Reject(Refusal::ResendRequested));
        }
    }

    #[test]
    fn no_answer_is_right_in_a_parameter_round() {
        let state = ChallengeState { kind: ChallengeKind::Parameters, mails: 0, ..state() };
        let right = code_of(&state);
        assert_eq!(decide(state, &alice(), &right, ANSWER, NOW), Verdict::Reject(Refusal::ParameterRound));
    }

    #[test]
    fn t12_an_unknown_sign_in_method_is_rejected() {
        let unsupported = ClientMetadata { sign_in_method: SignInMethod::Unsupported, ..ANSWER };
        let verdict = decide(state(), &alice(), &code_of(&state()), unsupported, NOW);
        assert_eq!(verdict, Verdict::Reject(Refusal::SignInMethodNotSupported));
    }

    #[test]
    fn t31_f47_the_right_code_is_not_enough_for_an_unknown_user() {
        let verdict = decide(state(), &nobody(), &code_of(&state()), ANSWER, NOW);
        assert!(matches!(verdict, Verdict::Reject(Refusal::UnknownUser(_))));
    }

    #[test]
    fn t22_a_challenge_of_somebody_else_is_rejected() {
        let sealed = state().seal(&keys(), &sign_in()).unwrap();
        let foreign = Verdict::Reject(Refusal::ForeignChallenge);
        let right = code_of(&state());
        let judge = |sign_in: &SignIn, private: &HashMap<String, String>| {
            verify_auth_challenge::decide(&verify(&[]), sign_in, &alice(), private, &right, &ANSWER, NOW).0
        };
        let ours = map(&[(PRIVATE_KEY, &sealed)]);
        assert_eq!(judge(&sign_in(), &ours), Verdict::Accept);
        assert_eq!(judge(&SignIn { user_name: "bob".to_owned(), ..sign_in() }, &ours), foreign);
        assert_eq!(judge(&SignIn { client_id: "2example".to_owned(), ..sign_in() }, &ours), foreign);
        assert_eq!(judge(&SignIn { user_pool_id: "eu-west-1_OTHER".to_owned(), ..sign_in() }, &ours), foreign);
        assert_eq!(judge(&sign_in(), &map(&[])), foreign);
        assert_eq!(judge(&sign_in(), &map(&[(PRIVATE_KEY, "")])), foreign);
        assert_eq!(judge(&sign_in(), &map(&[("code", &sealed)])), foreign);
    }
}

mod create_decides {
    use super::*;

    fn decide(
        given: &[(&str, &str)],
        user: &User,
        rounds: &[Round],
        metadata: ClientMetadata,
        now: UnixSeconds,
    ) -> Challenge {
        let rounds: Rounds = rounds.iter().copied().collect();
        create_auth_challenge::decide(&create(given), &sign_in(), user, &rounds, &metadata, now, &mut Counter(0))
            .unwrap()
    }

    fn public(challenge: &Challenge) -> HashMap<String, String> {
        challenge.public.clone().into()
    }

    fn mail(challenge: &Challenge) -> Option<(&str, String, Duration)> {
        match &challenge.deliver {
            Deliver::Mail(message) => {
                Some((message.to.address.as_str(), message.code.grouped().to_string(), message.valid_for))
            }
            Deliver::Nothing | Deliver::Pretend(_) => None,
        }
    }

    #[test]
    fn a_mail_takes_the_clients_language_with_it_and_the_users_and_when_it_was_asked_for() {
        let User::Known(alice) = alice() else { panic!("nobody") };
        let alice = User::Known(Recipient { locale: LanguageTag::parse("nl"), ..alice });
        let locale = LanguageTag::parse("ja");
        let parameters = custom(ChallengeState { kind: ChallengeKind::Parameters, mails: 0, ..state() }, false);
        let locales =
            |rounds: &[Round], metadata: ClientMetadata| match decide(&[], &alice, rounds, metadata, later(60)) {
                Challenge { deliver: Deliver::Mail(message), .. } => {
                    assert_eq!(message.asked_at, later(60));
                    (message.locale, message.to.locale)
                }
                challenge => panic!("no mail: {challenge:?}"),
            };
        let given = ClientMetadata { locale: locale.clone(), ..ANSWER };
        assert_eq!(locales(&[parameters], given), (locale.clone(), LanguageTag::parse("nl")));
        assert_eq!(locales(&[parameters], ANSWER), (None, LanguageTag::parse("nl")));
        let resend = ClientMetadata { locale: locale.clone(), ..RESEND };
        assert_eq!(locales(&[custom(state(), false)], resend), (locale, LanguageTag::parse("nl")));
    }

    #[test]
    fn the_first_round_mails_a_code_that_opens_it() {
        let challenge = decide(&[], &alice(), &[], ANSWER, NOW);
        let (to, code, valid_for) = mail(&challenge).unwrap();
        assert_eq!(to, "alice@example.com");
        assert_eq!(valid_for, Duration::from_secs(600));
        let private = map(&[(PRIVATE_KEY, &challenge.sealed_state)]);
        let (verdict, _) =
            verify_auth_challenge::decide(&verify(&[]), &sign_in(), &alice(), &private, &code, &ANSWER, later(1));
        assert_eq!(verdict, Verdict::Accept);
        let expected = map(&[
            ("challenge", "EMAIL_OTP"),
            ("nextStep", "PROVIDE_CODE"),
            ("deliveryMedium", "EMAIL"),
            ("codeLength", "8"),
            ("codeAlphabet", "digits"),
            ("attemptsLeft", "3"),
            ("expiresAt", "1767269400"),
            ("resendAfter", "1767268830"),
        ]);
        assert_eq!(public(&challenge), expected);
    }

    #[test]
    fn a_wrong_answer_keeps_the_code_and_mails_nothing() {
        let challenge = decide(&[], &alice(), &[custom(state(), false)], ANSWER, later(20));
        assert!(matches!(challenge.deliver, Deliver::Nothing));
        assert_eq!(challenge.state, ChallengeState { attempts: 1, ..state() });
        let public = public(&challenge);
        assert_eq!(public["errorCode"], "CODE_MISMATCH");
        assert_eq!(public["attemptsLeft"], "2");
        assert_eq!(public["expiresAt"], "1767269400");
    }

    #[test]
    fn t24_a_resend_mails_the_same_code_and_does_not_extend_its_life() {
        let first = decide(&[], &alice(), &[], ANSWER, NOW);
        let again = decide(&[], &alice(), &[custom(first.state, false)], RESEND, later(30));
        let (_, first_code, _) = mail(&first).unwrap();
        let (to, code, valid_for) = mail(&again).unwrap();
        assert_eq!((to, code), ("alice@example.com", first_code));
        assert_eq!(valid_for, Duration::from_secs(570));
        assert_eq!(again.state, ChallengeState { mails: 2, last_sent: later(30), ..first.state });
        let public = public(&again);
        assert_eq!(public.get("errorCode"), None);
        assert_eq!((&*public["expiresAt"], &*public["resendAfter"]), ("1767269400", "1767268860"));
        assert_eq!(public["attemptsLeft"], "3");
    }

    #[test]
    fn a_resend_too_soon_or_too_often_is_told_and_mails_nothing() {
        let soon = decide(&[], &alice(), &[custom(state(), false)], RESEND, later(29));
        assert!(matches!(soon.deliver, Deliver::Nothing));
        assert_eq!(soon.state, state());
        assert_eq!(public(&soon)["errorCode"], "RESEND_TOO_SOON");

        let mailed_out = ChallengeState { mails: 3, ..state() };
        let often = decide(&[], &alice(), &[custom(mailed_out, false)], RESEND, later(100));
        assert!(matches!(often.deliver, Deliver::Nothing));
        assert_eq!(often.state, mailed_out);
        assert_eq!(public(&often)["errorCode"], "RESEND_LIMIT");
    }

    #[test]
    fn with_a_parameter_round_the_code_is_mailed_in_the_second() {
        let given = &[("PARAMETER_ROUND", "true")];
        let first = decide(given, &alice(), &[], ANSWER, NOW);
        assert!(matches!(first.deliver, Deliver::Nothing));
        assert_eq!(public(&first)["nextStep"], "PROVIDE_AUTH_PARAMETERS");
        let second = decide(given, &alice(), &[custom(first.state, false)], ANSWER, later(5));
        assert!(mail(&second).is_some());
        let public = public(&second);
        assert_eq!(public["nextStep"], "PROVIDE_CODE");
        assert_eq!((&*public["attemptsLeft"], public.get("errorCode")), ("3", None));
        assert_eq!(public["expiresAt"], "1767269405");
    }

    #[test]
    fn the_kind_of_code_is_told() {
        let given = &[("CODE_ALPHABET", "letters"), ("CODE_LENGTH", "10"), ("MAX_ATTEMPTS", "5")];
        let public = public(&decide(given, &alice(), &[], ANSWER, NOW));
        assert_eq!(
            (&*public["codeAlphabet"], &*public["codeLength"], &*public["attemptsLeft"]),
            ("letters", "10", "5")
        );
    }

    #[test]
    fn t27_no_address_is_told_unless_asked_for_and_then_a_masked_one() {
        for user in [alice(), nobody()] {
            assert_eq!(public(&decide(&[], &user, &[], ANSWER, NOW)).get("destination"), None);
        }
        let shown =
            |user| public(&decide(&[("SHOW_DESTINATION", "masked")], &user, &[], ANSWER, NOW))["destination"].clone();
        assert_eq!(shown(alice()), "a***@e***");
        let shape: String = shown(nobody()).chars().map(|c| if c.is_ascii_lowercase() { 'x' } else { c }).collect();
        assert_eq!(shape, "x***@x***");
        assert_eq!(shown(nobody()), shown(nobody()));
    }

    #[test]
    fn r09_t22_two_sign_ins_have_nothing_in_common() {
        let mut chance = Counter(0);
        let mut begin = || {
            create_auth_challenge::decide(
                &create(&[]),
                &sign_in(),
                &alice(),
                &Rounds::default(),
                &ANSWER,
                NOW,
                &mut chance,
            )
        };
        let (one, two) = (begin().unwrap(), begin().unwrap());
        assert_ne!(one.state.nonce, two.state.nonce);
        assert_ne!(mail(&one).unwrap().1, mail(&two).unwrap().1);
    }

    /// What the next round is about, with nothing counted yet.
    fn next(rounds: &[Round], metadata: &ClientMetadata, now: UnixSeconds) -> Next {
        let rounds: Rounds = rounds.iter().copied().collect();
        Next::decide(&create(&[]), &rounds, metadata, now, &mut Counter(now.0)).unwrap()
    }

    /// What the client is told of a round, and whether a mail goes out.
    fn outcome(next: &Next) -> (Option<ErrorCode>, bool) {
        let challenge = next.challenge(&create(&[]), &sign_in(), &alice(), &ANSWER, NOW).unwrap();
        assert_eq!((next.state, next.mailed), (challenge.state, mail(&challenge).is_some()));
        (challenge.public.error, next.mailed)
    }

    fn limits(given: &[(&str, &str)]) -> Limits {
        settings(LimitsSettings::from_vars, given).unwrap().limits
    }

    #[test]
    fn r36_the_mail_of_a_first_round_is_counted_and_cognitos_repeat_of_it_gets_the_same_challenge_and_no_mail() {
        let first = next(&[], &ANSWER, NOW);
        let Ok(Count::Keep(account, counted)) = first.count(&limits(&[]), "client", &Account::default(), NOW) else {
            panic!("not counted")
        };
        assert_eq!((counted.clone(), outcome(&counted)), (first.clone(), (None, true)));
        let again = next(&[], &ANSWER, later(5));
        assert_ne!(again.state, first.state);
        let Ok(Count::Repeat(repeat)) = again.count(&limits(&[]), "client", &account, later(5)) else {
            panic!("no repeat")
        };
        assert_eq!(repeat.state, ChallengeState { repeated: true, ..first.state });
        assert_eq!(outcome(&repeat), (None, false));
        // Nobody has a code yet, so there is no round to go on with.
        assert_eq!(first.resend_refused(), None);
        let full = again.count(&limits(&[("MAIL_BURST", "1")]), "another", &account, later(20));
        assert_eq!(full, Err(Limited::Mails));
    }

    #[test]
    fn r18_r35_a_resend_is_counted_and_one_that_may_not_be_is_a_round_with_the_code_that_was_mailed_before() {
        let before = ChallengeState { attempts: 1, ..state() };
        let again = next(&[custom(before, false)], &RESEND, later(40));
        let sent = ChallengeState { mails: 2, last_sent: later(40), ..before };
        let count = |given, account: &Account| again.count(&limits(given), "client", account, later(40));
        let Ok(Count::Keep(account, counted)) = count(&[], &Account::default()) else { panic!("not counted") };
        assert_eq!((counted.state, outcome(&counted)), (sent, (None, true)));
        // Of Cognito's repeat: the state says that it was mailed, and nothing is mailed.
        let repeat = next(&[custom(before, false)], &RESEND, later(46));
        let Ok(Count::Repeat(repeat)) = repeat.count(&limits(&[]), "client", &account, later(46)) else {
            panic!("no repeat")
        };
        assert_eq!((repeat.state, outcome(&repeat)), (sent, (None, false)));

        let Ok(Count::Repeat(full)) = count(&[("MAIL_BURST", "1")], &account) else { panic!("not full") };
        assert_eq!((full.state, outcome(&full)), (before, (Some(ErrorCode::ResendLimit), false)));
        assert_eq!(again.resend_refused(), Some(full));
    }

    #[test]
    fn r32_a_history_that_define_does_not_go_on_from_makes_no_challenge() {
        for rounds in [&[custom(state(), true)][..], &[Round::Unrecognized], &[Round::PasswordVerified]] {
            let rounds: Rounds = rounds.iter().copied().collect();
            let made = create_auth_challenge::decide(
                &create(&[]),
                &sign_in(),
                &alice(),
                &rounds,
                &ANSWER,
                NOW,
                &mut Counter(0),
            );
            assert_eq!(made.unwrap_err(), TriggerError::Internal);
        }
    }
}
