//! Lambda may stop a function at any point, and Cognito calls it again. (G13, F19 to F21)

#[path = "../../../../limits/tests/it/dynamodb.rs"]
mod dynamodb;
#[path = "../../../../limits/tests/it/stopped.rs"]
mod stopped;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_challenge::settings::{AwsSettings, LimitsSettings, MailSettings, SesSettings, VerifySettings};
use auth_challenge::verify_auth_challenge::{self, Verdict};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use sign_in_mail::Templates;
use tokio::net::TcpListener;
use tokio::time::sleep;

use self::dynamodb::DynamoDb;
use self::stopped::{places, stopped_after};
use super::*;

const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

fn later(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

/// A mail service that keeps what it was sent, while it takes mails.
#[derive(Clone, Default)]
struct Mails {
    taken: Arc<Mutex<Vec<Value>>>,
    is_paused: Arc<AtomicBool>,
}

impl Mails {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keep = async |State(mails): State<Mails>, Json(mail): Json<Value>| {
            let is_paused = mails.is_paused.load(Ordering::Relaxed);
            if !is_paused {
                mails.taken.lock().unwrap().push(mail);
            }
            // Time in which the function can be stopped while its mail is taken.
            sleep(Duration::from_millis(5)).await;
            if is_paused {
                (StatusCode::BAD_REQUEST, Json(json!({"__type": "SendingPausedException"})))
            } else {
                (StatusCode::OK, Json(json!({"MessageId": "1"})))
            }
        };
        let router = Router::new().route("/v2/email/outbound-emails", post(keep)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    /// The codes in the mails, the newest last.
    fn codes(&self) -> Vec<String> {
        let text = |mail: &Value| mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap().to_owned();
        let mails = self.taken.lock().unwrap();
        mails.iter().map(|mail| text(mail).lines().nth(2).unwrap().to_owned()).collect()
    }

    /// The code in the only mail, if there is one.
    fn only_code(&self) -> Option<String> {
        let mut codes = self.codes();
        assert!(codes.len() <= 1, "{} mails for one sign-in", codes.len());
        codes.pop()
    }
}

struct World {
    handler: Handler,
    verify: VerifySettings,
    mails: Mails,
    dynamodb: DynamoDb,
}

async fn world() -> World {
    world_with(true).await
}

async fn world_with(has_table: bool) -> World {
    let (mails, dynamodb) = (Mails::default(), DynamoDb::start().await);
    let (ses_url, dynamodb_url) = (mails.serve().await, dynamodb.url.clone());
    let vars = move |name: &str| {
        Some(match name {
            "CODE_KEY" => "a-key-of-the-tests-with-enough-characters".to_owned(),
            "LIMITS_TABLE" if has_table => "limits".to_owned(),
            "SES_FROM_ADDRESS" => "sign-in@example.com".to_owned(),
            "AWS_REGION" => "eu-west-1".to_owned(),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "example".to_owned(),
            "AWS_ENDPOINT_URL_SESV2" => ses_url.clone(),
            "AWS_ENDPOINT_URL_DYNAMODB" => dynamodb_url.clone(),
            _ => return None,
        })
    };
    let settings = CreateSettings::from_vars(&vars).unwrap();
    let templates = Templates::new(MailSettings::from_vars(&vars).unwrap()).unwrap();
    let aws = || AwsSettings::from_vars(&vars);
    let limits = LimitsSettings::from_vars(&vars).unwrap();
    let handler = Handler {
        counts: Counts::new(limits, settings.challenge.format, aws).unwrap(),
        delivery: Delivery::new(SesSettings::from_vars(&vars).unwrap(), templates, aws().unwrap()).unwrap(),
        settings,
    };
    World { handler, verify: VerifySettings::from_vars(&vars).unwrap(), mails, dynamodb }
}

fn event(user: &str, session: Value, metadata: Value) -> CognitoEventUserPoolsCreateAuthChallenge {
    serde_json::from_value(json!({
        "version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_EXAMPLE", "userName": user,
        "callerContext": {"awsSdkVersion": "x", "clientId": "1example23456789"},
        "triggerSource": "CreateAuthChallenge_Authentication",
        "request": {
            "userAttributes": {"email": format!("{user}@example.com"), "email_verified": "true"},
            "challengeName": "CUSTOM_CHALLENGE", "session": session, "clientMetadata": metadata, "userNotFound": false,
        },
        "response": {"publicChallengeParameters": {}, "privateChallengeParameters": {}},
    }))
    .unwrap()
}

impl World {
    async fn create(
        &self,
        event: &CognitoEventUserPoolsCreateAuthChallenge,
        now: UnixSeconds,
    ) -> Result<CognitoEventUserPoolsCreateAuthChallengeResponse, TriggerError> {
        self.handler.handle(event, now, &mut UnwrapErr(SysRng)).await
    }

    /// What verify-auth-challenge would say.
    fn verdict(
        &self,
        event: &CognitoEventUserPoolsCreateAuthChallenge,
        response: &CognitoEventUserPoolsCreateAuthChallengeResponse,
        answer: &str,
    ) -> Verdict {
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header).unwrap();
        let user = User::read(false, &event.request.user_attributes, &self.verify.recipients);
        let (private, metadata) = (&response.private_challenge_parameters, ClientMetadata::default());
        verify_auth_challenge::decide(&self.verify, &sign_in, &user, private, answer, &metadata, later(60)).0
    }
}

/// The event of the round that asks for another mail after this one.
fn resend_after(
    response: &CognitoEventUserPoolsCreateAuthChallengeResponse,
) -> CognitoEventUserPoolsCreateAuthChallenge {
    let round = json!([{
        "challengeName": "CUSTOM_CHALLENGE", "challengeResult": false, "challengeMetadata": response.challenge_metadata,
    }]);
    event("alice", round, json!({"action": "RESEND"}))
}

impl World {
    /// What is counted for the only account.
    fn counts(&self) -> Value {
        let items = self.dynamodb.tables.lock().unwrap().items.clone();
        let [item] = &items.into_values().collect::<Vec<_>>()[..] else { panic!("one account") };
        serde_json::from_str(item["counts"]["S"].as_str().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn g13_f19_to_f21_wherever_a_start_is_killed_its_repeat_makes_no_second_mail_and_its_code_is_right() {
    // Of an account that has never signed in, and of one that has.
    for signed_in_before in [false, true] {
        let (mut points, mut mailed_before, mut not_mailed) = (0, 0, 0);
        for (waits, linger) in places() {
            let world = world().await;
            let first = event("alice", json!([]), json!(null));
            if signed_in_before {
                world.create(&first, UnixSeconds(NOW.0 - 600)).await.unwrap();
                world.mails.taken.lock().unwrap().clear();
            }
            let done = stopped_after(waits, linger, world.create(&first, NOW)).await;
            // What it had under way arrives all the same.
            sleep(Duration::from_millis(60)).await;
            match world.mails.only_code() {
                Some(_) => mailed_before += 1,
                None => not_mailed += 1,
            }
            // Cognito calls again after five seconds; also when there was an answer that it never got.
            let repeat = world.create(&first, later(5)).await.unwrap();
            let response = match world.mails.only_code() {
                Some(_) => repeat,
                // Stopped between count and mail: the client asks for it.
                None => world.create(&resend_after(&repeat), later(36)).await.unwrap(),
            };
            let code = world.mails.only_code().expect("a mail");
            assert_eq!(world.verdict(&first, &response, &code), Verdict::Accept, "stopped after {waits} waits");
            assert_eq!(world.counts()["failures"], 0);
            if let Some(done) = done {
                assert_eq!(world.verdict(&first, &done.unwrap(), &code), Verdict::Accept);
                break;
            }
            points += 1;
        }
        println!(
            "G13: a start, signed in before ({signed_in_before}): stopped at {points} points, {mailed_before} times mailed"
        );
        let found = (points, mailed_before, not_mailed);
        assert!(
            points >= 4 && mailed_before > 1 && not_mailed > 1 && points < 199,
            "points, mailed, not mailed: {found:?}"
        );
    }
}

#[tokio::test]
async fn g13_f20_without_a_table_a_killed_start_and_its_repeat_may_both_mail_and_the_newest_code_is_right() {
    let (mut points, mut two) = (0, 0);
    for (waits, linger) in places() {
        let world = world_with(false).await;
        let first = event("alice", json!([]), json!(null));
        let done = stopped_after(waits, linger, world.create(&first, NOW)).await;
        sleep(Duration::from_millis(60)).await;
        let repeat = world.create(&first, later(5)).await.unwrap();
        let codes = world.mails.codes();
        assert!((1..=2).contains(&codes.len()), "{} mails", codes.len());
        two += usize::from(codes.len() == 2);
        assert_eq!(world.verdict(&first, &repeat, codes.last().unwrap()), Verdict::Accept, "after {waits} waits");
        if done.is_some() {
            break;
        }
        points += 1;
    }
    println!("G13: a start without a table: stopped at {points} points, {two} times with two mails");
    assert!(points >= 4 && two > 1 && points < 199, "{points}, {two} with two mails");
}

#[tokio::test]
async fn g13_f20_wherever_a_resend_is_killed_its_repeat_makes_no_second_mail_and_the_code_stays_right() {
    for has_table in [true, false] {
        let (mut points, mut mailed_before) = (0, 0);
        for (waits, linger) in places() {
            let world = world_with(has_table).await;
            let begun = world.create(&event("alice", json!([]), json!(null)), NOW).await.unwrap();
            let code = world.mails.only_code().unwrap();
            world.mails.taken.lock().unwrap().clear();
            let resend = resend_after(&begun);
            let done = stopped_after(waits, linger, world.create(&resend, later(36))).await;
            sleep(Duration::from_millis(60)).await;
            mailed_before += world.mails.codes().len();
            let repeat = world.create(&resend, later(41)).await.unwrap();
            let codes = world.mails.codes();
            assert!(codes.len() <= if has_table { 1 } else { 2 }, "{} mails for one wish", codes.len());
            // Whichever mail arrives, and in whatever round: it is the one code.
            assert!(codes.iter().all(|mailed| *mailed == code));
            for response in [&begun, &repeat] {
                assert_eq!(world.verdict(&resend, response, &code), Verdict::Accept, "stopped after {waits} waits");
            }
            // Stopped between count and mail: the client may ask once more.
            if codes.is_empty() {
                world.create(&resend_after(&repeat), later(75)).await.unwrap();
                assert_eq!(world.mails.only_code(), Some(code));
            }
            if done.is_some() {
                break;
            }
            points += 1;
        }
        println!("G13: a resend, table ({has_table}): stopped at {points} points, {mailed_before} times mailed");
        assert!(points >= 2 && mailed_before > 1 && points < 199, "{points}, {mailed_before} mailed");
    }
}

#[tokio::test]
async fn g13_wherever_a_start_is_killed_that_cannot_mail_its_owner_gets_in_once_mails_are_taken_again() {
    let (mut points, mut taken_back) = (0, 0);
    for (waits, linger) in places() {
        let world = world().await;
        let first = event("alice", json!([]), json!(null));
        world.mails.is_paused.store(true, Ordering::Relaxed);
        let done = stopped_after(waits, linger, world.create(&first, NOW)).await;
        sleep(Duration::from_millis(60)).await;
        let is_counted =
            !world.dynamodb.tables.lock().unwrap().items.is_empty() && world.counts()["mails"] != json!([]);
        taken_back += usize::from(!is_counted);
        world.mails.is_paused.store(false, Ordering::Relaxed);
        let repeat = world.create(&first, later(5)).await.unwrap();
        let response = match world.mails.only_code() {
            Some(_) => repeat,
            // What was counted and not taken back looks like a mail that is on its way.
            None => world.create(&resend_after(&repeat), later(36)).await.unwrap(),
        };
        let code = world.mails.only_code().expect("a mail");
        assert_eq!(world.verdict(&first, &response, &code), Verdict::Accept, "stopped after {waits} waits");
        assert_eq!(world.counts()["failures"], 0);
        if let Some(done) = done {
            assert_eq!(done.map(drop), Err(TriggerError::CodeNotSent));
            break;
        }
        points += 1;
    }
    println!("G13: a start that cannot mail: stopped at {points} points, {taken_back} times with nothing counted");
    assert!(points >= 4 && taken_back > 1 && taken_back < points && points < 199, "{points}, {taken_back} taken back");
}

#[tokio::test]
async fn g13_wherever_a_start_of_somebody_unknown_is_killed_its_repeat_is_a_challenge_without_a_mail() {
    let mut points = 0;
    for (waits, linger) in places() {
        let world = world().await;
        let mut first = event("nobody", json!([]), json!(null));
        first.request.user_not_found = true;
        // The wait for a mail that nobody gets is one of its waits.
        let done = stopped_after(waits, linger, world.create(&first, NOW)).await;
        let repeat = world.create(&first, later(5)).await.unwrap();
        assert!(!repeat.public_challenge_parameters.contains_key("errorCode"), "stopped after {waits} waits");
        assert_eq!((world.mails.codes().len(), &world.counts()["failures"]), (0, &json!(0)));
        if done.is_some() {
            break;
        }
        points += 1;
    }
    println!("G13: a start of somebody unknown: stopped at {points} points");
    assert!((5..199).contains(&points), "{points}");
}

/// Too soon after each other to be Cognito's repeat of one call, they are two sign-ins.
#[tokio::test]
async fn f22_two_that_begin_at_once_are_both_counted_and_each_has_a_code_that_is_right() {
    let world = world().await;
    let start = event("alice", json!([]), json!(null));
    let (one, two) = tokio::join!(world.create(&start, NOW), world.create(&start, NOW));
    let codes = world.mails.codes();
    assert_eq!(codes.len(), 2);
    for response in [one.unwrap(), two.unwrap()] {
        let right = codes.iter().filter(|code| world.verdict(&start, &response, code) == Verdict::Accept);
        assert_eq!(right.count(), 1);
    }
    let counts = world.counts();
    assert_eq!((counts["mails"].as_array().unwrap().len(), counts["challenges"].as_array().unwrap().len()), (2, 2));
}

#[tokio::test]
async fn a_mail_that_was_not_sent_leaves_nothing_behind() {
    let world = world().await;
    world.mails.is_paused.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        let failed = world.create(&event("alice", json!([]), json!(null)), NOW).await;
        assert_eq!(failed.map(drop), Err(TriggerError::CodeNotSent));
    }
    assert_eq!((&world.counts()["mails"], &world.counts()["challenges"]), (&json!([]), &json!([])));
}

/// Whoever begins again at once would wait for a mail that was never sent.
#[tokio::test]
async fn f54_a_beginning_that_was_counted_and_not_heard_of_leaves_nothing_behind() {
    let world = world().await;
    let alice = event("alice", json!([]), json!(null));
    // The table is silent for as long as a count may take, and answers again.
    world.dynamodb.tables.lock().unwrap().faults.extend([dynamodb::Fault::Lost; 2]);
    assert_eq!(world.create(&alice, NOW).await.map(drop), Err(TriggerError::Internal));
    assert_eq!((&world.counts()["mails"], &world.counts()["challenges"]), (&json!([]), &json!([])));
    assert_eq!(world.mails.only_code(), None);
    let answer = world.create(&alice, later(5)).await.unwrap();
    assert_eq!(world.verdict(&alice, &answer, &world.mails.only_code().unwrap()), Verdict::Accept);
}

#[tokio::test]
async fn a_resend_that_is_not_allowed_or_not_counted_is_a_round_without_a_mail() {
    let world = world().await;
    let first = world.create(&event("alice", json!([]), json!(null)), NOW).await.unwrap();
    let resend = resend_after(&first);
    let refused = async |now| {
        let answer = world.create(&resend, now).await.unwrap();
        assert_eq!(answer.public_challenge_parameters["errorCode"], "RESEND_LIMIT");
        assert_eq!(world.verdict(&resend, &answer, &world.mails.only_code().unwrap()), Verdict::Accept);
    };
    world.dynamodb.tables.lock().unwrap().always = Some(dynamodb::Fault::Error(500, "InternalServerError"));
    refused(later(40)).await;
    world.dynamodb.tables.lock().unwrap().always = None;
    // The account has had all its mails for now.
    let mut item = world.dynamodb.tables.lock().unwrap().items.values().next().unwrap().clone();
    let mut counts: Value = serde_json::from_str(item["counts"]["S"].as_str().unwrap()).unwrap();
    counts["next_mail"] = (NOW.0 + 600).into();
    item["counts"]["S"] = counts.to_string().into();
    world.dynamodb.tables.lock().unwrap().items.values_mut().for_each(|kept| *kept = item.clone());
    refused(later(41)).await;
}

#[tokio::test]
async fn r13_a_repeat_is_told_how_many_of_its_answers_are_judged() {
    let world = world().await;
    let start = event("alice", json!([]), json!(null));
    let mut left = Vec::new();
    for seconds in [0, 5] {
        let answer = world.create(&start, later(seconds)).await.unwrap();
        left.push(answer.public_challenge_parameters["attemptsLeft"].clone());
    }
    assert_eq!(left, ["3", "2"]);
}
