//! What is counted of what the log says.

use auth_challenge::metrics;
use serde_json::{Value, json};

/// Names and values of what a line counts as.
fn counted(line: Value) -> Vec<(&'static str, f64)> {
    let Value::Object(line) = line else { panic!("{line}") };
    let fields: Vec<_> = line.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    metrics::of(&fields).unwrap_or_default().into_iter().map(|metric| (metric.name, metric.value)).collect()
}

#[test]
fn r40_each_outcome_counts_as_one_thing() {
    for (line, expected) in [
        (json!({"message": "challenge_sent", "mail": 1}), "ChallengeSent"),
        (json!({"message": "challenge_sent", "mail": 2}), "Resent"),
        (json!({"message": "mail_not_sent", "mail": 1}), "SendFailed"),
        (json!({"message": "mail_may_be_lost", "mail": 2}), "SendFailed"),
        (json!({"message": "recipient_rejected", "mail": 1}), "SendFailed"),
        (json!({"message": "limits_unavailable", "reason": "timed_out", "goes_on": true}), "LimitsUnavailable"),
        (json!({"message": "mail_withheld", "mail": 1}), "UnknownUser"),
        (json!({"message": "not_admitted"}), "Refused"),
        (json!({"message": "sign_up_refused"}), "Refused"),
        (json!({"message": "code_accepted"}), "CodeAccepted"),
        (json!({"message": "code_rejected", "reason": "CodeMismatch"}), "CodeRejected"),
        (json!({"message": "code_rejected", "reason": "Expired"}), "Expired"),
        (json!({"message": "code_rejected", "reason": "Limited(Attempts)"}), "Limited"),
        (json!({"message": "signed_in"}), "SignedIn"),
        (json!({"message": "cold_start"}), "ColdStart"),
    ] {
        assert_eq!(counted(line.clone()), [(expected, 1.0)], "{line}");
    }
    let accepted = json!({"message": "code_accepted", "seconds_since_issued": 42});
    assert_eq!(counted(accepted), [("CodeAccepted", 1.0), ("TimeToVerify", 42.0)]);
    assert_eq!(counted(json!({"message": "limited"})), [("Limited", 1.0), ("Refused", 1.0)]);
    // Who does not exist gets one sign-in counted, however often they ask for another mail.
    for line in [json!({"message": "mail_withheld", "mail": 2}), json!({"message": "admitted"}), json!({})] {
        assert_eq!(counted(line.clone()), [], "{line}");
    }
}
