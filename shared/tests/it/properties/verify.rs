//! Whether an answer is right.

use std::collections::HashMap;

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, PRIVATE_KEY, UnixSeconds};
use auth_challenge::client_metadata::{Action, ClientMetadata, SignInMethod};
use auth_challenge::settings::VerifySettings;
use auth_challenge::user::{SignIn, User};
use auth_challenge::verify_auth_challenge::{self, Refusal, Verdict};
use proptest::prelude::*;

use super::{formats, locales, metadata, moments, unknown, users};
use crate::example::{ANSWER, NOW, alice, keys, sign_in, state, verify};

fn all_settings() -> impl Strategy<Value = VerifySettings> {
    (formats(), 60..=600_u64).prop_map(|(format, validity)| {
        let (length, validity) = (format.length().to_string(), validity.to_string());
        let format = [("CODE_ALPHABET", format.alphabet.name()), ("CODE_LENGTH", &*length)];
        verify(&[format[0], format[1], ("CODE_VALIDITY_SECONDS", &validity)])
    })
}

/// States of the example's challenge.
fn some_states() -> impl Strategy<Value = ChallengeState> {
    (any::<[u8; 16]>(), 0..4_u8, prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(nonce, attempts, parameters, repeated)| {
            let kind = if parameters { ChallengeKind::Parameters } else { ChallengeKind::Code };
            ChallengeState { nonce: Nonce::from(nonce), attempts, kind, repeated: repeated && !parameters, ..state() }
        },
    )
}

/// What is typed: the code, something like it, or anything.
#[derive(Clone, Debug)]
enum Typed {
    Code,
    Text(String),
}

fn typed() -> impl Strategy<Value = Typed> {
    prop_oneof![1 => Just(Typed::Code), 2 => "[0-9]{6,16}|\\PC{0,20}".prop_map(Typed::Text)]
}

struct Call<'a> {
    settings: &'a VerifySettings,
    state: &'a ChallengeState,
    metadata: &'a ClientMetadata,
    now: UnixSeconds,
}

impl Call<'_> {
    fn code(&self) -> String {
        self.state.code(&keys(), &sign_in(), self.settings.challenge.format).unwrap().grouped().to_string()
    }

    fn verdict(&self, user: &User, typed: &str) -> Verdict {
        let sealed = self.state.seal(&keys(), &sign_in()).unwrap();
        decide(self.settings, user, &sealed, typed, self.metadata, self.now)
    }
}

fn decide(
    settings: &VerifySettings,
    user: &User,
    sealed: &str,
    typed: &str,
    metadata: &ClientMetadata,
    now: UnixSeconds,
) -> Verdict {
    let private = HashMap::from([(PRIVATE_KEY.to_owned(), sealed.to_owned())]);
    verify_auth_challenge::decide(settings, &sign_in(), user, &private, typed, metadata, now).0
}

proptest! {
    #[test]
    fn p03_an_answer_is_right_if_it_is_the_code_in_time_of_somebody_known_and_only_then(
        settings in all_settings(), state in some_states(), user in users(), metadata in metadata(), now in moments(),
        typed in typed(),
    ) {
        let call = Call { settings: &settings, state: &state, metadata: &metadata, now };
        let text = match &typed {
            Typed::Code => call.code(),
            Typed::Text(text) => text.clone(),
        };
        // Once in a million cases.
        prop_assume!(matches!(typed, Typed::Code) || text != call.code().replace(' ', ""));
        let expected = matches!(typed, Typed::Code)
            && matches!(user, User::Known(_))
            && (metadata.action, metadata.sign_in_method) == (Action::Answer, SignInMethod::EmailOtp)
            && state.kind == ChallengeKind::Code
            && NOW.0 <= now.0 + 30
            && now.0 < NOW.0 + settings.challenge.validity.as_secs();
        prop_assert_eq!(call.verdict(&user, &text) == Verdict::Accept, expected);
    }

    #[test]
    fn t45_whatever_is_not_ours_is_foreign(
        text in "\\PC{0,150}|1\\.code\\.[0-9a-f]{8}\\.[0-9A-Za-z_-]{22}\\.[0-9]{10}\\.[0-9]\\.[0-9]\\.[0-9]{10}\\.[0-9A-Za-z_-]{22}",
        answer in "[0-9]{8}", metadata in metadata(),
    ) {
        let foreign = Verdict::Reject(Refusal::ForeignChallenge);
        prop_assert_eq!(decide(&verify(&[]), &alice(), &text, &answer, &metadata, NOW), foreign);
    }

    #[test]
    fn t45_a_challenge_of_somebody_else_is_foreign(
        state in some_states(), user_name in "\\PC{1,40}", metadata in metadata(),
    ) {
        prop_assume!(user_name != sign_in().user_name);
        let settings = verify(&[]);
        let theirs = SignIn { user_name, ..sign_in() };
        let sealed = state.seal(&keys(), &theirs).unwrap();
        let code = state.code(&keys(), &theirs, settings.challenge.format).unwrap();
        let verdict = decide(&settings, &alice(), &sealed, &code.grouped(), &metadata, NOW);
        prop_assert_eq!(verdict, Verdict::Reject(Refusal::ForeignChallenge));
    }

    #[test]
    fn with_a_wish_for_another_mail_nothing_is_judged(
        settings in all_settings(), state in some_states(), user in users(), mut metadata in metadata(),
        now in moments(), typed in typed(),
    ) {
        metadata.action = Action::Resend;
        let call = Call { settings: &settings, state: &state, metadata: &metadata, now };
        let text = if let Typed::Text(text) = typed { text } else { call.code() };
        let verdict = call.verdict(&user, &text);
        prop_assert_eq!(verdict, Verdict::Reject(Refusal::ResendRequested));
        prop_assert!(!verdict.is_about_the_answer());
    }

    #[test]
    fn p08_the_code_of_another_challenge_is_wrong(one in some_states(), other in some_states(), now in moments()) {
        prop_assume!(one.nonce != other.nonce);
        let settings = verify(&[("CODE_ALPHABET", "letters"), ("CODE_LENGTH", "16")]);
        let metadata = ANSWER;
        let [one, other] = [&one, &other].map(|state| Call { settings: &settings, state, metadata: &metadata, now });
        prop_assert_ne!(one.verdict(&alice(), &other.code()), Verdict::Accept);
    }

    #[test]
    fn p13_the_language_of_a_client_changes_no_verdict(
        settings in all_settings(), state in some_states(), user in users(), metadata in metadata(),
        locale in locales(), now in moments(), typed in typed(),
    ) {
        let other = ClientMetadata { locale, ..metadata.clone() };
        let verdicts = [&metadata, &other].map(|metadata| {
            let call = Call { settings: &settings, state: &state, metadata, now };
            let text = if let Typed::Text(text) = &typed { text.clone() } else { call.code() };
            call.verdict(&user, &text)
        });
        prop_assert_eq!(verdicts[0], verdicts[1]);
    }

    /// T25: what counts for somebody who exists counts for somebody who does not.
    #[test]
    fn t25_p15_an_answer_counts_whoever_gives_it(
        settings in all_settings(), state in some_states(), nobody in unknown(), metadata in metadata(),
        now in moments(), typed in typed(),
    ) {
        let call = Call { settings: &settings, state: &state, metadata: &metadata, now };
        let text = if let Typed::Text(text) = typed { text } else { call.code() };
        let (known, unknown) = (call.verdict(&alice(), &text), call.verdict(&nobody, &text));
        prop_assert_eq!(known.is_about_the_answer(), unknown.is_about_the_answer());
        match (known, unknown) {
            (Verdict::Accept, Verdict::Reject(Refusal::UnknownUser(_))) => {}
            (known, unknown) => prop_assert_eq!(known, unknown),
        }
    }
}
