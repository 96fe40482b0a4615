//! `custom-auth event`: an event of `events/`, as if it happened now.
//!
//! The fixtures were made at one moment, and challenges do not live long. Their states are sealed with a key that is
//! published with them, so they can be moved in time, and the right answers with them.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use auth_challenge::challenge::{ChallengeState, PRIVATE_KEY, UnixSeconds};
use auth_challenge::code::{Alphabet, Answer, CodeFormat, CodeKey, CodeKeys};
use auth_challenge::settings::EXAMPLE_CODE_KEY;
use auth_challenge::user::SignIn;
use serde_json::Value;

/// When the fixtures were made: 2026-01-01 12:00:00 UTC.
const MADE_AT: UnixSeconds = UnixSeconds(1_767_268_800);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A file such as events/verify-auth-challenge/right-answer.json
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let path = arguments.file.display();
    let text = fs::read_to_string(&arguments.file).map_err(|error| format!("cannot read {path}: {error}"))?;
    let mut event: Value = serde_json::from_str(&text).map_err(|error| format!("{path} is not JSON: {error}"))?;
    if event["triggerSource"].as_str().is_none() {
        return Err(format!("{path} is no event of a trigger").into());
    }
    move_to(&mut event, SystemTime::now().into());
    println!("{event:#}");
    Ok(())
}

/// Moves the challenges in an event from [`MADE_AT`] to `now`. What was not sealed with the example key stays as it is.
fn move_to(event: &mut Value, now: UnixSeconds) {
    let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let sign_in = SignIn {
        user_pool_id: text("/userPoolId"),
        client_id: text("/callerContext/clientId"),
        user_name: text("/userName"),
        unproved: None,
    };
    let keys = CodeKeys { current: CodeKey::new(EXAMPLE_CODE_KEY.as_bytes()), previous: None };
    let format = CodeFormat::new(Alphabet::Digits, 8);
    let code = |state: &ChallengeState| state.code(&keys, &sign_in, format?);
    let moved = |at: UnixSeconds| UnixSeconds(now.0.wrapping_add(at.0).wrapping_sub(MADE_AT.0));
    // The state before and after the move.
    let reseal = |sealed: &mut Value| {
        let before = ChallengeState::open(sealed.as_str()?, &keys, &sign_in)?;
        let after = ChallengeState { issued_at: moved(before.issued_at), last_sent: moved(before.last_sent), ..before };
        *sealed = after.seal(&keys, &sign_in)?.into();
        Some((before, after))
    };

    let Some(request) = event.get_mut("request") else { return };
    for entry in request.get_mut("session").and_then(Value::as_array_mut).into_iter().flatten() {
        entry.get_mut("challengeMetadata").and_then(reseal);
    }
    let private = request.pointer_mut(&format!("/privateChallengeParameters/{PRIVATE_KEY}"));
    if let (Some((before, after)), Some(answer)) = (private.and_then(reseal), request.get_mut("challengeAnswer")) {
        let was_right = answer
            .as_str()
            .zip(code(&before))
            .is_some_and(|(typed, code)| code.is_answered_by(&Answer::read(typed, Alphabet::Digits)));
        if let (true, Some(code)) = (was_right, code(&after)) {
            *answer = code.grouped().as_str().into();
        }
    }
}
