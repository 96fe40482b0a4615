//! Any octets as an event for any of the seven triggers: through the door, and through the decisions that the functions make, without
//! a table and without mail.
//!
//! Holds: the reply is the event as it came but for `response`, whose members are the trigger's; or one of the errors that the trigger
//! may give, and nothing panics. Tokens and right answers need what they need, seen in the raw event. No address and no code is in a
//! response. Where define presents a challenge create makes one, and nobody's address is verified by signing up.
//!
//! The first octet chooses the trigger, the second the settings.
#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use auth_challenge::challenge::{PRIVATE_KEY, UnixSeconds};
use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::create_auth_challenge::{self, Deliver};
use auth_challenge::define_auth_challenge::{self, ChallengeName, NextStep};
use auth_challenge::limits::Account;
use auth_challenge::post_authentication::{self, Marking};
use auth_challenge::pre_authentication::{self, Admission};
use auth_challenge::pre_sign_up::{self, SignUp};
use auth_challenge::pre_token_generation::{self, Source, Tokens};
use auth_challenge::rounds::Rounds;
use auth_challenge::settings::{
    CreateSettings, DefineSettings, EXAMPLE_CODE_KEY, PostAuthenticationSettings, PreAuthenticationSettings,
    PreSignUpSettings, PreTokenGenerationSettings, VerifySettings,
};
use auth_challenge::trigger::{TriggerError, answer_to};
use auth_challenge::user::{SignIn, User, must_change_password};
use auth_challenge::verify_auth_challenge::{self, Verdict};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsCreateAuthChallenge as Create, CognitoEventUserPoolsDefineAuthChallenge as Define,
    CognitoEventUserPoolsPostAuthentication as PostAuthentication,
    CognitoEventUserPoolsPreAuthentication as PreAuthentication, CognitoEventUserPoolsPreSignup as PreSignUp,
    CognitoEventUserPoolsVerifyAuthChallenge as Verify,
};
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Deserializer, Value, json};

/// The time in which the challenges of `events/` can be answered.
const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

struct Settings {
    pre_authentication: PreAuthenticationSettings,
    define: DefineSettings,
    create: CreateSettings,
    verify: VerifySettings,
    pre_sign_up: PreSignUpSettings,
    pre_token_generation: PreTokenGenerationSettings,
    post_authentication: PostAuthenticationSettings,
    password_first: bool,
    verify_by_code: bool,
}

static SETTINGS: LazyLock<[Settings; 4]> = LazyLock::new(|| {
    [
        settings(&[]),
        settings(&[("PASSWORD_FIRST", "true"), ("ONLY_BY_CODE", "true"), ("MAINTENANCE", "true")]),
        settings(&[
            ("PARAMETER_ROUND", "true"),
            ("SHOW_DESTINATION", "masked"),
            ("GREETING_ATTRIBUTE", "given_name"),
            ("REQUIRED_CLIENT_METADATA", "tenant=custom:tenant,locale"),
        ]),
        settings(&[
            ("VERIFY_BY_CODE", "true"),
            ("AUTO_CONFIRM", "true"),
            ("ONLY_BY_CODE", "true"),
            ("SIGN_IN_CLAIMS", "true"),
            ("ALLOWED_CLIENT_IDS", "1example23456789"),
            ("ALLOWED_EMAIL_DOMAINS", "example.com"),
        ]),
    ]
});

fn settings(given: &[(&str, &str)]) -> Settings {
    let always = [
        ("CODE_KEY", EXAMPLE_CODE_KEY),
        ("AWS_SAM_LOCAL", "true"),
        ("CODE_ALPHABET", "digits"),
        ("CODE_LENGTH", "8"),
        ("LIMITS_TABLE", "limits"),
    ];
    let vars: HashMap<_, _> = always.into_iter().chain(given.iter().copied()).collect();
    let lookup = |name: &str| vars.get(name).map(|value| (*value).to_owned());
    // So long that none of them is ever somewhere by chance.
    let with_long_codes = |name: &str| if name == "CODE_LENGTH" { Some("16".to_owned()) } else { lookup(name) };
    Settings {
        pre_authentication: PreAuthenticationSettings::from_vars(&lookup).unwrap(),
        define: DefineSettings::from_vars(&lookup).unwrap(),
        create: CreateSettings::from_vars(&with_long_codes).unwrap(),
        verify: VerifySettings::from_vars(&lookup).unwrap(),
        pre_sign_up: PreSignUpSettings::from_vars(&lookup).unwrap(),
        pre_token_generation: PreTokenGenerationSettings::from_vars(&lookup).unwrap(),
        post_authentication: PostAuthenticationSettings::from_vars(&lookup).unwrap(),
        password_first: given.contains(&("PASSWORD_FIRST", "true")),
        verify_by_code: given.contains(&("VERIFY_BY_CODE", "true")),
    }
}

fuzz_target!(|data: &[u8]| {
    use TriggerError::{Internal, Maintenance, MalformedEvent, SignInNotAllowed, SignUpNotAllowed};

    let [trigger, settings, event @ ..] = data else { return };
    let settings = &SETTINGS[usize::from(*settings) % SETTINGS.len()];
    let (answered, errors, members): (_, &[TriggerError], &[&str]) = match trigger % 7 {
        0 => (pre_authentication(settings, event), &[MalformedEvent, SignInNotAllowed, Maintenance], &[]),
        1 => (define(settings, event), &[MalformedEvent], &["challengeName", "issueTokens", "failAuthentication"]),
        2 => (
            create(settings, event),
            &[MalformedEvent, Internal],
            &["publicChallengeParameters", "privateChallengeParameters", "challengeMetadata"],
        ),
        3 => (verify(settings, event), &[MalformedEvent], &["answerCorrect"]),
        4 => (
            pre_sign_up(settings, event),
            &[MalformedEvent, SignUpNotAllowed, Maintenance],
            &["autoConfirmUser", "autoVerifyEmail", "autoVerifyPhone"],
        ),
        5 => (
            pre_token_generation(settings, event),
            &[MalformedEvent, SignInNotAllowed],
            &["claimsOverrideDetails", "claimsAndScopeOverrideDetails"],
        ),
        _ => (post_authentication(settings, event), &[MalformedEvent], &[]),
    };
    let mut reply = match answered {
        Ok(reply) => reply,
        Err(error) => return assert!(errors.contains(&error), "{error:?}"),
    };
    let mut event: Value = Deserializer::from_slice(event).into_iter().next().unwrap().unwrap();
    let response = reply.as_object_mut().unwrap().remove("response").unwrap();
    event.as_object_mut().unwrap().remove("response");
    assert_eq!(reply, event, "the event comes back as it came");
    assert!(response.as_object().unwrap().keys().all(|name| members.contains(&&**name)), "{response}");
    check(settings, &event["request"], &response);
});

/// What the raw event has to say where a response grants something.
fn check(settings: &Settings, request: &Value, response: &Value) {
    let attributes = &request["userAttributes"];
    let may_sign_in = request["userNotFound"] != true
        && (attributes["email_verified"] == "true"
            || (settings.verify_by_code && attributes["cognito:user_status"] == "CONFIRMED"));
    if response["issueTokens"] == true {
        assert!(may_sign_in && response["failAuthentication"] == false && response["challengeName"].is_null());
        let mut rounds = request["session"].as_array().unwrap().iter().rev();
        let last = rounds.next().unwrap();
        assert!(last["challengeName"] == "CUSTOM_CHALLENGE" && last["challengeResult"] == true);
        assert!(rounds.all(|round| round["challengeName"] != "CUSTOM_CHALLENGE" || round["challengeResult"] == false));
        if settings.password_first {
            assert_eq!(request["session"][1]["challengeName"], "PASSWORD_VERIFIER");
        }
    }
    if response["answerCorrect"] == true {
        assert!(may_sign_in && request["clientMetadata"]["action"] != "RESEND");
        let answer = request["challengeAnswer"].as_str().unwrap();
        assert!(answer.chars().count() >= settings.verify.challenge.format.length());
        assert_eq!(request["privateChallengeParameters"][PRIVATE_KEY].as_str().unwrap().split('.').count(), 9);
    }
    if let Some(verifies) = response.get("autoVerifyEmail") {
        assert!(*verifies == false && response["autoVerifyPhone"] == false);
    }
    let address = attributes["email"].as_str().filter(|address| address.contains('@') && address.len() > 5);
    // Groups go back as they came, whatever they are called.
    if let (Some(address), false) = (address, response.to_string().contains("groupOverrideDetails")) {
        assert!(!response.to_string().contains(address), "an address in a response");
    }
}

fn pre_authentication(settings: &Settings, event: &[u8]) -> Result<Value, TriggerError> {
    let handler = async |event: PreAuthentication| {
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?;
        let request = &event.request;
        let settings = &settings.pre_authentication;
        match pre_authentication::decide(settings, &sign_in, &request.user_attributes, &request.validation_data) {
            Admission::Admit => Ok(json!({})),
            Admission::Refuse(refusal) => Err(refusal.into()),
        }
    };
    answer_to(event, handler).now_or_never().unwrap()
}

fn define(settings: &Settings, event: &[u8]) -> Result<Value, TriggerError> {
    let handler = async |event: Define| {
        let settings = &settings.define;
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &settings.recipients);
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        let rounds = Rounds::read(&request.session, &settings.challenge.keys, &sign_in);
        let metadata = ClientMetadata::read(&request.client_metadata);
        let must_change = must_change_password(&request.user_attributes);
        let step = define_auth_challenge::decide(settings, &sign_in, &user, must_change, &rounds, &metadata, NOW);
        let (name, issue, fail) = match step {
            NextStep::IssueTokens => (None, true, false),
            NextStep::PresentChallenge(name) => (Some(name.name()), false, false),
            NextStep::FailAuthentication(_) => (None, false, true),
        };
        Ok(json!({"challengeName": name, "issueTokens": issue, "failAuthentication": fail}))
    };
    answer_to(event, handler).now_or_never().unwrap()
}

fn create(settings: &Settings, event: &[u8]) -> Result<Value, TriggerError> {
    let handler = async |event: Create| {
        let Settings { create, define, .. } = settings;
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &create.recipients)
            .greeted(&request.user_attributes, create.greeting_attribute.as_deref());
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        let rounds = Rounds::read(&request.session, &create.challenge.keys, &sign_in);
        let metadata = ClientMetadata::read(&request.client_metadata);
        let chance = &mut StdRng::seed_from_u64(0);
        let challenge = create_auth_challenge::decide(create, &sign_in, &user, &rounds, &metadata, NOW, chance);
        let must_change = must_change_password(&request.user_attributes);
        let step = define_auth_challenge::decide(define, &sign_in, &user, must_change, &rounds, &metadata, NOW);
        if step == NextStep::PresentChallenge(ChallengeName::CustomChallenge) {
            assert!(challenge.is_ok(), "define presents what create does not make");
        }
        let challenge = challenge?;
        let public: HashMap<String, String> = challenge.public.into();
        let private = HashMap::from([(PRIVATE_KEY, &challenge.sealed_state)]);
        let response = json!({
            "publicChallengeParameters": public,
            "privateChallengeParameters": private,
            "challengeMetadata": challenge.sealed_state,
        });
        match challenge.deliver {
            Deliver::Mail(message) => {
                assert_eq!(Some(message.to.address.as_str()), request.user_attributes.get("email").map(|it| &**it));
                let code = message.code.grouped().replace(' ', "");
                assert!(!response.to_string().contains(&code), "a code in a response");
            }
            Deliver::Pretend(_) => assert!(matches!(user, User::Unknown(_))),
            Deliver::Nothing => {}
        }
        Ok(response)
    };
    answer_to(event, handler).now_or_never().unwrap()
}

fn verify(settings: &Settings, event: &[u8]) -> Result<Value, TriggerError> {
    let handler = async |event: Verify| {
        let settings = &settings.verify;
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &settings.recipients);
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        let metadata = ClientMetadata::read(&request.client_metadata);
        let answer = request.challenge_answer.as_ref().and_then(|answer| answer.as_str()).unwrap_or_default();
        let private = &request.private_challenge_parameters;
        let (verdict, _) = verify_auth_challenge::decide(settings, &sign_in, &user, private, answer, &metadata, NOW);
        Ok(json!({"answerCorrect": verdict == Verdict::Accept}))
    };
    answer_to(event, handler).now_or_never().unwrap()
}

fn pre_sign_up(settings: &Settings, event: &[u8]) -> Result<Value, TriggerError> {
    let handler = async |event: PreSignUp| {
        let header = &event.cognito_event_user_pools_header;
        let source = header.trigger_source.as_ref().ok_or(TriggerError::MalformedEvent)?;
        let client = header.caller_context.client_id.as_deref().unwrap_or_default();
        let user_name = header.user_name.as_deref().unwrap_or_default();
        match pre_sign_up::decide(&settings.pre_sign_up, source, client, user_name, &event.request.user_attributes) {
            SignUp::Admit { auto_confirm } => {
                Ok(json!({"autoConfirmUser": auto_confirm, "autoVerifyEmail": false, "autoVerifyPhone": false}))
            }
            SignUp::Refuse(refusal) => Err(refusal.into()),
        }
    };
    answer_to(event, handler).now_or_never().unwrap()
}

fn pre_token_generation(settings: &Settings, event: &[u8]) -> Result<Value, TriggerError> {
    let handler = async |pre_token_generation::Event { header, request }| {
        let settings = &settings.pre_token_generation;
        let source = Source::read(header.trigger_source.as_deref())?;
        let client = header.caller_context.client_id.as_deref().unwrap_or_default();
        let user = User::read(false, &request.user_attributes, &settings.recipients);
        match pre_token_generation::decide(settings, source, client, &user, NOW) {
            Tokens::Issue(claims) => {
                if settings.only_by_code && matches!(source, Source::Authentication | Source::AuthenticateDevice) {
                    assert!(matches!(user, User::Known(_)), "tokens for somebody who gets no code");
                }
                pre_token_generation::response(header.version.as_deref(), claims, &request.group_configuration)
            }
            Tokens::Refuse(way_round) => Err(way_round.into()),
        }
    };
    answer_to(event, handler).now_or_never().unwrap()
}

fn post_authentication(settings: &Settings, event: &[u8]) -> Result<Value, TriggerError> {
    let handler = async |event: PostAuthentication| {
        let settings = &settings.post_authentication;
        let user = User::read(false, &event.request.user_attributes, &settings.recipients);
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        for place in post_authentication::places(&settings.keys, &sign_in, &user) {
            let marking = post_authentication::decide(&sign_in, &place, &Account::default(), NOW);
            assert_eq!(marking, Marking::Leave, "verified without a proof");
        }
        Ok(json!({}))
    };
    answer_to(event, handler).now_or_never().unwrap()
}
