//! The pool's settings: what an update has to write back, and what it may not lose.
//!
//! `UpdateUserPool` resets what a call leaves out. So all that `DescribeUserPool` told goes back, as the JSON that it came in:
//! the SDK's structures would drop whatever they do not know, on either way.

use serde_json::{Map, Value};

/// A JSON object, such as a described pool.
pub type Members = Map<String, Value>;

/// What `UpdateUserPool` sets under the name that `DescribeUserPool` tells it by.
pub const WRITTEN_BACK: [&str; 22] = [
    "AccountRecoverySetting",
    "AcrConfiguration",
    "AdminCreateUserConfig",
    "AutoVerifiedAttributes",
    "DeletionProtection",
    "DeviceConfiguration",
    "EmailConfiguration",
    "EmailVerificationMessage",
    "EmailVerificationSubject",
    "IssuerConfiguration",
    "KeyConfiguration",
    "LambdaConfig",
    "MfaConfiguration",
    "Policies",
    "SmsAuthenticationMessage",
    "SmsConfiguration",
    "SmsVerificationMessage",
    "UserAttributeUpdateSettings",
    "UserPoolAddOns",
    "UserPoolTags",
    "UserPoolTier",
    "VerificationMessageTemplate",
];

/// What `UpdateUserPool` cannot set: chosen when the pool was made, set by other operations, or merely reported.
pub const NOT_SET: [&str; 14] = [
    "AliasAttributes",
    "Arn",
    "CreationDate",
    "CustomDomain",
    "Domain",
    "EmailConfigurationFailure",
    "EstimatedNumberOfUsers",
    "Id",
    "LastModifiedDate",
    "SchemaAttributes",
    "SmsConfigurationFailure",
    "Status",
    "UsernameAttributes",
    "UsernameConfiguration",
];

/// What changes by itself.
const CHANGES: [&str; 2] = ["EstimatedNumberOfUsers", "LastModifiedDate"];

/// Older members with the member of `VerificationMessageTemplate` that says the same.
const SAID_TWICE: [(&str, &str); 3] = [
    ("EmailVerificationMessage", "EmailMessage"),
    ("EmailVerificationSubject", "EmailSubject"),
    ("SmsVerificationMessage", "SmsMessage"),
];

/// The parameters of the `UpdateUserPool` that makes a pool the described one.
///
/// # Errors
///
/// Names the members of which we do not know whether an update resets them.
pub fn write_back(pool: &Members) -> Result<Members, String> {
    let mut update = Members::new();
    let mut unknown = Vec::new();
    for (name, value) in pool.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "Id" => _ = update.insert("UserPoolId".to_owned(), value.clone()),
            "Name" => _ = update.insert("PoolName".to_owned(), value.clone()),
            name if WRITTEN_BACK.contains(&name) => _ = update.insert(name.to_owned(), value.clone()),
            name if NOT_SET.contains(&name) => {}
            _ => unknown.push(name.as_str()),
        }
    }
    if !unknown.is_empty() {
        return Err(format!(
            "the pool has settings that this version does not know and could lose: {}; nothing was changed",
            unknown.join(", ")
        ));
    }
    say_once(&mut update);
    Ok(update)
}

/// Takes out what AWS tells twice and takes once.
fn say_once(update: &mut Members) {
    // Both together are refused: "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of
    // UnusedAccountValidityDays".
    let days = update.get("Policies").map(|policies| &policies["PasswordPolicy"]["TemporaryPasswordValidityDays"]);
    if days.is_some_and(|days| !days.is_null())
        && let Some(Value::Object(config)) = update.get_mut("AdminCreateUserConfig")
    {
        config.remove("UnusedAccountValidityDays");
    }
    for (older, newer) in SAID_TWICE {
        let said = update.get("VerificationMessageTemplate").map(|template| &template[newer]);
        if update.get(older).is_some_and(|older| said == Some(older)) {
            update.remove(older);
        }
    }
}

/// What is different in a pool that was described again, `before -> after` by path.
pub fn differences(before: &Members, after: &Members) -> Vec<String> {
    let mut found = Vec::new();
    let steady = |pool: &Members| {
        let mut pool = pool.clone();
        pool.retain(|name, _| !CHANGES.contains(&name.as_str()));
        Value::Object(pool)
    };
    compare("", &steady(before), &steady(after), &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&at, &before[name], &after[name], found);
            }
        }
        // AWS's lists have no order of their own.
        (Value::Array(old), Value::Array(new)) if sorted(old) == sorted(new) => {}
        _ if before == after => {}
        _ => found.push(format!("{path}: {} -> {}", short(before), short(after))),
    }
}

fn sorted(list: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

/// A value for people: a mail's text need not be shown whole.
fn short(value: &Value) -> String {
    let text = if value.is_null() { "nothing".to_owned() } else { value.to_string() };
    if text.chars().count() <= 60 { text } else { format!("{}…", text.chars().take(60).collect::<String>()) }
}
