//! What is counted of what the functions do: a table from the messages of the log to CloudWatch's metrics.

use serde_json::Value;

/// One number for CloudWatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit, in CloudWatch's words.
    pub unit: &'static str,
    /// The sets of fields that it can be looked at by.
    pub dimensions: &'static [&'static [&'static str]],
    /// How much.
    pub value: f64,
}

/// Of all that a stack does.
const BY_SERVICE: &[&[&str]] = &[&["service"]];
/// And of that for each reason.
const BY_REASON: &[&[&str]] = &[&["service"], &["service", "reason"]];
/// And of that for each function.
const BY_FUNCTION: &[&[&str]] = &[&["service"], &["service", "function_name"]];

/// What a line of the log counts as, if it counts as anything.
pub fn of(fields: &[(&str, Value)]) -> Option<Vec<Metric>> {
    let value = |field: &str| fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value);
    let text = |field: &str| value(field).and_then(Value::as_str).unwrap_or_default();
    let number = |field: &str| value(field).and_then(Value::as_f64);
    let first_mail = number("mail") == Some(1.0);
    let one = |name, dimensions| Metric { name, unit: "Count", dimensions, value: 1.0 };
    let metrics = match text("message") {
        "cold_start" => vec![one("ColdStart", BY_FUNCTION)],
        "challenge_sent" if first_mail => vec![one("ChallengeSent", BY_SERVICE)],
        "challenge_sent" => vec![one("Resent", BY_SERVICE)],
        "mail_not_sent" | "mail_may_be_lost" | "recipient_rejected" => vec![one("SendFailed", BY_REASON)],
        // Where codes are long enough to go on without the table, nothing else tells that it is gone.
        "limits_unavailable" => vec![one("LimitsUnavailable", BY_REASON)],
        "mail_withheld" if first_mail => vec![one("UnknownUser", BY_SERVICE)],
        "limited" => vec![one("Limited", BY_SERVICE), one("Refused", BY_SERVICE)],
        // As errors of the function, which Lambda counts with those that are none of ours.
        "not_admitted" | "sign_up_refused" => vec![one("Refused", BY_SERVICE)],
        "code_accepted" => {
            let seconds = number("seconds_since_issued").map(|value| Metric {
                name: "TimeToVerify",
                unit: "Seconds",
                dimensions: BY_SERVICE,
                value,
            });
            [one("CodeAccepted", BY_SERVICE)].into_iter().chain(seconds).collect()
        }
        "code_rejected" => vec![match text("reason") {
            "Expired" => one("Expired", BY_SERVICE),
            reason if reason.starts_with("Limited") => one("Limited", BY_SERVICE),
            _ => one("CodeRejected", BY_SERVICE),
        }],
        "signed_in" => vec![one("SignedIn", BY_SERVICE)],
        _ => return None,
    };
    Some(metrics)
}
