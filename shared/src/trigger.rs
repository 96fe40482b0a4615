//! The one door to Lambda: reads the event, guards against panics, answers with fixed error texts, and returns the event as
//! it came with only `response` filled in.
//!
//! Cognito shows a trigger's error text to whoever signs in, so nothing but a [`TriggerError`] passes here: no text of
//! another library, no value, no panic message.

use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::Serialize;
use serde_json::{Map, Value, json};

use crate::log::{INVOCATION, Invocation, Lines};
use crate::settings::{LogSettings, Lookup, SettingsError};

/// Everything that a trigger ever says when it fails. Cognito writes `<Trigger> failed with error <text>.`, with a full
/// stop of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerError {
    /// The event is not JSON, not of this trigger, or lacks what every event has.
    MalformedEvent,
    /// A rule of the settings refuses the sign-in.
    SignInNotAllowed,
    /// A rule of the settings refuses the sign-up.
    SignUpNotAllowed,
    /// All sign-ins are paused.
    Maintenance,
    /// The mail service certainly did not take the mail.
    CodeNotSent,
    /// The account has had too many mails or wrong answers lately.
    TooManySignIns,
    /// Anything else.
    Internal,
}

impl TriggerError {
    /// All of them.
    pub const ALL: [TriggerError; 7] = [
        TriggerError::MalformedEvent,
        TriggerError::SignInNotAllowed,
        TriggerError::SignUpNotAllowed,
        TriggerError::Maintenance,
        TriggerError::CodeNotSent,
        TriggerError::TooManySignIns,
        TriggerError::Internal,
    ];
}

impl fmt::Display for TriggerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TriggerError::MalformedEvent => "The sign-in request could not be read",
            TriggerError::SignInNotAllowed => "This sign-in is not allowed",
            TriggerError::SignUpNotAllowed => "This sign-up is not allowed",
            TriggerError::Maintenance => "Signing in is paused, please try again later",
            TriggerError::CodeNotSent => "The code could not be sent, please try again",
            TriggerError::TooManySignIns => "There were too many sign-ins, please try again later",
            TriggerError::Internal => "Something went wrong, please try again",
        })
    }
}

impl std::error::Error for TriggerError {}

impl From<TriggerError> for Diagnostic {
    fn from(error: TriggerError) -> Diagnostic {
        Diagnostic { error_type: format!("{error:?}"), error_message: error.to_string() }
    }
}

/// Runs a function: polls Lambda for events and answers each with what `handler` makes of it.
///
/// `Event` is the typed view of the events of one trigger; `Response` is what goes into `response`.
///
/// # Errors
///
/// When Lambda's runtime API cannot be reached.
pub async fn serve<Event, Response>(
    handler: impl AsyncFn(Event) -> Result<Response, TriggerError>,
) -> Result<(), lambda_runtime::Error>
where
    Event: DeserializeOwned,
    Response: Serialize,
{
    let handle = service_fn(|event: LambdaEvent<Payload>| {
        INVOCATION.scope(Invocation::new(&event.context), answer(event.payload, &handler))
    });
    // Without the runtime's own layers: each line says which invocation it belongs to, and no panic passes.
    Runtime::new(handle).run().await
}

/// Begins a function: says so if this is not Lambda, sets its log up, and keeps panic messages out of it.
///
/// # Errors
///
/// [`NotStarted`]: this is not Lambda, or a setting of the log cannot be used.
pub fn init(vars: Lookup<'_>) -> Result<(), NotStarted> {
    vars("AWS_LAMBDA_RUNTIME_API").ok_or(NotStarted::NotInLambda)?;
    let settings = LogSettings::from_vars(vars).map_err(NotStarted::Settings)?;
    // Fails only when a subscriber is there already, as in a test; then that one serves.
    let _ = tracing::subscriber::set_global_default(Lines::new(settings));

    // The default hook would print the panic's message, which may hold anything.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| (place.file().rsplit(['/', '\\']).next().unwrap_or(""), place.line()));
        tracing::error!(place = ?place, "panicked");
    }));
    Ok(())
}

/// Why a function does not begin.
pub enum NotStarted {
    /// The program was started by hand.
    NotInLambda,
    /// A setting of the log cannot be used.
    Settings(SettingsError),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotStarted::NotInLambda => f.write_str(
                "this program is a Lambda function and runs behind the Lambda Runtime API: \
                 try `cargo run`, `cargo lambda watch` or `sam local invoke`",
            ),
            NotStarted::Settings(error) => error.fmt(f),
        }
    }
}

/// The same text as `Display`, because `main` prints the error that it returns in this form.
impl fmt::Debug for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NotStarted {}

/// An event as it came, or the fact that it is no JSON.
///
/// The runtime answers an event that its type does not take with the text of the parser's error; so this type takes
/// anything, and [`answer`] refuses in our own words.
struct Payload(Option<Value>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        Ok(Payload(Value::deserialize(deserializer).ok()))
    }
}

/// What a function whose work is `handler` answers to an event in the octets that Lambda gives it: what [`serve`] does for each,
/// without Lambda around it, so that any octets can be tried.
///
/// # Errors
///
/// What Lambda would be told.
pub async fn answer_to<Event, Response>(
    event: &[u8],
    handler: impl AsyncFn(Event) -> Result<Response, TriggerError>,
) -> Result<Value, TriggerError>
where
    Event: DeserializeOwned,
    Response: Serialize,
{
    // As the runtime reads it: it does not look behind the end of a value.
    let payload = Payload::deserialize(&mut serde_json::Deserializer::from_slice(event));
    answer(payload.unwrap_or(Payload(None)), handler).await
}

async fn answer<Event, Response>(
    payload: Payload,
    handler: impl AsyncFn(Event) -> Result<Response, TriggerError>,
) -> Result<Value, TriggerError>
where
    Event: DeserializeOwned,
    Response: Serialize,
{
    if INVOCATION.try_with(|invocation| invocation.cold_start) == Ok(true) {
        tracing::info!("cold_start");
    }
    let source = payload.0.as_ref().and_then(trigger_source);
    let guarded = AssertUnwindSafe(async {
        let Payload(Some(Value::Object(mut event))) = payload else {
            return Err(TriggerError::MalformedEvent);
        };
        // A structure whose fields may all be absent would be read from an empty array, too.
        if ["request", "callerContext"].into_iter().any(|part| event.get(part).is_some_and(Value::is_array)) {
            return Err(TriggerError::MalformedEvent);
        }
        let typed = Event::deserialize(view(&event)).map_err(|_| TriggerError::MalformedEvent)?;
        let response = handler(typed).await?;
        let response = serde_json::to_value(response).map_err(|_| TriggerError::Internal)?;
        event.insert("response".to_owned(), response);
        Ok(Value::Object(event))
    });
    let answered = guarded.catch_unwind().await.unwrap_or(Err(TriggerError::Internal));
    if answered == Err(TriggerError::MalformedEvent) {
        // Most often a function that is attached to another trigger than its own.
        tracing::warn!(trigger_source = source, "malformed_event");
    }
    answered
}

/// The event's `triggerSource`, if it looks like one of Cognito's.
fn trigger_source(event: &Value) -> Option<String> {
    let source = event.get("triggerSource")?.as_str()?;
    let is_word = source.len() <= 64 && source.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_word.then(|| source.to_owned())
}

/// The event as the typed structures read it: they take an absent field where they do not take a `null`, want a `session` in some
/// events and `newDeviceUsed` in others, and read a `response` that means nothing on its way in, of pre-sign-up with three flags.
fn view(event: &Map<String, Value>) -> Value {
    let mut view = event.clone();
    let response = json!({"autoConfirmUser": false, "autoVerifyEmail": false, "autoVerifyPhone": false});
    view.insert("response".to_owned(), response);
    if let Some(Value::Object(request)) = view.get_mut("request") {
        drop_nulls(request);
        request.entry("session").or_insert_with(|| json!([]));
        request.entry("newDeviceUsed").or_insert(Value::Bool(false));
    }
    Value::Object(view)
}

/// Takes `null` members out of an object and the objects in it; arrays stay as they are.
fn drop_nulls(object: &mut Map<String, Value>) {
    object.retain(|_, value| !value.is_null());
    for value in object.values_mut() {
        if let Value::Object(inner) = value {
            drop_nulls(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::cognito::{
        CognitoEventUserPoolsCreateAuthChallenge as Create, CognitoEventUserPoolsDefineAuthChallenge as Define,
        CognitoEventUserPoolsPostAuthentication as PostAuthentication,
        CognitoEventUserPoolsPreAuthentication as PreAuthentication, CognitoEventUserPoolsPreSignup as PreSignUp,
        CognitoEventUserPoolsVerifyAuthChallenge as Verify,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::log::tests::Said;
    use crate::pre_token_generation::Event as PreTokenGeneration;

    fn event(trigger: &str) -> Value {
        json!({
            "version": "1", "region": "eu-west-1", "userPoolId": "eu-west-1_EXAMPLE", "userName": "alice",
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "1example"},
            "triggerSource": format!("{trigger}_Authentication"),
            "request": {"userAttributes": {"sub": "alice"}, "session": [], "validationData": null},
            "response": {"challengeName": null, "issueTokens": null, "failAuthentication": null},
        })
    }

    /// What Lambda gets for `payload` from a function whose work is `handler`.
    fn call<Event: DeserializeOwned>(
        payload: &[u8],
        handler: impl AsyncFn(Event) -> Result<Value, TriggerError>,
    ) -> Result<Value, TriggerError> {
        futures_util::FutureExt::now_or_never(answer_to(payload, handler)).unwrap()
    }

    fn define(event: &Value) -> Result<Value, TriggerError> {
        call(event.to_string().as_bytes(), async |_: Define| Ok(json!({"issueTokens": false})))
    }

    /// Changes the member at `path` of an event for define-auth-challenge.
    fn with(path: &str, value: Value) -> Value {
        let mut event = event("DefineAuthChallenge");
        let (parent, member) = path.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[member] = value;
        event
    }

    #[test]
    fn r29_f37_the_event_comes_back_as_it_came_but_for_the_response() {
        let mut event = event("DefineAuthChallenge");
        event["added"] = json!({"by": ["Cognito", 1, null]});
        event["callerContext"]["added"] = json!(true);
        event["request"]["added"] = json!("later");
        event["request"]["clientMetadata"] = json!(null);
        let mut expected = event.clone();
        expected["response"] = json!({"issueTokens": false});
        assert_eq!(define(&event), Ok(expected));
    }

    #[test]
    fn f35_null_is_the_same_as_absent() {
        for path in ["/request/userAttributes", "/request/session", "/request/clientMetadata", "/request/userNotFound"]
        {
            assert!(define(&with(path, Value::Null)).is_ok(), "{path}");
        }
        assert!(define(&with("/request/userAttributes", json!({"email": null}))).is_ok());
        assert!(define(&with("/request", json!({}))).is_ok());
        assert!(define(&with("/response", Value::Null)).is_ok());
    }

    #[test]
    fn f34_wrong_types_and_missing_parts_are_malformed() {
        for (path, value) in [
            ("/version", json!(1)),
            ("/request", json!(null)),
            ("/request", json!([])),
            ("/request/session", json!("none")),
            ("/request/session", json!([1])),
            ("/request/session", json!([{"challengeName": "SRP_A"}])),
            ("/request/session", json!([{"challengeName": "SRP_A", "challengeResult": null}])),
            ("/request/userAttributes", json!({"email_verified": true})),
            ("/request/userAttributes", json!([])),
            ("/request/clientMetadata", json!({"action": ["RESEND"]})),
            ("/request/userNotFound", json!("true")),
            ("/triggerSource", json!("CreateAuthChallenge_Authentication")),
            ("/triggerSource", json!("DefineAuthChallenge_Registration")),
            ("/callerContext", json!(null)),
            ("/callerContext", json!("none")),
        ] {
            assert_eq!(define(&with(path, value.clone())), Err(TriggerError::MalformedEvent), "{path}: {value}");
        }
        for whole in [json!(null), json!([]), json!("event"), json!(7), json!({})] {
            assert_eq!(define(&whole), Err(TriggerError::MalformedEvent), "{whole}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in ["", "{", "event", "\u{0}", "{\"request\":}", &deep] {
            let answered = call(text.as_bytes(), async |_: Define| Ok(Value::Null));
            assert_eq!(answered, Err(TriggerError::MalformedEvent), "{text:?}");
        }
        assert_eq!(call(&[0xff, 0xfe], async |_: Define| Ok(Value::Null)), Err(TriggerError::MalformedEvent));
    }

    #[test]
    fn f34_no_trigger_takes_an_array_for_a_structure() {
        for part in ["request", "callerContext"] {
            for source in ["TokenGeneration", "PreSignUp", "PostAuthentication"] {
                let mut event = event(source);
                event["triggerSource"] =
                    json!(format!("{source}_Authentication").replace("Up_Authentication", "Up_SignUp"));
                event[part] = json!([]);
                let text = event.to_string();
                let answered = match source {
                    "TokenGeneration" => call(text.as_bytes(), async |_: PreTokenGeneration| Ok(json!({}))),
                    "PreSignUp" => call(text.as_bytes(), async |_: PreSignUp| Ok(json!({}))),
                    _ => call(text.as_bytes(), async |_: PostAuthentication| Ok(json!({}))),
                };
                assert_eq!(answered, Err(TriggerError::MalformedEvent), "{source}: {part}");
            }
        }
    }

    #[test]
    fn f33_the_log_may_name_the_trigger_but_no_text_of_a_strangers() {
        let source = |text: &str| trigger_source(&json!({"triggerSource": text}));
        assert_eq!(source("PostConfirmation_ConfirmSignUp"), Some("PostConfirmation_ConfirmSignUp".to_owned()));
        for other in ["alice@example.com", "a b", "\n", "é", &"x".repeat(65)] {
            assert_eq!(source(other), None, "{other:?}");
        }
        assert_eq!(trigger_source(&json!(["triggerSource"])), None);
    }

    #[test]
    fn r40_the_first_event_of_a_process_and_one_that_cannot_be_read_are_said_and_nothing_else() {
        let messages = |cold_start: bool, event: &Value| {
            let mut invocation = Invocation::new(&lambda_runtime::Context::default());
            invocation.cold_start = cold_start;
            let said = Said::while_running(|| {
                let _ = INVOCATION.sync_scope(invocation, || define(event));
            });
            said.into_iter().map(|line| (line["message"].clone(), line["trigger_source"].clone())).collect::<Vec<_>>()
        };
        let event = event("DefineAuthChallenge");
        assert_eq!(messages(true, &event), [(json!("cold_start"), Value::Null)]);
        assert_eq!(messages(false, &event), []);
        let others = json!({"triggerSource": "PostConfirmation_ConfirmSignUp"});
        assert_eq!(messages(false, &others), [(json!("malformed_event"), json!("PostConfirmation_ConfirmSignUp"))]);
    }

    #[test]
    fn r52_r63_a_function_starts_in_lambda_alone_and_with_settings_of_its_log_that_can_be_used() {
        let init = |given: &[(&str, &str)]| {
            let vars = |name: &str| given.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
            init(&vars).map_err(|error| [error.to_string(), format!("{error:?}")])
        };
        let by_hand = "this program is a Lambda function and runs behind the Lambda Runtime API: \
                       try `cargo run`, `cargo lambda watch` or `sam local invoke`";
        assert_eq!(init(&[]), Err([by_hand, by_hand].map(str::to_owned)));
        let lambda = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
        let flag = "POWERTOOLS_METRICS_DISABLED must be false or true";
        assert_eq!(init(&[lambda, ("POWERTOOLS_METRICS_DISABLED", "no")]), Err([flag, flag].map(str::to_owned)));
    }

    /// The hook is the whole process's; it is put back at once.
    #[test]
    fn r38_r54_a_panic_is_logged_by_its_place_and_without_its_message() {
        let vars = |name: &str| (name == "AWS_LAMBDA_RUNTIME_API").then(|| "127.0.0.1:9001".to_owned());
        assert!(init(&vars).is_ok());
        let said = Said::while_running(|| {
            let panics = std::panic::catch_unwind(|| panic!("the code is 48310937"));
            assert!(panics.is_err());
        });
        let _ = std::panic::take_hook();
        let [line] = &said[..] else { panic!("{said:?}") };
        assert_eq!(line["message"], "panicked");
        let place = line["place"].as_str().unwrap();
        assert!(place.starts_with("Some((\"trigger.rs\", "), "{place}");
        assert!(!line.to_string().contains("4831"), "{line}");
    }

    #[test]
    fn r54_f30_a_panic_is_an_internal_error() {
        let panics = async |_: Define| -> Result<Value, TriggerError> { panic!("the code is 48310937") };
        assert_eq!(call(event("DefineAuthChallenge").to_string().as_bytes(), panics), Err(TriggerError::Internal));
    }

    /// R39: the whole of what a user can ever read of us when something fails.
    #[test]
    fn r39_lambda_gets_fixed_texts() {
        let texts = TriggerError::ALL.map(|error| {
            let Diagnostic { error_type, error_message } = error.into();
            format!("{error_type}: {error_message}")
        });
        assert_eq!(
            texts,
            [
                "MalformedEvent: The sign-in request could not be read",
                "SignInNotAllowed: This sign-in is not allowed",
                "SignUpNotAllowed: This sign-up is not allowed",
                "Maintenance: Signing in is paused, please try again later",
                "CodeNotSent: The code could not be sent, please try again",
                "TooManySignIns: There were too many sign-ins, please try again later",
                "Internal: Something went wrong, please try again",
            ]
        );
    }

    mod properties {
        use super::*;

        fn json_values() -> impl Strategy<Value = Value> {
            let leaf = prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                any::<f64>().prop_map(Value::from),
                "\\PC{0,20}".prop_map(Value::from),
            ];
            leaf.prop_recursive(4, 32, 6, |inner| {
                prop_oneof![
                    proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                    proptest::collection::hash_map("[a-zA-Z]{0,12}", inner, 0..6)
                        .prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()),
                ]
            })
        }

        proptest! {
            /// Anything in any place of an event is answered with the event or a fixed error, by each of the seven.
            #[test]
            fn f34_any_event_is_answered(value in json_values(), which in 0..12usize) {
                let paths = [
                    "/version", "/userPoolId", "/userName", "/callerContext", "/callerContext/clientId", "/triggerSource",
                    "/request", "/request/userAttributes", "/request/session", "/request/clientMetadata",
                    "/request/userNotFound", "/response",
                ];
                let mut event = with(paths[which], value);
                for source in [
                    "DefineAuthChallenge_Authentication", "CreateAuthChallenge_Authentication", "PreAuthentication_Authentication",
                    "PreSignUp_SignUp", "TokenGeneration_Authentication", "PostAuthentication_Authentication",
                    "VerifyAuthChallengeResponse_Authentication",
                ] {
                    if which != 5 {
                        event["triggerSource"] = source.into();
                    }
                    let text = event.to_string();
                    let answered = match source.split('_').next() {
                        Some("DefineAuthChallenge") => call(text.as_bytes(), async |_: Define| Ok(json!({}))),
                        Some("CreateAuthChallenge") => call(text.as_bytes(), async |_: Create| Ok(json!({}))),
                        Some("PreAuthentication") => call(text.as_bytes(), async |_: PreAuthentication| Ok(json!({}))),
                        Some("PreSignUp") => call(text.as_bytes(), async |_: PreSignUp| Ok(json!({}))),
                        Some("TokenGeneration") => call(text.as_bytes(), async |_: PreTokenGeneration| Ok(json!({}))),
                        Some("PostAuthentication") => call(text.as_bytes(), async |_: PostAuthentication| Ok(json!({}))),
                        _ => call(text.as_bytes(), async |_: Verify| Ok(json!({}))),
                    };
                    match answered {
                        Ok(echo) => {
                            let mut expected = event.clone();
                            expected["response"] = json!({});
                            prop_assert_eq!(echo, expected);
                        }
                        Err(error) => prop_assert_eq!(error, TriggerError::MalformedEvent),
                    }
                }
            }
        }
    }
}
