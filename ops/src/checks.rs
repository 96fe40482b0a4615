//! What `doctor` thinks of what it has seen. No input, no output: what could not be seen is a value too.

use std::collections::BTreeMap;

use auth_challenge::pre_authentication::{Admission, Refusal, admit_request};
use auth_challenge::settings::{
    AdmissionSettings, AwsSettings, CODE_ALPHABET, CODE_KEY, CODE_KEY_PREVIOUS, CODE_LENGTH, CODE_VALIDITY_SECONDS,
    ChallengeSettings, CreateSettings, DefineSettings, LIMITS_TABLE, LimitsSettings, LogSettings, Lookup, MAX_ATTEMPTS,
    MailSettings, PASSWORD_FIRST, PostAuthenticationSettings, PreAuthenticationSettings, PreSignUpSettings,
    PreTokenGenerationSettings, SesSettings, SettingsError, VerifySettings,
};
use serde::Serialize;
use serde_json::Value;

use crate::account::FunctionFacts;
use crate::permission::{Grant, grant, widest};
use crate::settings::Members;
use crate::triggers::{Functions, Trigger, events_version, lambda_config};

/// Something that was looked at, or why it could not be.
pub type Known<T> = Result<T, String>;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The pool.
    pub pool: Members,
    /// The app client, if one was named.
    pub client: Option<Known<Members>>,
    /// The functions that should be attached, if a stack or functions were named.
    pub expected: Functions,
    /// The functions that are attached.
    pub functions: BTreeMap<Trigger, Seen>,
    /// SES, if create-auth-challenge tells from where it sends.
    pub ses: Known<Ses>,
    /// By how many seconds our clock is ahead of AWS's.
    pub ahead: Known<i64>,
}

/// A function that was looked at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What Lambda tells of it; `None` if there is no such function.
    pub facts: Known<Option<FunctionFacts>>,
    /// Its resource policy.
    pub policy: Known<Value>,
}

impl Seen {
    /// Its environment.
    ///
    /// # Errors
    ///
    /// Why it is not known.
    pub fn variables(&self) -> Known<&BTreeMap<String, String>> {
        let facts = self.facts.as_ref().map_err(String::clone)?;
        let facts = facts.as_ref().ok_or_else(|| "there is no such function".to_owned())?;
        facts.variables.as_ref().map_err(String::clone)
    }
}

/// What SES tells.
#[derive(Clone, Debug)]
pub struct Ses {
    /// The address that mails come from.
    pub from: String,
    /// `GetAccount`.
    pub account: Known<Members>,
    /// The identity that lets us send from the address, and `GetEmailIdentity` of it.
    pub identity: Known<Option<(String, Members)>>,
    /// The configuration set that mails are sent with, if there is one.
    pub configuration_set: Option<ConfigurationSet>,
}

/// A configuration set of SES.
#[derive(Clone, Debug)]
pub struct ConfigurationSet {
    /// Its name.
    pub name: String,
    /// Whether the function names none, and SES takes the one that the identity has as its default.
    pub is_of_identity: bool,
    /// `GetConfigurationSet` of it.
    pub described: Known<Option<Members>>,
}

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but should be otherwise.
    Warning,
    /// Sign-ins fail, or are less safe than they seem.
    Wrong,
    /// It could not be looked at.
    NotChecked,
}

impl Status {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Wrong => "wrong",
            Status::NotChecked => "not checked",
        }
    }
}

/// A check with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// What it comes to.
    pub status: Status,
    /// What there is.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// All checks, in the order of a sign-in.
pub fn check(seen: &Snapshot) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    triggers(seen, &mut findings);
    functions(seen, &mut findings);
    agreement(seen, &mut findings);
    client(seen, &mut findings);
    pool(seen, &mut findings);
    ses(seen, &mut findings);
    clock(seen, &mut findings);
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, check: impl Into<String>, status: Status, found: impl Into<String>, mend: &str) {
        let mend = Some(mend.to_owned()).filter(|mend| !mend.is_empty());
        self.0.push(Finding { check: check.into(), status, found: found.into(), mend });
    }

    fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.add(check, Status::Ok, found, "");
    }

    fn not_checked(&mut self, check: impl Into<String>, why: &str) {
        self.add(check, Status::NotChecked, why, "");
    }

    /// `ok`, or the other status with how to mend it.
    fn that(&mut self, check: &str, is_so: bool, otherwise: Status, found: impl Into<String>, mend: &str) {
        match is_so {
            true => self.ok(check, found),
            false => self.add(check, otherwise, found, mend),
        }
    }
}

/// Which functions the pool's triggers have, and whether Cognito may invoke them.
fn triggers(seen: &Snapshot, findings: &mut Findings) {
    let config = lambda_config(&seen.pool);
    let arn = seen.pool.get("Arn").and_then(Value::as_str).unwrap_or_default();
    for trigger in Trigger::ALL {
        let check = format!("trigger {}", trigger.name());
        let expected = seen.expected.get(&trigger).map(|arn| arn.as_str());
        match (trigger.function(&config), expected) {
            (Some(is), Some(should)) if is != should => {
                findings.add(check, Status::Wrong, format!("{is}, not {should}"), "custom-auth attach --replace");
            }
            (Some(is), None) if trigger == Trigger::PreSignUp => {
                let mend = "see that it sets autoVerifyEmail for nobody whose address is not proved";
                findings.add(check, Status::Warning, format!("{is}, which can verify addresses"), mend);
            }
            (Some(is), _) if trigger == Trigger::PreTokenGeneration => {
                findings.ok(check, format!("{is}, with events of version {}", events_version(&config)));
            }
            (Some(is), _) => findings.ok(check, is),
            (None, Some(should)) => {
                findings.add(check, Status::Wrong, format!("nothing, not {should}"), "custom-auth attach");
            }
            (None, None) if trigger.is_required() => {
                findings.add(check, Status::Wrong, "nothing", "custom-auth attach");
            }
            (None, None) if trigger == Trigger::PreAuthentication => {
                let mend = "custom-auth attach, if sign-ins with a password are to obey the rules too";
                findings.add(check, Status::Warning, "nothing", mend);
            }
            (None, None) => {}
        }
        let Some(function) = seen.functions.get(&trigger) else { continue };
        let check = format!("permission {}", trigger.name());
        let mend = "custom-auth attach, which gives it";
        let wider = "custom-auth attach, then take the wider permission away (lambda remove-permission)";
        match function.policy.as_ref().map(|policy| (grant(policy, arn), widest(policy, arn))) {
            Err(why) => findings.not_checked(check, why),
            Ok((Grant::None, _)) => findings.add(check, Status::Wrong, "Cognito may not invoke it for this pool", mend),
            Ok((_, Grant::Any)) => findings.add(check, Status::Wrong, "pools of anybody's may invoke it", wider),
            Ok((_, Grant::ByAccount)) => {
                findings.add(check, Status::Warning, "any pool of this account may invoke it", wider);
            }
            Ok((Grant::ByArnAndAccount, _)) => findings.ok(check, "this pool of this account may invoke it"),
            Ok((Grant::Any | Grant::ByAccount | Grant::ByArn, _)) => {
                findings.add(check, Status::Warning, "this pool may invoke it, without SourceAccount", mend);
            }
        }
    }
    let others: Vec<&str> = OTHER_TRIGGERS.into_iter().filter(|name| !config[*name].is_null()).collect();
    if others.contains(&"UserMigration") {
        let found = format!("{}: UserMigration takes passwords", others.join(", "));
        findings.add("other triggers", Status::Warning, found, "detach it once all users are there");
    } else if others.is_empty() {
        findings.ok("other triggers", "none");
    } else {
        findings.ok("other triggers", format!("{}, of other functions", others.join(", ")));
    }
}

/// Those that none of ours can have.
const OTHER_TRIGGERS: [&str; 6] =
    ["CustomMessage", "PostConfirmation", "UserMigration", "CustomEmailSender", "CustomSMSSender", "InboundFederation"];

/// Whether the functions can run.
fn functions(seen: &Snapshot, findings: &mut Findings) {
    for (trigger, function) in &seen.functions {
        let check = format!("function {}", trigger.name());
        match &function.facts {
            Err(why) => findings.not_checked(check, why),
            Ok(None) => {
                findings.add(
                    check,
                    Status::Wrong,
                    "there is no such function",
                    "deploy it again, or custom-auth detach",
                );
            }
            Ok(Some(facts)) if !["Active", ""].contains(&facts.state.as_str()) => {
                findings.add(check, Status::Wrong, format!("its state is {}", facts.state), "deploy it again, or wait");
            }
            Ok(Some(facts)) if facts.last_update == "Failed" => {
                findings.add(check, Status::Wrong, "its last update failed", "deploy it again");
            }
            Ok(Some(FunctionFacts { timeout: 0, .. })) => findings.not_checked(check, "Lambda tells no time-out"),
            Ok(Some(FunctionFacts { timeout: 5, .. })) => findings.ok(check, "active, time-out 5 s"),
            Ok(Some(FunctionFacts { timeout, .. })) => {
                let found = format!("time-out {timeout} s, and Cognito waits 5 s before it calls again");
                findings.add(check, Status::Warning, found, "set its time-out to 5 s");
            }
        }
    }
    let region = seen.pool.get("Arn").and_then(Value::as_str).and_then(|arn| arn.split(':').nth(3)).unwrap_or_default();
    for (trigger, function) in seen.functions.iter().filter(|(trigger, _)| is_ours(seen, **trigger)) {
        let check = format!("settings {}", trigger.name());
        match function.variables().map(|variables| refused(*trigger, variables, region)) {
            Err(why) => findings.not_checked(check, &why),
            Ok(None) => findings.ok(check, "can be used"),
            Ok(Some(error)) => {
                findings.add(check, Status::Wrong, format!("the function does not start: {error}"), "set it right");
            }
        }
    }
}

/// Whether the functions agree with each other.
fn agreement(seen: &Snapshot, findings: &mut Findings) {
    let variables_of = |trigger: Trigger| {
        seen.functions.get(&trigger).ok_or_else(|| "not all functions are attached".to_owned())?.variables()
    };
    // The three that have to know what a code is, and the one that may have to know what it proves.
    let codes = || -> Known<[&BTreeMap<String, String>; 3]> {
        Ok([
            variables_of(Trigger::DefineAuthChallenge)?,
            variables_of(Trigger::CreateAuthChallenge)?,
            variables_of(Trigger::VerifyAuthChallengeResponse)?,
        ])
    };
    let proofs = Some(Trigger::PostAuthentication)
        .filter(|trigger| seen.functions.contains_key(trigger) && is_ours(seen, *trigger));
    match codes() {
        Err(why) => findings.not_checked("key", &why),
        Ok(all) if all.iter().any(|variables| text(variables, CODE_KEY).is_empty()) => {
            let found = format!("not all functions have {CODE_KEY}");
            findings.add("key", Status::Wrong, found, "set it to the same secret in all of them");
        }
        Ok([define, create, verify]) => {
            // Codes are made with this one. While it is being changed, the others have it beside their own.
            let made_with = text(create, CODE_KEY);
            let knows = |variables| [CODE_KEY, CODE_KEY_PREVIOUS].iter().any(|name| text(variables, name) == made_with);
            let found = if !knows(define) || !knows(verify) {
                Err("the functions have different keys: no code is ever right")
            } else if proofs.and_then(|trigger| variables_of(trigger).ok()).is_some_and(|variables| !knows(variables)) {
                Err("post-authentication has another key: no address is verified")
            } else {
                Ok("there, and known to all functions")
            };
            let (Ok(words) | Err(words)) = found;
            findings.that("key", found.is_ok(), Status::Wrong, words, "deploy all of them with the same one");
        }
    }
    let read = |variables: &BTreeMap<String, String>| {
        ChallengeSettings::from_vars(&|name| variables.get(name).cloned()).map_err(|error| error.to_string())
    };
    let settings = codes().and_then(|[define, create, verify]| Ok((read(define)?, read(create)?, read(verify)?)));
    match settings {
        Err(why) => findings.not_checked("settings", &why),
        Ok((define, create, verify)) => {
            let different: Vec<&str> = [
                // What a code looks like, define-auth-challenge need not know.
                (CODE_ALPHABET, create.format.alphabet != verify.format.alphabet),
                (CODE_LENGTH, create.format.length() != verify.format.length()),
                (CODE_VALIDITY_SECONDS, [define.validity, verify.validity] != [create.validity; 2]),
                (MAX_ATTEMPTS, [define.max_attempts, verify.max_attempts] != [create.max_attempts; 2]),
            ]
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect();
            let found = match different[..] {
                [] => "the functions agree about codes".to_owned(),
                _ => format!("the functions do not agree about {}", different.join(", ")),
            };
            let mend = "deploy all of them with the same settings";
            findings.that("settings", different.is_empty(), Status::Wrong, found, mend);
        }
    }
    let counting = [Trigger::CreateAuthChallenge, Trigger::VerifyAuthChallengeResponse].into_iter().chain(proofs);
    match counting.map(variables_of).collect::<Known<Vec<_>>>() {
        Err(why) => findings.not_checked("limits", &why),
        Ok(all) => {
            let tables: Vec<&str> = all.into_iter().map(|variables| text(variables, LIMITS_TABLE)).collect();
            match tables[..] {
                [first, ref others @ ..] if others.iter().any(|table| *table != first) => {
                    let found = format!("the functions have different {LIMITS_TABLE}");
                    findings.add("limits", Status::Wrong, found, "set the same table in all of them");
                }
                ["", ..] | [] => {
                    let mend = format!("set {LIMITS_TABLE}");
                    findings.add("limits", Status::Warning, "not counted across sign-ins", &mend);
                }
                // Who may not count says so in the functions' log alone.
                [table, ..] => {
                    findings.ok("limits", format!("to be counted in {table}; whether it is there is not looked at"))
                }
            }
        }
    }
}

/// A variable; what is not set is empty.
fn text<'a>(variables: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    variables.get(name).map_or("", String::as_str)
}

/// Whether the function that has a trigger is one of this project's: one that was named, or one without which there is no code.
fn is_ours(seen: &Snapshot, trigger: Trigger) -> bool {
    let is = lambda_config(&seen.pool);
    let is = trigger.function(&is);
    seen.expected.get(&trigger).map_or(trigger.is_required(), |should| is == Some(should.as_str()))
}

/// Why a function with these variables does not start in a region.
fn refused(trigger: Trigger, variables: &BTreeMap<String, String>, region: &str) -> Option<SettingsError> {
    let vars: Lookup<'_> = &|name| match name {
        // What Lambda adds.
        "AWS_REGION" => Some(region.to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("given".to_owned()),
        _ => variables.get(name).cloned(),
    };
    let of_trigger = || match trigger {
        Trigger::PreAuthentication => PreAuthenticationSettings::from_vars(vars).map(drop),
        Trigger::DefineAuthChallenge => DefineSettings::from_vars(vars).map(drop),
        Trigger::CreateAuthChallenge => {
            CreateSettings::from_vars(vars)?;
            MailSettings::from_vars(vars)?;
            SesSettings::from_vars(vars)?;
            AwsSettings::from_vars(vars)?;
            LimitsSettings::from_vars(vars).map(drop)
        }
        Trigger::VerifyAuthChallengeResponse => {
            VerifySettings::from_vars(vars)?;
            match LimitsSettings::from_vars(vars)?.table {
                Some(_) => AwsSettings::from_vars(vars).map(drop),
                None => Ok(()),
            }
        }
        Trigger::PreSignUp => PreSignUpSettings::from_vars(vars).map(drop),
        Trigger::PostAuthentication => {
            PostAuthenticationSettings::from_vars(vars)?;
            AwsSettings::from_vars(vars).map(drop)
        }
        Trigger::PreTokenGeneration => PreTokenGenerationSettings::from_vars(vars).map(drop),
    };
    LogSettings::from_vars(vars).and_then(|_| of_trigger()).err()
}

/// What the app client lets people do.
fn client(seen: &Snapshot, findings: &mut Findings) {
    let client = match &seen.client {
        None => return findings.not_checked("app client", "say which with --client-id"),
        Some(Err(why)) => return findings.not_checked("app client", why),
        Some(Ok(client)) => client,
    };
    let get = |name: &str| client.get(name).unwrap_or(&Value::Null);
    let list =
        |name: &str| -> Vec<&str> { get(name).as_array().into_iter().flatten().filter_map(Value::as_str).collect() };
    // What AWS takes a missing list for.
    let flows = match list("ExplicitAuthFlows") {
        flows if flows.is_empty() => vec!["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"],
        flows => flows,
    };
    let allows = |flow: &str| flows.iter().any(|allowed| allowed.strip_prefix("ALLOW_").unwrap_or(allowed) == flow);
    let is_custom = allows("CUSTOM_AUTH") || flows.contains(&"CUSTOM_AUTH_FLOW_ONLY");
    findings.that(
        "custom flow",
        is_custom,
        Status::Wrong,
        flows.join(", "),
        "add ALLOW_CUSTOM_AUTH to ExplicitAuthFlows",
    );
    let others: Vec<&str> =
        ["USER_PASSWORD_AUTH", "USER_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH", "USER_AUTH"]
            .into_iter()
            .filter(|flow| allows(flow))
            .collect();
    let found = match others[..] {
        [] => "none goes round the code".to_owned(),
        _ => format!("{} sign in without a code", others.join(", ")),
    };
    findings.that("other flows", others.is_empty(), Status::Wrong, found, "take them out of ExplicitAuthFlows");
    let has_pages =
        get("AllowedOAuthFlowsUserPoolClient") == true && list("SupportedIdentityProviders").contains(&"COGNITO");
    let found = if has_pages { "they sign in without a code" } else { "not used with this pool's passwords" };
    let mend = "take COGNITO out of SupportedIdentityProviders";
    findings.that("hosted pages", !has_pages, Status::Warning, found, mend);
    let renews = allows("REFRESH_TOKEN_AUTH")
        || get("RefreshTokenRotation")["Feature"] == "ENABLED"
        || flows.contains(&"CUSTOM_AUTH_FLOW_ONLY");
    let found = if renews { "refresh tokens renew the others" } else { "refresh tokens serve for nothing" };
    findings.that("renewal", renews, Status::Warning, found, "add ALLOW_REFRESH_TOKEN_AUTH to ExplicitAuthFlows");
    let prevent = get("PreventUserExistenceErrors").as_str().unwrap_or("LEGACY");
    let mend = "set PreventUserExistenceErrors to ENABLED: anybody can ask who has an account";
    findings.that("user existence", prevent == "ENABLED", Status::Wrong, prevent, mend);
    let revokes = get("EnableTokenRevocation") == true;
    let found = if revokes { "on" } else { "off" };
    findings.that("token revocation", revokes, Status::Warning, found, "set EnableTokenRevocation to true");

    match seen.functions.get(&Trigger::DefineAuthChallenge).map(Seen::variables) {
        None => findings.not_checked("admission", "there is no function that admits clients"),
        Some(Err(why)) => findings.not_checked("admission", &why),
        Some(Ok(variables)) => match AdmissionSettings::from_vars(&|name| variables.get(name).cloned()) {
            Err(error) => findings.not_checked("admission", &error.to_string()),
            Ok(settings) => match admit_request(&settings, get("ClientId").as_str().unwrap_or_default()) {
                Admission::Admit => findings.ok("admission", "this client may sign people in"),
                Admission::Refuse(Refusal::Maintenance) => {
                    findings.add(
                        "admission",
                        Status::Warning,
                        "maintenance: nobody signs in",
                        "set MAINTENANCE to false",
                    );
                }
                Admission::Refuse(_) => {
                    let found = "this client is not one that may sign people in";
                    findings.add("admission", Status::Wrong, found, "add it to ALLOWED_CLIENT_IDS");
                }
            },
        },
    }

    let session = get("AuthSessionValidity").as_u64().unwrap_or(3) * 60;
    match seen.functions.get(&Trigger::CreateAuthChallenge).map(Seen::variables) {
        None => findings.not_checked("session", "there is no function that makes codes"),
        Some(Err(why)) => findings.not_checked("session", &why),
        Some(Ok(variables)) => {
            let life = variables.get(CODE_VALIDITY_SECONDS).and_then(|text| text.trim().parse().ok()).unwrap_or(600);
            let found = format!("{session} s, and a code lives for {life} s");
            let mend = "set AuthSessionValidity to 15 minutes, or codes end with the session";
            findings.that("session", session > life, Status::Wrong, found, mend);
        }
    }
}

/// What the pool is like.
fn pool(seen: &Snapshot, findings: &mut Findings) {
    let get = |name: &str| seen.pool.get(name).unwrap_or(&Value::Null);
    let has_email = |names: &Value| names.as_array().is_some_and(|names| names.iter().any(|name| name == "email"));
    let verified = has_email(&get("UserAttributeUpdateSettings")["AttributesRequireVerificationBeforeUpdate"]);
    let found = if verified { "verified before they are used" } else { "used before they are verified" };
    // Cognito refuses the one without the other.
    let lists = match has_email(get("AutoVerifiedAttributes")) {
        true => "AttributesRequireVerificationBeforeUpdate",
        false => "AutoVerifiedAttributes and to AttributesRequireVerificationBeforeUpdate",
    };
    let mend = format!("add email to {lists}: whoever holds an access token can have codes sent elsewhere");
    findings.that("new addresses", verified, Status::Wrong, found, &mend);
    let is_blind = get("UsernameConfiguration")["CaseSensitive"] == false;
    let found = if is_blind { "capitals do not matter" } else { "capitals make another user" };
    findings.that("user names", is_blind, Status::Warning, found, "nothing can: it is chosen when a pool is made");

    let define = seen.functions.get(&Trigger::DefineAuthChallenge).and_then(|function| function.variables().ok());
    let password_first =
        define.is_some_and(|variables| variables.get(PASSWORD_FIRST).is_some_and(|word| word == "true"));
    match (get("MfaConfiguration").as_str().unwrap_or("OFF"), password_first) {
        ("OFF", _) => findings.ok("MFA", "off"),
        (mfa, false) => {
            let found = format!("{mfa}, but Cognito asks for no second factor after a custom challenge");
            findings.add("MFA", Status::Warning, found, "do not count on it, or set it to OFF");
        }
        (mfa, true) => {
            let found = format!("{mfa}: after the password Cognito may ask for its factor, and leave the code out");
            findings.add("MFA", Status::Warning, found, "set it to OFF, or try it with a user who has a factor");
        }
    }
    let tier = get("UserPoolTier").as_str().unwrap_or("not told");
    let version = events_version(&lambda_config(&seen.pool)).to_owned();
    let suits = tier != "LITE" || version == "V1_0";
    let found = match suits {
        true => format!("{tier}; custom challenges are in every plan"),
        false => format!("{tier}, in which there is no PreTokenGeneration {version}"),
    };
    findings.that("plan", suits, Status::Wrong, found, "choose ESSENTIALS, or events of version V1_0");
}

/// Whether mails are sent, and look as if they came from us.
fn ses(seen: &Snapshot, findings: &mut Findings) {
    let ses = match &seen.ses {
        Err(why) => return findings.not_checked("SES", why),
        Ok(ses) => ses,
    };
    match &ses.account {
        Err(why) => findings.not_checked("SES account", why),
        Ok(account) => {
            let is = |name: &str| account.get(name).is_some_and(|value| *value == true);
            let (found, mend) = match (is("SendingEnabled"), is("ProductionAccessEnabled")) {
                (false, _) => ("sending is stopped", "look into SES's account dashboard"),
                (true, false) => ("in the sandbox: only verified addresses get mail", "request production access"),
                (true, true) => ("out of the sandbox, sending", ""),
            };
            findings.that("SES account", mend.is_empty(), Status::Wrong, found, mend);
            let reasons: Vec<&str> = account
                .get("SuppressionAttributes")
                .and_then(|attributes| attributes["SuppressedReasons"].as_array())
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let found = match reasons[..] {
                [] => "off: mails go to addresses that have bounced".to_owned(),
                _ => format!("{}: such an address gets no code until it is taken from the list", reasons.join(", ")),
            };
            findings.that(
                "SES suppression",
                !reasons.is_empty(),
                Status::Warning,
                found,
                "turn on BOUNCE and COMPLAINT",
            );
        }
    }
    match &ses.identity {
        Err(why) => findings.not_checked("SES identity", why),
        Ok(None) => {
            let found = format!("neither {} nor its domain is one", ses.from);
            findings.add(
                "SES identity",
                Status::Wrong,
                found,
                "verify the domain in SES, in the region that mails go out from",
            );
        }
        Ok(Some((name, identity))) => {
            let is_verified = identity.get("VerifiedForSendingStatus").is_some_and(|value| *value == true);
            let found = format!("{name}, {}", if is_verified { "verified" } else { "not verified" });
            findings.that("SES identity", is_verified, Status::Wrong, found, "publish the records that SES asks for");
            let part =
                |name: &str, member: &str| identity.get(name).map(|part| part[member].clone()).unwrap_or_default();
            let signs =
                part("DkimAttributes", "SigningEnabled") == true && part("DkimAttributes", "Status") == "SUCCESS";
            let found = if signs { "mails are signed" } else { "mails are not signed" };
            findings.that("DKIM", signs, Status::Warning, found, "turn on Easy DKIM and publish its records");
            let domain = part("MailFromAttributes", "MailFromDomain");
            let is_ours = part("MailFromAttributes", "MailFromDomainStatus") == "SUCCESS";
            let found =
                domain.as_str().filter(|_| is_ours).unwrap_or("amazonses.com: SPF says nothing about your domain");
            findings.that("MAIL FROM", is_ours, Status::Warning, found, "set a custom MAIL FROM domain");
            let domain = name.rsplit('@').next().unwrap_or_default();
            findings.add(
                "DMARC",
                Status::NotChecked,
                "it is in the DNS",
                &format!("look at it: dig TXT _dmarc.{domain}"),
            );
        }
    }
    match &ses.configuration_set {
        None => match &ses.identity {
            // Which may have one.
            Err(why) => findings.not_checked("configuration set", why),
            Ok(_) => findings.ok("configuration set", "none"),
        },
        Some(ConfigurationSet { name, is_of_identity, described }) => match described {
            Err(why) => findings.not_checked(format!("configuration set {name}"), why),
            Ok(None) => {
                let mend = match is_of_identity {
                    true => "make it, or take it from the identity: no mail is sent",
                    false => "make it, or take it out of SES_CONFIGURATION_SET: no mail is sent",
                };
                findings.add("configuration set", Status::Wrong, format!("there is no {name}"), mend);
            }
            Ok(Some(set)) if set.get("SendingOptions").is_some_and(|options| options["SendingEnabled"] == false) => {
                let found = format!("{name}, sending is stopped");
                findings.add("configuration set", Status::Wrong, found, "turn its sending on");
            }
            Ok(Some(_)) if *is_of_identity => {
                let found =
                    format!("{name} of the identity, which SES lets only those send with whose policy names it");
                let mend = "set SES_CONFIGURATION_SET to it, and allow create-auth-challenge ses:SendEmail on it";
                findings.add("configuration set", Status::Warning, found, mend);
            }
            Ok(Some(_)) => findings.ok("configuration set", format!("{name}, sending")),
        },
    }
}

/// Whether it is as late here as there.
fn clock(seen: &Snapshot, findings: &mut Findings) {
    match seen.ahead {
        Err(ref why) => findings.not_checked("clock", why),
        Ok(ahead) => {
            let found = match ahead {
                0 => "as late as at AWS".to_owned(),
                1.. => format!("{ahead} s ahead of AWS"),
                _ => format!("{} s behind AWS", -ahead),
            };
            let mend = "set this machine's clock: AWS refuses signatures that are 5 minutes off";
            findings.that("clock", ahead.abs() <= 60, Status::Warning, found, mend);
        }
    }
}
