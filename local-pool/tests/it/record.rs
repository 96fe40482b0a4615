//! Events that are written down.

use std::fs;
use std::path::{Path, PathBuf};

use local_pool::record::Recorder;
use local_pool::trigger::Trigger;
use serde_json::{Value, json};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn event(user: &str, answer: &str) -> Value {
    json!({
        "version": "1", "userPoolId": "eu-west-1_LocalPool", "userName": user,
        "triggerSource": "VerifyAuthChallengeResponse_Authentication",
        "request": {
            "userAttributes": {
                "sub": user, "email": format!("{user}@example.org"), "email_verified": "true", "name": "Zoë",
                "cognito:user_status": "CONFIRMED", "phone_number": "+49301234567", "locale": "de",
            },
            "privateChallengeParameters": {"state": "1.sealed.one"},
            "challengeAnswer": answer,
            "session": [{"challengeName": "CUSTOM_CHALLENGE", "challengeResult": false, "challengeMetadata": "1.sealed.one"}],
            "clientMetadata": {"action": "RESEND", "captcha": "03AF", "Amplify.Passwordless.locale": "de"},
            "userNotFound": false,
        },
        "response": {"answerCorrect": null},
    })
}

#[test]
fn what_belongs_to_a_person_or_a_sign_in_is_replaced_by_what_stays_the_same() {
    let folder = folder("record");
    let recorder = Recorder::new(&folder).unwrap();
    let verify = Trigger::VerifyAuthChallengeResponse;
    for event in [event("zoe", "48310937"), event("yan", "11112222"), event("zoe", "48310937")] {
        recorder.record(verify, &event).unwrap();
    }
    let file = |n: usize| folder.join(format!("verify-auth-challenge/{n:04}.json"));
    let expected = json!({
        "version": "1", "userPoolId": "eu-west-1_LocalPool", "userName": "00000000-0000-4000-8000-000000000001",
        "triggerSource": "VerifyAuthChallengeResponse_Authentication",
        "request": {
            "userAttributes": {
                "sub": "00000000-0000-4000-8000-000000000001", "email": "user1@example.com", "email_verified": "true",
                "name": "ATTRIBUTE-1", "cognito:user_status": "CONFIRMED", "phone_number": "+15550000001", "locale": "de",
            },
            "privateChallengeParameters": {"state": "STATE-1"},
            "challengeAnswer": "ANSWER-1",
            "session": [{"challengeName": "CUSTOM_CHALLENGE", "challengeResult": false, "challengeMetadata": "STATE-1"}],
            "clientMetadata": {"action": "RESEND", "captcha": "METADATA-1", "Amplify.Passwordless.locale": "de"},
            "userNotFound": false,
        },
        "response": {"answerCorrect": null},
    });
    assert_eq!(read(&file(1)), expected);
    let second = read(&file(2));
    assert_eq!(second["userName"], "00000000-0000-4000-8000-000000000002");
    assert_eq!(second["request"]["challengeAnswer"], "ANSWER-2");
    assert_eq!(second["request"]["privateChallengeParameters"]["state"], "STATE-1");
    // The same again is the same again.
    assert_eq!(read(&file(3)), expected);
    for n in 1..=3 {
        let text = fs::read_to_string(file(n)).unwrap();
        for secret in ["zoe", "yan", "Zoë", "4831", "1111", "sealed", "4930", "03AF"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[test]
fn fixtures_of_an_earlier_run_do_not_stay_among_new_ones() {
    let folder = folder("record-again");
    let verify = folder.join("verify-auth-challenge");
    let recorder = Recorder::new(&folder).unwrap();
    for _ in 0..3 {
        recorder.record(Trigger::VerifyAuthChallengeResponse, &event("zoe", "48310937")).unwrap();
    }
    fs::write(verify.join("by-hand.json"), "{}").unwrap();
    let recorder = Recorder::new(&folder).unwrap();
    recorder.record(Trigger::VerifyAuthChallengeResponse, &event("zoe", "48310937")).unwrap();
    let mut left: Vec<_> = fs::read_dir(&verify).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["0001.json", "by-hand.json"]);
}

#[test]
fn events_without_what_is_replaced_are_written_as_they_are() {
    let folder = folder("record-odd");
    let recorder = Recorder::new(&folder).unwrap();
    for odd in
        [json!({"request": {"userAttributes": null, "validationData": null, "session": [null]}}), json!({}), json!(7)]
    {
        recorder.record(Trigger::PreAuthentication, &odd).unwrap();
    }
    assert_eq!(read(&folder.join("pre-authentication/0001.json"))["request"]["userAttributes"], Value::Null);
    assert_eq!(read(&folder.join("pre-authentication/0003.json")), json!(7));
}
