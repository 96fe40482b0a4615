//! Lambda may stop a function at any point, and Cognito calls it again. (G13)

#[path = "../../../../limits/tests/it/stopped.rs"]
mod stopped;

use std::sync::{Arc, Mutex};

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce};
use auth_challenge::limits::{Account, AccountKey, Answered};
use auth_challenge::settings::{ChallengeSettings, LimitsSettings};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use limits_table::Counts;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use self::stopped::{places, stopped_after};
use super::dynamodb::{DynamoDb, Fault};
use super::*;

const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

fn later(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

/// What Cognito was told about attributes.
type Told = Arc<Mutex<Vec<Value>>>;

struct World {
    handler: Handler,
    dynamodb: DynamoDb,
    told: Told,
}

/// Cognito, as far as it marks addresses.
async fn cognito(told: Told) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mark = async |State(told): State<Told>, body: String| {
        told.lock().unwrap().push(serde_json::from_str(&body).unwrap());
        // Time in which the function can be stopped while Cognito marks.
        sleep(Duration::from_millis(5)).await;
        Json(json!({}))
    };
    let router = Router::new().route("/", post(mark)).with_state(told);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

impl World {
    /// Somebody has just answered rightly, and their address is not verified. With the key of before, if keys have changed since.
    async fn new(keys_have_changed: bool) -> World {
        let (dynamodb, told) = (DynamoDb::start().await, Told::default());
        let (table_url, cognito_url) = (dynamodb.url.clone(), cognito(Arc::clone(&told)).await);
        let vars = |key: &'static str, previous: &'static str| {
            let (table_url, cognito_url) = (table_url.clone(), cognito_url.clone());
            move |name: &str| {
                Some(match name {
                    "CODE_KEY" => key.to_owned(),
                    "CODE_KEY_PREVIOUS" => previous.to_owned(),
                    "LIMITS_TABLE" => "limits".to_owned(),
                    "VERIFY_BY_CODE" => "true".to_owned(),
                    "AWS_REGION" => "eu-west-1".to_owned(),
                    "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "example".to_owned(),
                    "AWS_ENDPOINT_URL_DYNAMODB" => table_url.clone(),
                    "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER" => cognito_url.clone(),
                    _ => return None,
                })
            }
        };
        let key = "a-key-of-the-tests-with-enough-characters";
        let then = vars(key, "");
        let now = if keys_have_changed {
            vars("the-next-key-of-the-tests-with-enough-characters", key)
        } else {
            vars(key, "")
        };
        answer_rightly(&then).await;
        let settings = PostAuthenticationSettings::from_vars(&now).unwrap();
        let handler = Handler::new(settings, AwsSettings::from_vars(&now).unwrap()).unwrap();
        World { handler, dynamodb, told }
    }

    async fn says(
        &self,
        event: &CognitoEventUserPoolsPostAuthentication,
        now: UnixSeconds,
    ) -> Result<(), TriggerError> {
        self.handler.handle(event, now).await.map(drop)
    }

    /// The addresses that were marked.
    fn marked(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let attributes = told.iter().map(|request| {
            assert_eq!((&request["UserPoolId"], &request["Username"]), (&json!("eu-west-1_EXAMPLE"), &json!("alice")));
            let mut attributes = request["UserAttributes"].as_array().unwrap().iter();
            let mut value = |name: &str| {
                let attribute = attributes.by_ref().find(|attribute| attribute["Name"] == name).unwrap();
                attribute["Value"].as_str().unwrap().to_owned()
            };
            let address = value("email");
            assert_eq!(value("email_verified"), "true");
            address
        });
        attributes.collect()
    }
}

/// What verify-auth-challenge leaves in the table when the answer was right.
async fn answer_rightly(vars: &impl Fn(&str) -> Option<String>) {
    let challenge = ChallengeSettings::from_vars(vars).unwrap();
    let counts =
        Counts::new(LimitsSettings::from_vars(vars).unwrap(), challenge.format, || AwsSettings::from_vars(vars));
    let counts = counts.unwrap().unwrap();
    let settings = PostAuthenticationSettings::from_vars(vars).unwrap();
    let event = event("alice@example.com");
    let user = User::read(false, &event.request.user_attributes, &settings.recipients);
    let sign_in = SignIn::read(&event.cognito_event_user_pools_header).unwrap().of(&user);
    let key = &challenge.keys.current;
    let state = ChallengeState {
        kind: ChallengeKind::Code,
        key_id: key.id(),
        nonce: Nonce::from([7; 16]),
        issued_at: NOW,
        attempts: 0,
        mails: 1,
        last_sent: NOW,
        repeated: false,
    };
    let proof = sign_in.proof(key);
    let answered = Answered { tag: "right", right: true, proof: proof.as_deref() };
    let count = |account: &Account| account.answer(counts.limits(), &sign_in.client_id, &state, answered, NOW);
    counts.count(&AccountKey::new(key, &sign_in, &user), NOW, count).await.unwrap().unwrap();
}

fn event(address: &str) -> CognitoEventUserPoolsPostAuthentication {
    serde_json::from_value(json!({
        "version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_EXAMPLE", "userName": "alice",
        "callerContext": {"awsSdkVersion": "x", "clientId": "1example23456789"},
        "triggerSource": "PostAuthentication_Authentication",
        "request": {
            "userAttributes": {"email": address, "email_verified": "false", "cognito:user_status": "CONFIRMED"},
            "newDeviceUsed": false,
        },
        "response": {},
    }))
    .unwrap()
}

#[tokio::test]
async fn g13_wherever_a_mark_is_killed_its_repeat_marks_the_proved_address_and_lets_go_on() {
    for keys_have_changed in [false, true] {
        let (mut points, mut marked_before) = (0, 0);
        for (waits, linger) in places() {
            let world = World::new(keys_have_changed).await;
            let event = event("alice@example.com");
            let done = stopped_after(waits, linger, world.says(&event, later(1))).await;
            // What it had under way arrives all the same.
            sleep(Duration::from_millis(30)).await;
            marked_before += usize::from(!world.marked().is_empty());
            // Cognito calls again after five seconds, and after ten; also when there was an answer that it never got.
            let items = world.dynamodb.tables.lock().unwrap().items.clone();
            for seconds in [6, 11] {
                assert_eq!(world.says(&event, later(seconds)).await, Ok(()), "stopped after {waits} waits");
            }
            assert!((2..=3).contains(&world.marked().len()), "{:?}", world.marked());
            assert!(world.marked().iter().all(|address| address == "alice@example.com"));
            // Who only looks leaves everything as it is.
            assert_eq!(world.dynamodb.tables.lock().unwrap().items, items);
            if let Some(done) = done {
                assert_eq!(done, Ok(()));
                break;
            }
            points += 1;
        }
        println!(
            "G13: a mark, keys changed ({keys_have_changed}): stopped at {points} points, {marked_before} times marked"
        );
        assert!(points >= 8 && marked_before > 1 && points < 199, "{points}, {marked_before} marked");
    }
}

#[tokio::test]
async fn g13_t31_wherever_it_is_killed_nothing_is_marked_that_was_not_proved() {
    let mut points = 0;
    for (waits, linger) in places() {
        let world = World::new(false).await;
        let event = event("eve@example.com");
        let done = stopped_after(waits, linger, world.says(&event, later(1))).await;
        for seconds in [6, 11] {
            assert_eq!(world.says(&event, later(seconds)).await, Ok(()), "stopped after {waits} waits");
        }
        assert_eq!(world.marked(), Vec::<String>::new());
        if done.is_some() {
            break;
        }
        points += 1;
    }
    println!("G13: a look for a proof that is not there: stopped at {points} points");
    assert!((4..199).contains(&points), "{points}");
}

#[tokio::test]
async fn a_proof_that_cannot_be_looked_for_ends_no_sign_in() {
    let world = World::new(false).await;
    for fault in [Fault::Error(500, "InternalServerError"), Fault::Lost, Fault::Ignored] {
        world.dynamodb.tables.lock().unwrap().always = Some(fault);
        assert_eq!(world.says(&event("alice@example.com"), later(1)).await, Ok(()));
    }
    assert_eq!(world.marked(), Vec::<String>::new());
}
