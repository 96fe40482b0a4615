//! The README's examples of what a client is told, each made by the decision itself.

use std::collections::{BTreeMap, HashMap};

use auth_challenge::challenge::{ChallengeKind, ChallengeState, UnixSeconds};
use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::create_auth_challenge::decide;
use auth_challenge::rounds::{Round, Rounds};
use auth_challenge::user::User;

use crate::example::{ANSWER, Counter, NOW, RESEND, alice, create, later, nobody, sign_in, state};

/// The parameters as JSON with sorted keys, on one line.
fn parameters(
    settings: &[(&str, &str)],
    user: &User,
    before: Option<ChallengeState>,
    metadata: &ClientMetadata,
    now: UnixSeconds,
) -> String {
    let rounds: Rounds = before.map(|state| Round::CustomChallenge { state, correct: false }).into_iter().collect();
    let challenge = decide(&create(settings), &sign_in(), user, &rounds, metadata, now, &mut Counter(0)).unwrap();
    let parameters: HashMap<String, String> = challenge.public.into();
    serde_json::to_string(&parameters.into_iter().collect::<BTreeMap<_, _>>()).unwrap()
}

#[test]
fn r30_the_readmes_examples_are_what_the_client_is_told_whoever_signs_in() {
    let (_, block) = include_str!("../../../README.md").split_once("```jsonc\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();

    let minute = later(60);
    let mailed_out = ChallengeState { mails: 3, ..state() };
    let asked = ChallengeState { kind: ChallengeKind::Parameters, mails: 0, ..state() };
    let mut expected = String::new();
    for (situation, settings, before, metadata, now) in [
        ("the first round", &[][..], None, ANSWER, NOW),
        ("a wrong answer", &[], Some(state()), ANSWER, minute),
        ("action=RESEND: the code was mailed again", &[], Some(state()), RESEND, minute),
        ("action=RESEND before resendAfter", &[], Some(state()), RESEND, later(12)),
        ("action=RESEND after the last mail", &[], Some(mailed_out), RESEND, minute),
        ("PARAMETER_ROUND=true: the first round", &[("PARAMETER_ROUND", "true")], None, ANSWER, NOW),
        (
            "PARAMETER_ROUND=true: the second, a minute later",
            &[("PARAMETER_ROUND", "true")],
            Some(asked),
            ANSWER,
            minute,
        ),
        (
            "CODE_ALPHABET=letters, CODE_LENGTH=10",
            &[("CODE_ALPHABET", "letters"), ("CODE_LENGTH", "10")],
            None,
            ANSWER,
            NOW,
        ),
    ] {
        let told = parameters(settings, &alice(), before, &metadata, now);
        assert_eq!(told, parameters(settings, &nobody(), before, &metadata, now), "{situation}");
        expected.push_str(&format!("// {situation}\n{told}\n"));
    }
    assert_eq!(block, expected, "the README's block should be:\n{expected}");
}
