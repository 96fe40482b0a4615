//! Calls to the local pool, and what triggers make of them.
//!
//! Holds: whatever is asked in whatever order, the answer is a reply or one of Cognito's errors, after a few triggers at most. A `Session`
//! serves once. Nobody gets tokens but by a trigger that issues them, a password, or a refresh token. Metadata reaches only the triggers
//! that AWS gives it to. What the pool would write into its file is read back as it was.
//!
//! Each line is a call: operation, what the triggers do one after the other (a letter each, see `play`), seconds since the call before,
//! and the body. In it `$S`, `$A`, `$R` and `$C` are the newest `Session`, access token, refresh token and code.
#![no_main]

use std::sync::LazyLock;

use auth_challenge::challenge::UnixSeconds;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use local_pool::api::{ApiError, Call, Operation};
use local_pool::pool::{Pool, PoolOptions, PoolState, Step};
use local_pool::sealed::SealingKey;
use local_pool::ses::Mailbox;
use local_pool::settings::{ClientSettings, PoolSettings};
use local_pool::tokens::TokenSigner;
use local_pool::trigger::{Outcome, Trigger};
use local_pool::users::Users;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

const POOL_ID: &str = "eu-west-1_LocalPool";

/// More calls, or bodies that are longer, are only slower.
const MOST_CALLS: usize = 12;

/// Cognito's errors, as far as the pool has them. None of them says that something went wrong in here.
const ERRORS: [&str; 18] = [
    "AliasExistsException",
    "CodeMismatchException",
    "InvalidLambdaResponseException",
    "InvalidParameterException",
    "InvalidPasswordException",
    "MissingAuthenticationTokenException",
    "NotAuthorizedException",
    "PasswordResetRequiredException",
    "ResourceNotFoundException",
    "SerializationException",
    "UnauthorizedException",
    "UnexpectedLambdaException",
    "UnknownOperationException",
    "UnsupportedOperationException",
    "UserLambdaValidationException",
    "UserNotConfirmedException",
    "UserNotFoundException",
    "UsernameExistsException",
];

static SIGNER: LazyLock<TokenSigner> =
    LazyLock::new(|| TokenSigner::generate(format!("http://127.0.0.1:9229/{POOL_ID}")).unwrap());
static USERS: LazyLock<Users> = LazyLock::new(|| {
    let file = r#"
        [[user]]
        email = "alice@example.com"
        username = "alice"
        password = "Correct horse 1"
        groups = ["staff"]
        [[user]]
        email = "bob@example.com"
        enabled = false
        [[user]]
        email = "carol@example.com"
        username = "carol"
        password = "Temporary horse 1"
        status = "FORCE_CHANGE_PASSWORD"
    "#;
    Users::from_toml(file, POOL_ID, &mut StdRng::seed_from_u64(0)).unwrap()
});

fuzz_target!(|text: &str| {
    let mut stage = Stage::new();
    for line in text.lines().take(MOST_CALLS) {
        let mut words = line.splitn(4, ' ');
        let [Some(operation), Some(plays), Some(seconds), Some(body)] = [(); 4].map(|()| words.next()) else {
            continue;
        };
        stage.now = stage.now.plus(std::time::Duration::from_secs(seconds.parse::<u32>().unwrap_or_default().into()));
        stage.line(operation, plays, body);
    }
    // Making keys out of octets takes longer than all the rest.
    let state = serde_json::to_value(stage.pool.to_state().unwrap()).unwrap();
    let read: PoolState = serde_json::from_value(state.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), state, "read back as it was");
});

struct Stage {
    pool: Pool,
    mailbox: Mailbox,
    rng: StdRng,
    now: UnixSeconds,
    session: String,
    access_token: String,
    refresh_token: String,
    code: String,
}

impl Stage {
    fn new() -> Stage {
        let options = PoolOptions::default();
        let object = |value: Value| value.as_object().unwrap().clone();
        let functions: Value =
            Trigger::ALL.iter().map(|trigger| (trigger.name().to_owned(), json!(arn(*trigger)))).collect();
        let mut settings = PoolSettings::new(&options.region, &options.user_pool_id);
        settings.update(&object(json!({"LambdaConfig": functions, "AutoVerifiedAttributes": ["email"]}))).unwrap();
        let mut client = ClientSettings::new(&options.user_pool_id, "1client", None);
        let flows =
            ["CUSTOM_AUTH", "USER_SRP_AUTH", "USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH", "REFRESH_TOKEN_AUTH"];
        let flows = flows.map(|flow| format!("ALLOW_{flow}"));
        client.update(&object(json!({"ExplicitAuthFlows": flows, "PreventUserExistenceErrors": "ENABLED"}))).unwrap();
        let keys = [1, 2].map(|octet| SealingKey::from_octets([octet; 32]).unwrap());
        Stage {
            pool: Pool::new(options, settings, client, USERS.clone(), SIGNER.clone(), keys),
            mailbox: Mailbox::default(),
            rng: StdRng::seed_from_u64(0),
            now: UnixSeconds(1_767_268_800),
            session: String::new(),
            access_token: String::new(),
            refresh_token: String::new(),
            code: String::new(),
        }
    }

    fn line(&mut self, operation: &str, plays: &str, body: &str) {
        let body = body
            .replace("$S", &self.session)
            .replace("$A", &self.access_token)
            .replace("$R", &self.refresh_token)
            .replace("$C", &self.code);
        if operation == "SendEmail" {
            if let Ok(mail) = self.mailbox.send_email(body.as_bytes(), Timestamp::UNIX_EPOCH) {
                let headers = [&mail.to, &mail.from].into_iter().chain(mail.headers.values()).chain(&mail.reply_to);
                assert!(headers.into_iter().all(|header| !header.contains(['\r', '\n'])), "two lines in a header");
            }
            return;
        }
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let is_signed = !plays.starts_with('!');
        let call = match Call::read(&target, body.as_bytes(), is_signed) {
            Ok(call) => call,
            Err(error) => return check_error(&error),
        };
        assert!(is_signed || !call.operation.is_signed());
        let reply = self.call(&call, plays.trim_start_matches('!'));
        for letter in self.pool.take_letters() {
            self.code = letter.text.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        }
        match &reply {
            Err(error) => check_error(error),
            Ok(reply) => {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let tokens = &reply["AuthenticationResult"];
                if is_answer(call.operation) && call.parameters.text("Session").is_some() {
                    let again = self.pool.handle(&call, self.now, &mut self.rng);
                    assert!(matches!(again, Step::Reply(Err(_))), "a Session serves twice");
                }
                self.session = text(&reply["Session"]).unwrap_or(std::mem::take(&mut self.session));
                self.access_token = text(&tokens["AccessToken"]).unwrap_or(std::mem::take(&mut self.access_token));
                self.refresh_token = text(&tokens["RefreshToken"]).unwrap_or(std::mem::take(&mut self.refresh_token));
            }
        }
    }

    /// Makes a call whose triggers do what they are told.
    fn call(&mut self, call: &Call, plays: &str) -> Result<Value, ApiError> {
        let mut plays = plays.chars();
        let mut issued = false;
        let mut step = self.pool.handle(call, self.now, &mut self.rng);
        for _ in 0..8 {
            match step {
                Step::Reply(reply) => {
                    if let Ok(reply) = &reply {
                        let is_given = reply["AuthenticationResult"].is_object();
                        assert!(!is_given || issued || may_do_without(call), "tokens for nothing");
                    }
                    return reply;
                }
                Step::Invoke(invocation) => {
                    check_event(call, invocation.trigger, &invocation.event);
                    let outcome = play(plays.next().unwrap_or('o'), invocation.trigger, &invocation.event);
                    if let (Trigger::DefineAuthChallenge, Outcome::Returned(octets)) = (invocation.trigger, &outcome) {
                        let reply: Value = serde_json::from_slice(octets).unwrap_or_default();
                        issued |= reply["response"]["issueTokens"] == true;
                    }
                    step = self.pool.resume(invocation.then, outcome, self.now, &mut self.rng);
                }
            }
        }
        panic!("there is no end of triggers");
    }
}

fn arn(trigger: Trigger) -> String {
    format!("arn:aws:lambda:eu-west-1:000000000000:function:{}", trigger.function())
}

fn is_answer(operation: Operation) -> bool {
    matches!(operation, Operation::RespondToAuthChallenge | Operation::AdminRespondToAuthChallenge)
}

/// Whether a call may be answered with tokens without define-auth-challenge.
fn may_do_without(call: &Call) -> bool {
    let is = |name: &str, values: &[&str]| call.parameters.text(name).is_some_and(|value| values.contains(&value));
    match call.operation {
        Operation::InitiateAuth | Operation::AdminInitiateAuth => is(
            "AuthFlow",
            &[
                "REFRESH_TOKEN",
                "REFRESH_TOKEN_AUTH",
                "USER_PASSWORD_AUTH",
                "ADMIN_USER_PASSWORD_AUTH",
                "ADMIN_NO_SRP_AUTH",
            ],
        ),
        operation if is_answer(operation) => is("ChallengeName", &["PASSWORD_VERIFIER", "NEW_PASSWORD_REQUIRED"]),
        operation => operation == Operation::GetTokensFromRefreshToken,
    }
}

fn check_error(error: &ApiError) {
    assert!(ERRORS.contains(&error.kind), "{error:?}");
    assert!((1..=1_024).contains(&error.message.len()), "{error:?}");
    assert!(error.body().is_object());
}

fn check_event(call: &Call, trigger: Trigger, event: &Value) {
    let request = &event["request"];
    assert!(event["userPoolId"] == POOL_ID && event["callerContext"]["clientId"] == "1client");
    assert!(event["userName"].as_str().is_some_and(|name| !name.is_empty()), "{event}");
    if let Some(metadata) = request.get("clientMetadata") {
        assert_eq!(json!(call.parameters.texts("ClientMetadata")), *metadata, "another call's metadata");
        let is_begun = matches!(call.operation, Operation::InitiateAuth | Operation::AdminInitiateAuth);
        let is_challenge = matches!(trigger, Trigger::DefineAuthChallenge | Trigger::CreateAuthChallenge);
        assert!(!(is_begun && is_challenge), "metadata where AWS gives none");
        assert_ne!(trigger, Trigger::PreAuthentication);
    }
    assert!(
        request.get("session").is_none()
            || matches!(trigger, Trigger::DefineAuthChallenge | Trigger::CreateAuthChallenge)
    );
    assert!(request.get("privateChallengeParameters").is_none() || trigger == Trigger::VerifyAuthChallengeResponse);
}

/// What a trigger does.
fn play(letter: char, trigger: Trigger, event: &Value) -> Outcome {
    let returned = |response: Value| {
        let mut reply = event.clone();
        reply["response"] = response;
        Outcome::Returned(reply.to_string().into_bytes())
    };
    match letter {
        'x' => Outcome::Failed("This sign-in is not allowed".to_owned()),
        't' => Outcome::TimedOut,
        'u' => Outcome::Unreachable("Connection refused".to_owned()),
        'n' => Outcome::Returned(b"null".to_vec()),
        'g' => Outcome::Returned(b"{\"response\":".to_vec()),
        'm' => returned(json!({"more": true})),
        'r' => returned(Value::Null),
        'i' => returned(json!({"issueTokens": true})),
        'f' => returned(json!({"failAuthentication": true, "issueTokens": true})),
        'c' => returned(json!({"challengeName": "CUSTOM_CHALLENGE"})),
        'p' => returned(json!({"challengeName": "PASSWORD_VERIFIER"})),
        'v' => returned(json!({"autoConfirmUser": true, "autoVerifyEmail": true})),
        'k' => returned(json!({"claimsOverrideDetails": {
            "claimsToAddOrOverride": {"by": "otp", "sub": "eve"}, "claimsToSuppress": ["email"],
            "groupOverrideDetails": {"groupsToOverride": ["admins"]},
        }})),
        'a' => returned(json!({"answerCorrect": true})),
        _ => returned(obey(trigger, event)),
    }
}

/// What a trigger does that takes the answer `right`, three times at most.
fn obey(trigger: Trigger, event: &Value) -> Value {
    let request = &event["request"];
    match trigger {
        Trigger::PreSignUp | Trigger::PreAuthentication | Trigger::PreTokenGeneration | Trigger::PostAuthentication => {
            event["response"].clone()
        }
        Trigger::DefineAuthChallenge => {
            let rounds = request["session"].as_array().unwrap();
            match rounds.last() {
                Some(last) if last["challengeName"] == "CUSTOM_CHALLENGE" && last["challengeResult"] == true => {
                    json!({"issueTokens": true})
                }
                Some(last) if last["challengeName"] == "SRP_A" => json!({"challengeName": "PASSWORD_VERIFIER"}),
                _ if rounds.len() >= 3 => json!({"failAuthentication": true}),
                _ => json!({"challengeName": "CUSTOM_CHALLENGE"}),
            }
        }
        Trigger::CreateAuthChallenge => json!({
            "publicChallengeParameters": {"nextStep": "PROVIDE_CODE"},
            "privateChallengeParameters": {"answer": "right"},
            "challengeMetadata": "STATE",
        }),
        Trigger::VerifyAuthChallengeResponse => {
            json!({"answerCorrect": request["challengeAnswer"] == request["privateChallengeParameters"]["answer"]})
        }
    }
}
