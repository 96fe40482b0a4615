//! Who may invoke a function: its resource policy, as far as a user pool is concerned.

use serde_json::Value;

/// The service that invokes triggers.
pub const COGNITO: &str = "cognito-idp.amazonaws.com";
/// What it needs.
pub const INVOKE: &str = "lambda:InvokeFunction";

/// The id of our statement: one for each pool, since functions may serve several.
pub fn statement_id(user_pool_id: &str) -> String {
    format!("custom-auth-{user_pool_id}")
}

/// How far a policy lets a pool invoke the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// It does not.
    None,
    /// It does, and any pool of anybody's.
    Any,
    /// It does, and any pool of the account.
    ByAccount,
    /// It does, by the pool's ARN alone, as the console has it.
    ByArn,
    /// It does, by the pool's ARN and account.
    ByArnAndAccount,
}

/// What this policy grants to the pool with this ARN, at its narrowest.
pub fn grant(policy: &Value, pool_arn: &str) -> Grant {
    // Whatever is denied stays denied.
    if said("Deny", policy, pool_arn).next().is_some() {
        return Grant::None;
    }
    said("Allow", policy, pool_arn).max().unwrap_or(Grant::None)
}

/// The widest of what it grants: whom a narrow statement lets in, a wide one beside it lets in with others.
pub fn widest(policy: &Value, pool_arn: &str) -> Grant {
    said("Allow", policy, pool_arn).min().unwrap_or(Grant::None)
}

/// What statements with this effect say of the pool.
fn said(effect: &str, policy: &Value, pool_arn: &str) -> impl Iterator<Item = Grant> {
    let statements =
        one_or_more(&policy["Statement"]).into_iter().filter(move |statement| statement["Effect"] == effect);
    statements.map(move |statement| concerns(statement, pool_arn)).filter(|grant| *grant > Grant::None)
}

/// What a statement grants to the pool, or denies it.
fn concerns(statement: &Value, pool_arn: &str) -> Grant {
    let has = |value: &Value, wanted: &[&str]| {
        one_or_more(value).iter().any(|value| wanted.iter().any(|wanted| value.as_str() == Some(*wanted)))
    };
    let principal = &statement["Principal"];
    let is_cognito = principal == "*" || has(&principal["Service"], &[COGNITO]);
    if !is_cognito || !has(&statement["Action"], &[INVOKE, "lambda:*", "*"]) {
        return Grant::None;
    }
    let account = pool_arn.split(':').nth(4).unwrap_or_default();
    let (mut by_arn, mut by_account) = (false, false);
    let conditions = statement["Condition"].as_object();
    for (operator, condition) in conditions.into_iter().flatten() {
        if !["ArnEquals", "ArnLike", "StringEquals", "StringLike"].contains(&operator.as_str()) {
            return Grant::None;
        }
        for (key, values) in condition.as_object().into_iter().flatten() {
            let values = one_or_more(values);
            let any = |is: &dyn Fn(&str) -> bool| values.iter().filter_map(|value| value.as_str()).any(is);
            if key.eq_ignore_ascii_case("aws:SourceArn") && any(&|pattern| matches(pattern, pool_arn)) {
                by_arn = true;
            } else if key.eq_ignore_ascii_case("aws:SourceAccount") && any(&|value| value == account) {
                by_account = true;
            } else {
                // Of another pool, or of something that we know nothing about.
                return Grant::None;
            }
        }
    }
    match (by_arn, by_account) {
        (true, true) => Grant::ByArnAndAccount,
        (true, false) => Grant::ByArn,
        (false, true) => Grant::ByAccount,
        (false, false) => Grant::Any,
    }
}

/// Whether a pattern with `*` for anything, as `ArnLike` takes it, is that of a text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// Whether our statement for a pool is in a policy.
pub fn has_statement(policy: &Value, id: &str) -> bool {
    one_or_more(&policy["Statement"]).iter().any(|statement| statement["Sid"] == id)
}

/// Policies write lists of one without the brackets.
fn one_or_more(value: &Value) -> Vec<&Value> {
    match value.as_array() {
        Some(values) => values.iter().collect(),
        None => Some(value).filter(|value| !value.is_null()).into_iter().collect(),
    }
}
