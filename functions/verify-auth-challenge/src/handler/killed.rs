//! Lambda may stop a function at any point, and Cognito calls it again. (G13, F27, F28)

#[path = "../../../../limits/tests/it/dynamodb.rs"]
mod dynamodb;
#[path = "../../../../limits/tests/it/stopped.rs"]
mod stopped;

use std::time::Duration;

use auth_challenge::challenge::{ChallengeKind, Nonce, PRIVATE_KEY};
use auth_challenge::settings::{AwsSettings, LimitsSettings};
use serde_json::{Value, json};
use tokio::time::sleep;

use self::dynamodb::{DynamoDb, Fault};
use self::stopped::{places, stopped_after};
use super::*;

const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

fn later(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

struct World {
    handler: Handler,
    dynamodb: DynamoDb,
}

impl World {
    async fn new() -> World {
        let dynamodb = DynamoDb::start().await;
        let url = dynamodb.url.clone();
        let vars = move |name: &str| {
            Some(match name {
                "CODE_KEY" => "a-key-of-the-tests-with-enough-characters".to_owned(),
                "LIMITS_TABLE" => "limits".to_owned(),
                "AWS_REGION" => "eu-west-1".to_owned(),
                "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "example".to_owned(),
                "AWS_ENDPOINT_URL_DYNAMODB" => url.clone(),
                _ => return None,
            })
        };
        let settings = VerifySettings::from_vars(&vars).unwrap();
        let limits = LimitsSettings::from_vars(&vars).unwrap();
        let counts = Counts::new(limits, settings.challenge.format, || AwsSettings::from_vars(&vars)).unwrap();
        World { handler: Handler { settings, counts }, dynamodb }
    }

    /// The state of a round after so many wrong answers.
    fn round(&self, attempts: u8) -> ChallengeState {
        ChallengeState {
            kind: ChallengeKind::Code,
            key_id: self.handler.settings.challenge.keys.current.id(),
            nonce: Nonce::from([7; 16]),
            issued_at: NOW,
            attempts,
            mails: 1,
            last_sent: NOW,
            repeated: false,
        }
    }

    fn event(&self, state: ChallengeState, right: bool) -> CognitoEventUserPoolsVerifyAuthChallenge {
        let challenge = &self.handler.settings.challenge;
        let mut event: CognitoEventUserPoolsVerifyAuthChallenge = serde_json::from_value(json!({
            "version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_EXAMPLE", "userName": "alice",
            "callerContext": {"awsSdkVersion": "x", "clientId": "1example23456789"},
            "triggerSource": "VerifyAuthChallengeResponse_Authentication",
            "request": {
                "userAttributes": {"email": "alice@example.com", "email_verified": "true"},
                "privateChallengeParameters": {}, "challengeAnswer": "", "userNotFound": false,
            },
            "response": {},
        }))
        .unwrap();
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header).unwrap();
        let sealed = state.seal(&challenge.keys, &sign_in).unwrap();
        let code = state.code(&challenge.keys, &sign_in, challenge.format).unwrap().grouped().to_string();
        let wrong = code.replace(|digit: char| digit.is_ascii_digit(), if code.contains('0') { "1" } else { "0" });
        event.request.private_challenge_parameters.insert(PRIVATE_KEY.to_owned(), sealed);
        event.request.challenge_answer = Some(Value::String(if right { code } else { wrong }));
        event
    }

    async fn says(
        &self,
        event: &CognitoEventUserPoolsVerifyAuthChallenge,
        now: UnixSeconds,
    ) -> Result<bool, TriggerError> {
        self.handler.handle(event, now).await.map(|response| response.answer_correct)
    }

    fn failures(&self) -> u64 {
        let items = self.dynamodb.tables.lock().unwrap().items.clone();
        let [item] = &items.into_values().collect::<Vec<_>>()[..] else { panic!("one account") };
        let counts: Value = serde_json::from_str(item["counts"]["S"].as_str().unwrap()).unwrap();
        counts["failures"].as_u64().unwrap()
    }
}

/// Stops an answer at each of its waits. How many there are, and after how many of them it had been counted.
async fn stopped_everywhere(slips: u8, right: bool) -> (usize, usize) {
    let (mut points, mut counted) = (0, 0);
    for (waits, linger) in places() {
        let world = World::new().await;
        for attempts in 0..slips {
            assert_eq!(world.says(&world.event(world.round(attempts), false), NOW).await, Ok(false));
        }
        let versions = |world: &World| world.dynamodb.tables.lock().unwrap().items.clone();
        let before = versions(&world);
        let event = world.event(world.round(slips), right);
        let done = stopped_after(waits, linger, world.says(&event, later(60))).await;
        // What it had under way arrives all the same.
        sleep(Duration::from_millis(30)).await;
        counted += usize::from(versions(&world) != before);
        // Cognito calls again after five seconds, and after ten; also when there was an answer that it never got.
        for seconds in [65, 70] {
            assert_eq!(world.says(&event, later(seconds)).await, Ok(right), "stopped after {waits} waits");
        }
        assert_eq!(world.failures(), if right { 0 } else { 1 });
        // The code still opens the challenge, unless it has.
        assert_eq!(world.says(&world.event(world.round(slips + 1), true), later(71)).await, Ok(!right));
        if let Some(done) = done {
            assert_eq!(done, Ok(right));
            break;
        }
        points += 1;
    }
    println!(
        "G13: an answer that is right ({right}), behind {slips} slips: stopped at {points} points, {counted} times counted"
    );
    (points, counted)
}

#[tokio::test]
async fn g13_f28_wherever_a_right_answer_is_killed_its_repeat_is_accepted_and_nobody_is_charged() {
    for slips in [0, 1] {
        let (points, counted) = stopped_everywhere(slips, true).await;
        assert!(points >= 4 && counted > 1 && points < 199, "{points}, {counted} counted");
    }
}

#[tokio::test]
async fn g13_t05_f27_wherever_a_wrong_answer_is_killed_its_repeat_is_counted_once() {
    let (points, counted) = stopped_everywhere(0, false).await;
    assert!(points >= 4 && counted > 1 && points < 199, "{points}, {counted} counted");
}

#[tokio::test]
async fn r23_what_cannot_be_counted_is_not_told() {
    let world = World::new().await;
    world.dynamodb.tables.lock().unwrap().always = Some(Fault::Error(500, "InternalServerError"));
    for right in [true, false] {
        assert_eq!(world.says(&world.event(world.round(0), right), NOW).await, Err(TriggerError::Internal));
    }
}

#[tokio::test]
async fn r50_what_was_counted_is_still_counted_after_a_change_of_keys() {
    let mut world = World::new().await;
    let events = [0, 1, 2].map(|attempts| world.event(world.round(attempts), attempts == 2));
    assert_eq!(world.says(&events[0], NOW).await, Ok(false));
    let vars = |name: &str| {
        Some(match name {
            "CODE_KEY" => "the-next-key-of-the-tests-with-enough-characters".to_owned(),
            "CODE_KEY_PREVIOUS" => "a-key-of-the-tests-with-enough-characters".to_owned(),
            "LIMITS_TABLE" => "limits".to_owned(),
            _ => return None,
        })
    };
    world.handler.settings = VerifySettings::from_vars(&vars).unwrap();
    assert_eq!(world.says(&events[0], later(65)).await, Ok(false));
    assert_eq!(world.failures(), 1);
    assert_eq!(world.says(&events[2], later(70)).await, Ok(true));
    assert_eq!(world.failures(), 0);
}

#[tokio::test]
async fn t28_answers_of_those_who_do_not_exist_are_counted_too() {
    let world = World::new().await;
    for attempts in 0..3 {
        let mut event = world.event(world.round(attempts), attempts == 1);
        event.request.user_not_found = true;
        assert_eq!(world.says(&event, NOW).await, Ok(false));
    }
    // A right one is as wrong as any other.
    assert_eq!(world.failures(), 2);
}
