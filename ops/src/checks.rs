//! What `doctor` thinks of what it has seen. No input, no output: what could not be seen is a value too.

use std::collections::BTreeMap;

use auth_challenge::settings::{
    CODE_ALPHABET, CODE_KEY, CODE_KEY_PREVIOUS, CODE_LENGTH, CODE_VALIDITY_SECONDS, EXAMPLE_CODE_KEY, LIMITS_TABLE,
    MAX_ATTEMPTS, PASSWORD_FIRST,
};
use serde::Serialize;
use serde_json::Value;

use crate::account::FunctionFacts;
use crate::permission::{Grant, grant};
use crate::settings::Members;
use crate::triggers::{Functions, Trigger, lambda_config};

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
    /// What Lambda tells of it.
    pub facts: Known<FunctionFacts>,
    /// Its resource policy.
    pub policy: Known<Value>,
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
    /// The configuration set and `GetConfigurationSet` of it, if there has to be one.
    pub configuration_set: Option<(String, Known<Option<Members>>)>,
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
        match function.policy.as_ref().map(|policy| grant(policy, arn)) {
            Err(why) => findings.not_checked(check, why),
            Ok(Grant::ByArnAndAccount) => findings.ok(check, "this pool of this account may invoke it"),
            Ok(Grant::ByArn) => {
                findings.add(check, Status::Warning, "this pool may invoke it, without SourceAccount", mend);
            }
            Ok(Grant::Any) => {
                let mend = "custom-auth attach, then take the wider permission away";
                findings.add(check, Status::Wrong, "pools of anybody's may invoke it", mend);
            }
            Ok(Grant::None) => findings.add(check, Status::Wrong, "Cognito may not invoke it for this pool", mend),
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

/// Whether the functions can run, and agree with each other.
fn functions(seen: &Snapshot, findings: &mut Findings) {
    for (trigger, function) in &seen.functions {
        let check = format!("function {}", trigger.name());
        match &function.facts {
            Err(why) => findings.not_checked(check, why),
            Ok(facts) if !["Active", ""].contains(&facts.state.as_str()) => {
                findings.add(check, Status::Wrong, format!("its state is {}", facts.state), "deploy it again, or wait");
            }
            Ok(facts) if facts.last_update == "Failed" => {
                findings.add(check, Status::Wrong, "its last update failed", "deploy it again");
            }
            Ok(FunctionFacts { timeout: 0, .. }) => findings.not_checked(check, "Lambda tells no time-out"),
            Ok(FunctionFacts { timeout: 5, .. }) => findings.ok(check, "active, time-out 5 s"),
            Ok(FunctionFacts { timeout, .. }) => {
                let found = format!("time-out {timeout} s, and Cognito waits 5 s before it calls again");
                findings.add(check, Status::Warning, found, "set its time-out to 5 s");
            }
        }
    }
    let variable = |trigger: Trigger, name: &str| -> Known<String> {
        let function = seen.functions.get(&trigger).ok_or("not all functions are attached")?;
        let facts = function.facts.as_ref().map_err(String::clone)?;
        Ok(facts.variables.get(name).cloned().unwrap_or_default())
    };
    // The three that have to know what a code is.
    let of_all = |name: &str| -> Known<[String; 3]> {
        Ok([
            variable(Trigger::DefineAuthChallenge, name)?,
            variable(Trigger::CreateAuthChallenge, name)?,
            variable(Trigger::VerifyAuthChallengeResponse, name)?,
        ])
    };
    let same = |values: &[String; 3]| values.iter().all(|value| *value == values[0]);
    match of_all(CODE_KEY).and_then(|keys| Ok((keys, of_all(CODE_KEY_PREVIOUS)?))) {
        Err(why) => findings.not_checked("key", &why),
        Ok((keys, _)) if keys.iter().any(String::is_empty) => {
            let found = format!("define-, create- and verify-auth-challenge do not all have {CODE_KEY}");
            findings.add("key", Status::Wrong, found, "set it to the same secret in all three");
        }
        Ok((keys, _)) if keys.iter().any(|key| key == EXAMPLE_CODE_KEY) => {
            findings.add(
                "key",
                Status::Wrong,
                "it is the one of the examples, which everybody knows",
                "set a secret one",
            );
        }
        // While it is being changed each knows the other's.
        Ok((keys, previous)) if !same(&keys) && previous.iter().any(String::is_empty) => {
            let found = "the functions have different keys: no code is ever right";
            findings.add("key", Status::Wrong, found, "deploy all of them with the same one");
        }
        Ok(_) => findings.ok("key", "there, and the same in all functions"),
    }
    let names = [CODE_ALPHABET, CODE_LENGTH, CODE_VALIDITY_SECONDS, MAX_ATTEMPTS];
    match names.into_iter().map(|name| Ok((name, of_all(name)?))).collect::<Known<Vec<_>>>() {
        Err(why) => findings.not_checked("settings", &why),
        Ok(settings) => {
            let different: Vec<&str> =
                settings.iter().filter(|(_, values)| !same(values)).map(|(name, _)| *name).collect();
            let found = match different[..] {
                [] => "the functions agree about codes".to_owned(),
                _ => format!("the functions do not agree about {}", different.join(", ")),
            };
            findings.that(
                "settings",
                different.is_empty(),
                Status::Wrong,
                found,
                "deploy all of them with the same settings",
            );
        }
    }
    let tables = [Trigger::CreateAuthChallenge, Trigger::VerifyAuthChallengeResponse]
        .map(|trigger| variable(trigger, LIMITS_TABLE));
    match tables {
        [Err(why), _] | [_, Err(why)] => findings.not_checked("limits", &why),
        [Ok(create), Ok(verify)] if create != verify => {
            let found = format!("create- and verify-auth-challenge have different {LIMITS_TABLE}");
            findings.add("limits", Status::Wrong, found, "set the same table in both");
        }
        [Ok(table), Ok(_)] => {
            let found =
                if table.is_empty() { "not counted across sign-ins".to_owned() } else { format!("counted in {table}") };
            findings.that("limits", !table.is_empty(), Status::Warning, found, &format!("set {LIMITS_TABLE}"));
        }
    }
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

    let session = get("AuthSessionValidity").as_u64().unwrap_or(3) * 60;
    let create = seen.functions.get(&Trigger::CreateAuthChallenge).map(|function| &function.facts);
    match create {
        None => findings.not_checked("session", "there is no function that makes codes"),
        Some(Err(why)) => findings.not_checked("session", why),
        Some(Ok(facts)) => {
            let life =
                facts.variables.get(CODE_VALIDITY_SECONDS).and_then(|text| text.trim().parse().ok()).unwrap_or(600);
            let found = format!("{session} s, and a code lives for {life} s");
            let mend = "set AuthSessionValidity to 15 minutes, or codes end with the session";
            findings.that("session", session > life, Status::Wrong, found, mend);
        }
    }
}

/// What the pool is like.
fn pool(seen: &Snapshot, findings: &mut Findings) {
    let get = |name: &str| seen.pool.get(name).unwrap_or(&Value::Null);
    let verified = get("UserAttributeUpdateSettings")["AttributesRequireVerificationBeforeUpdate"]
        .as_array()
        .is_some_and(|names| names.iter().any(|name| name == "email"));
    let found = if verified { "verified before they are used" } else { "used before they are verified" };
    let mend = "add email to AttributesRequireVerificationBeforeUpdate: whoever holds an access token can have codes sent elsewhere";
    findings.that("new addresses", verified, Status::Wrong, found, mend);
    let is_blind = get("UsernameConfiguration")["CaseSensitive"] == false;
    let found = if is_blind { "capitals do not matter" } else { "capitals make another user" };
    findings.that("user names", is_blind, Status::Warning, found, "nothing can: it is chosen when a pool is made");

    let define = seen.functions.get(&Trigger::DefineAuthChallenge).and_then(|function| function.facts.as_ref().ok());
    let password_first =
        define.is_some_and(|facts| facts.variables.get(PASSWORD_FIRST).is_some_and(|word| word == "true"));
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
    let version =
        lambda_config(&seen.pool)["PreTokenGenerationConfig"]["LambdaVersion"].as_str().unwrap_or("V1_0").to_owned();
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
        None => findings.ok("configuration set", "none"),
        Some((name, Err(why))) => findings.not_checked(format!("configuration set {name}"), why),
        Some((name, Ok(None))) => {
            let mend = "make it, or take it out of SES_CONFIGURATION_SET: no mail is sent";
            findings.add("configuration set", Status::Wrong, format!("there is no {name}"), mend);
        }
        Some((name, Ok(Some(set)))) => {
            let is_on = set.get("SendingOptions").is_none_or(|options| options["SendingEnabled"] != false);
            let found = format!("{name}, {}", if is_on { "sending" } else { "sending is stopped" });
            findings.that("configuration set", is_on, Status::Wrong, found, "turn its sending on");
        }
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
