//! An address is marked if the table has its proof, and the sign-in goes on whatever fails.

use std::sync::{Arc, Mutex};

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce};
use auth_challenge::limits::{Account, AccountKey, Answered, Count, Limits};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::dynamodb::{DynamoDb, Fault};
use super::*;

const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

/// Cognito's API, as far as marking needs it: what it was asked for, and the error that it answers with.
#[derive(Default)]
struct Cognito {
    requests: Vec<Value>,
    error: Option<&'static str>,
}

async fn answer(State(cognito): State<Arc<Mutex<Cognito>>>, body: String) -> (StatusCode, Json<Value>) {
    let mut cognito = cognito.lock().unwrap();
    cognito.requests.push(serde_json::from_str(&body).unwrap());
    match cognito.error {
        None => (StatusCode::OK, Json(json!({}))),
        Some(error) => (StatusCode::BAD_REQUEST, Json(json!({"__type": error, "message": "eve@evil.example"}))),
    }
}

struct World {
    handler: Handler,
    dynamodb: DynamoDb,
    cognito: Arc<Mutex<Cognito>>,
}

impl World {
    async fn new(others: &[(&str, &str)]) -> World {
        let dynamodb = DynamoDb::start().await;
        let cognito = Arc::new(Mutex::new(Cognito::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&cognito));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let vars = |name: &str| match others.iter().find(|(other, _)| *other == name) {
            Some((_, value)) => Some((*value).to_owned()),
            None => Some(match name {
                "CODE_KEY" => "a-key-of-the-tests-with-enough-characters".to_owned(),
                "CODE_KEY_PREVIOUS" => "the-key-before-it-with-enough-characters".to_owned(),
                "LIMITS_TABLE" => "limits".to_owned(),
                "VERIFY_BY_CODE" => "true".to_owned(),
                "AWS_REGION" => "eu-west-1".to_owned(),
                "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "example".to_owned(),
                "AWS_ENDPOINT_URL_DYNAMODB" => dynamodb.url.clone(),
                "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER" => address.clone(),
                _ => return None,
            }),
        };
        let settings = PostAuthenticationSettings::from_vars(&vars).unwrap();
        let handler = Handler::new(settings, AwsSettings::from_vars(&vars).unwrap()).unwrap();
        World { handler, dynamodb, cognito }
    }

    /// The sign-in of this event, and its user.
    fn who(&self, event: &CognitoEventUserPoolsPostAuthentication) -> (SignIn, User) {
        let user = User::read(false, &event.request.user_attributes, &self.handler.settings.recipients);
        (SignIn::read(&event.cognito_event_user_pools_header).unwrap().of(&user), user)
    }

    /// Leaves in the table what a right answer leaves there, counted under the key before this one.
    fn prove(&self, event: &CognitoEventUserPoolsPostAuthentication) {
        let (sign_in, user) = self.who(event);
        let key = self.handler.settings.keys.previous.as_ref().unwrap();
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
        let limits = Limits {
            mail_burst: 3,
            mail_interval: Duration::from_secs(60),
            mails_per_day: 20,
            slow_down_after: 10,
            latch_after: 100,
            max_attempts: 3,
            validity: Duration::from_secs(600),
        };
        let proof = sign_in.proof(key);
        let answer = Answered { tag: "an answer", right: true, proof: proof.as_deref() };
        let Ok(Count::Keep(account, ())) = Account::default().answer(&limits, "client", &state, answer, NOW) else {
            panic!("not counted")
        };
        let AccountKey { name, .. } = AccountKey::new(key, &sign_in, &user);
        let counts = serde_json::to_string(&account).unwrap();
        let item =
            json!({"account": {"S": name}, "version": {"S": "1"}, "counts": {"S": counts}, "expires": {"N": "0"}});
        self.dynamodb.tables.lock().unwrap().items.insert(name, item);
    }

    /// What becomes of the address, in the log's words, after the sign-in has gone on.
    async fn outcome(&self, event: &CognitoEventUserPoolsPostAuthentication) -> Result<bool, &'static str> {
        assert!(self.handler.handle(event, NOW).await.is_ok());
        let (sign_in, user) = self.who(event);
        self.handler.mark(&sign_in, &user, NOW).await
    }

    fn asked_of_cognito(&self) -> Vec<Value> {
        std::mem::take(&mut self.cognito.lock().unwrap().requests)
    }
}

fn event(verified: bool) -> CognitoEventUserPoolsPostAuthentication {
    serde_json::from_value(json!({
        "version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_EXAMPLE", "userName": "alice",
        "callerContext": {"awsSdkVersion": "x", "clientId": "1example23456789"},
        "triggerSource": "PostAuthentication_Authentication",
        "request": {
            "userAttributes": {
                "email": "alice@example.com", "email_verified": verified.to_string(),
                "cognito:user_status": "CONFIRMED",
            },
            "newDeviceUsed": false,
        },
        "response": {},
    }))
    .unwrap()
}

#[tokio::test]
async fn t31_an_address_is_marked_when_its_proof_is_in_the_table_and_together_with_what_it_is() {
    let world = World::new(&[]).await;
    assert_eq!(world.outcome(&event(false)).await, Ok(false));
    assert_eq!(world.asked_of_cognito(), Vec::<Value>::new());
    world.prove(&event(false));
    assert_eq!(world.outcome(&event(false)).await, Ok(true));
    let expected = json!({
        "UserPoolId": "eu-west-1_EXAMPLE", "Username": "alice",
        "UserAttributes": [
            {"Name": "email", "Value": "alice@example.com"}, {"Name": "email_verified", "Value": "true"},
        ],
    });
    // By the event, and by the look at its outcome.
    assert_eq!(world.asked_of_cognito(), [expected.clone(), expected]);
}

#[tokio::test]
async fn where_nothing_is_to_be_proved_nobody_is_asked() {
    for (others, verified) in [(&[][..], true), (&[("VERIFY_BY_CODE", "false")], false)] {
        let world = World::new(others).await;
        world.prove(&event(false));
        assert!(world.handler.handle(&event(verified), NOW).await.is_ok());
        assert_eq!((world.asked_of_cognito().len(), world.dynamodb.tables.lock().unwrap().requests), (0, 0));
    }
}

#[tokio::test]
async fn t31_whatever_fails_the_sign_in_goes_on_and_the_log_says_why_in_our_words() {
    let world = World::new(&[]).await;
    world.prove(&event(false));
    for (error, reason) in [
        ("AliasExistsException", "address_taken"),
        ("AccessDeniedException", "access_denied"),
        ("NotAuthorizedException", "access_denied"),
        ("InvalidParameterException", "attribute_refused"),
        ("TooManyRequestsException", "throttled"),
        ("ThrottlingException", "throttled"),
        ("UserNotFoundException", "user_not_found"),
        ("SomethingNewException", "refused"),
    ] {
        world.cognito.lock().unwrap().error = Some(error);
        assert_eq!(world.outcome(&event(false)).await, Err(reason), "{error}");
    }
    world.dynamodb.tables.lock().unwrap().always = Some(Fault::Error(400, "AccessDeniedException"));
    assert_eq!(world.outcome(&event(false)).await, Err("access_denied"));

    let away = World::new(&[("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "http://127.0.0.1:1")]).await;
    away.prove(&event(false));
    assert_eq!(away.outcome(&event(false)).await, Err("not_connected"));
}
