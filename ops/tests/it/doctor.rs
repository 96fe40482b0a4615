//! `doctor`: a table of what it finds, and what it does when there is something that it may not see.

use custom_auth_ops::account::FunctionFacts;
use custom_auth_ops::checks::{self, ConfigurationSet, Finding, Known, Seen, Ses, Snapshot, Status};
use custom_auth_ops::settings::Members;
use custom_auth_ops::triggers::Trigger::{
    CreateAuthChallenge as Create, DefineAuthChallenge as Define, VerifyAuthChallengeResponse as Verify,
};
use custom_auth_ops::triggers::{Arn, Trigger};
use serde_json::{Value, json};

use crate::attach::arn;
use crate::running::{Fate, account};

const POOL: &str = "arn:aws:cognito-idp:eu-west-1:000000000000:userpool/eu-west-1_LocalPool";

fn members(value: Value) -> Members {
    value.as_object().unwrap().clone()
}

/// A pool in which nothing is wrong.
fn good() -> Snapshot {
    let variables = json!({
        "CODE_KEY": "a-secret-key-of-32-characters-or-more", "LIMITS_TABLE": "limits", "CODE_VALIDITY_SECONDS": "600",
        "SES_FROM_ADDRESS": "sign-in@example.com",
    });
    let facts = FunctionFacts {
        state: "Active".to_owned(),
        last_update: "Successful".to_owned(),
        timeout: 5,
        variables: Ok(serde_json::from_value(variables).unwrap()),
    };
    let policy = json!({"Statement": {
        "Effect": "Allow", "Principal": {"Service": "cognito-idp.amazonaws.com"}, "Action": "lambda:InvokeFunction",
        "Condition": {"ArnLike": {"AWS:SourceArn": POOL}, "StringEquals": {"AWS:SourceAccount": "000000000000"}},
    }});
    let ours = &Trigger::ALL[..4];
    let config: Members = ours.iter().map(|trigger| (trigger.name().to_owned(), json!(arn(trigger.name())))).collect();
    Snapshot {
        pool: members(json!({
            "Arn": POOL, "LambdaConfig": config, "MfaConfiguration": "OFF", "UserPoolTier": "LITE",
            "AutoVerifiedAttributes": ["email"],
            "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
            "UsernameConfiguration": {"CaseSensitive": false},
        })),
        client: Some(Ok(members(json!({
            "ClientId": "1example", "AuthSessionValidity": 15, "EnableTokenRevocation": true, "PreventUserExistenceErrors": "ENABLED",
            "ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        })))),
        expected: ours.iter().map(|trigger| (*trigger, Arn::parse(&arn(trigger.name())).unwrap())).collect(),
        functions: ours
            .iter()
            .map(|trigger| (*trigger, Seen { facts: Ok(Some(facts.clone())), policy: Ok(policy.clone()) }))
            .collect(),
        ses: Ok(Ses {
            from: "sign-in@example.com".to_owned(),
            account: Ok(members(json!({
                "ProductionAccessEnabled": true, "SendingEnabled": true,
                "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE"]},
            }))),
            identity: Ok(Some((
                "example.com".to_owned(),
                members(json!({
                    "VerifiedForSendingStatus": true, "DkimAttributes": {"SigningEnabled": true, "Status": "SUCCESS"},
                    "MailFromAttributes": {"MailFromDomain": "mail.example.com", "MailFromDomainStatus": "SUCCESS"},
                })),
            ))),
            configuration_set: Some(configuration_set(Ok(Some(members(
                json!({"SendingOptions": {"SendingEnabled": true}}),
            ))))),
        }),
        ahead: Ok(0),
    }
}

fn configuration_set(described: Known<Option<Members>>) -> ConfigurationSet {
    ConfigurationSet { name: "set".to_owned(), is_of_identity: false, described }
}

fn others(findings: Vec<Finding>) -> Vec<String> {
    let not_ok = findings.into_iter().filter(|finding| finding.status != Status::Ok);
    not_ok.map(|finding| format!("{}: {}: {}", finding.status.name(), finding.check, finding.found)).collect()
}

const DMARC: &str = "not checked: DMARC: it is in the DNS";

#[test]
fn r46_where_all_is_well_only_the_dns_is_left_to_look_at() {
    assert_eq!(others(checks::check(&good())), [DMARC]);
    let told = |finding: Finding| format!("{}: {}", finding.check, finding.found);
    let found: Vec<String> = checks::check(&good()).into_iter().map(told).collect();
    let of_trigger = |trigger: &str| {
        let permission = format!("permission {trigger}: this pool of this account may invoke it");
        [format!("trigger {trigger}: {}", arn(trigger)), permission]
    };
    let ours = &Trigger::ALL[..4];
    let mut expected: Vec<String> = ours.iter().flat_map(|trigger| of_trigger(trigger.name())).collect();
    expected.push("other triggers: none".to_owned());
    expected.extend(ours.iter().map(|trigger| format!("function {}: active, time-out 5 s", trigger.name())));
    expected.extend(ours.iter().map(|trigger| format!("settings {}: can be used", trigger.name())));
    let others = [
        "key: there, and known to all functions",
        "settings: the functions agree about codes",
        "limits: to be counted in limits; whether it is there is not looked at",
        "custom flow: ALLOW_CUSTOM_AUTH, ALLOW_REFRESH_TOKEN_AUTH",
        "other flows: none goes round the code",
        "hosted pages: not used with this pool's passwords",
        "renewal: refresh tokens renew the others",
        "user existence: ENABLED",
        "token revocation: on",
        "admission: this client may sign people in",
        "session: 900 s, and a code lives for 600 s",
        "new addresses: verified before they are used",
        "user names: capitals do not matter",
        "MFA: off",
        "plan: LITE; custom challenges are in every plan",
        "SES account: out of the sandbox, sending",
        "SES suppression: BOUNCE: such an address gets no code until it is taken from the list",
        "SES identity: example.com, verified",
        "DKIM: mails are signed",
        "MAIL FROM: mail.example.com",
        "DMARC: it is in the DNS",
        "configuration set: set, sending",
        "clock: as late as at AWS",
    ];
    expected.extend(others.map(str::to_owned));
    assert_eq!(found, expected);
}

/// What is said of a snapshot in which one thing is changed.
fn check(change: &dyn Fn(&mut Snapshot), expected: &[&str]) {
    let mut seen = good();
    change(&mut seen);
    let findings = checks::check(&seen);
    for finding in &findings {
        let has_mend = finding.mend.is_some();
        assert!(has_mend || [Status::Ok, Status::NotChecked].contains(&finding.status), "{finding:?}");
    }
    let mut found = others(findings);
    found.retain(|line| line != DMARC);
    assert_eq!(found, expected);
}

fn in_pool(path: &'static str, value: Value) -> impl Fn(&mut Snapshot) {
    move |seen: &mut Snapshot| {
        let mut parents: Vec<&str> = path.split('.').collect();
        let last = parents.pop().unwrap();
        let mut pool = Value::Object(seen.pool.clone());
        let mut at = &mut pool;
        for part in parents {
            at = &mut at[part];
        }
        at[last] = value.clone();
        seen.pool = members(pool);
    }
}

fn in_client(name: &'static str, value: Value) -> impl Fn(&mut Snapshot) {
    move |seen: &mut Snapshot| {
        let Some(Ok(client)) = &mut seen.client else { panic!() };
        client.insert(name.to_owned(), value.clone());
    }
}

fn facts(seen: &mut Snapshot, trigger: Trigger) -> &mut FunctionFacts {
    seen.functions.get_mut(&trigger).unwrap().facts.as_mut().unwrap().as_mut().unwrap()
}

fn variable(trigger: Trigger, name: &'static str, value: &'static str) -> impl Fn(&mut Snapshot) {
    move |seen: &mut Snapshot| {
        _ = facts(seen, trigger).variables.as_mut().unwrap().insert(name.to_owned(), value.to_owned())
    }
}

fn ses(seen: &mut Snapshot) -> &mut Ses {
    seen.ses.as_mut().unwrap()
}

#[test]
fn r48_t33_t40_each_mistake_in_triggers_and_permissions_is_found() {
    let policy = |condition: Value| {
        move |seen: &mut Snapshot| {
            let policy = seen.functions.get_mut(&Define).unwrap().policy.as_mut().unwrap();
            policy["Statement"]["Condition"] = condition.clone();
        }
    };
    let none = format!("wrong: trigger DefineAuthChallenge: nothing, not {}", arn("DefineAuthChallenge"));
    check(&in_pool("LambdaConfig.DefineAuthChallenge", Value::Null), &[&none]);
    let other = format!("wrong: trigger DefineAuthChallenge: {}, not {}", arn("x"), arn("DefineAuthChallenge"));
    check(&in_pool("LambdaConfig.DefineAuthChallenge", json!(arn("x"))), &[&other]);
    let unexpected = |seen: &mut Snapshot| {
        seen.expected.clear();
        in_pool("LambdaConfig.PreAuthentication", Value::Null)(seen);
        in_pool("LambdaConfig.CreateAuthChallenge", Value::Null)(seen);
    };
    check(&unexpected, &["warning: trigger PreAuthentication: nothing", "wrong: trigger CreateAuthChallenge: nothing"]);
    check(
        &in_pool("LambdaConfig.UserMigration", json!(arn("x"))),
        &["warning: other triggers: UserMigration: UserMigration takes passwords"],
    );
    check(&in_pool("LambdaConfig.CustomMessage", json!(arn("x"))), &[]);
    // T33: whoever verifies addresses there can have codes sent to an account that somebody else has prepared.
    let verifies = format!("warning: trigger PreSignUp: {}, which can verify addresses", arn("x"));
    check(&in_pool("LambdaConfig.PreSignUp", json!(arn("x"))), &[&verifies]);
    check(&in_pool("LambdaConfig.PostAuthentication", json!(arn("x"))), &[]);
    let permission = "permission DefineAuthChallenge";
    check(
        &policy(json!({"ArnLike": {"AWS:SourceArn": format!("{POOL}x")}})),
        &[&format!("wrong: {permission}: Cognito may not invoke it for this pool")],
    );
    check(&policy(json!({})), &[&format!("wrong: {permission}: pools of anybody's may invoke it")]);
    check(
        &policy(json!({"ArnLike": {"AWS:SourceArn": POOL}})),
        &[&format!("warning: {permission}: this pool may invoke it, without SourceAccount")],
    );
    let of_account = json!({"StringEquals": {"AWS:SourceAccount": "000000000000"}});
    check(&policy(of_account), &[&format!("warning: {permission}: any pool of this account may invoke it")]);
    // A narrow statement beside it makes a wide one no narrower.
    let both = |seen: &mut Snapshot| {
        let policy = seen.functions.get_mut(&Define).unwrap().policy.as_mut().unwrap();
        let mut wide = policy["Statement"].clone();
        wide["Condition"] = Value::Null;
        policy["Statement"] = json!([wide, policy["Statement"]]);
    };
    check(&both, &[&format!("wrong: {permission}: pools of anybody's may invoke it")]);
    check(
        &|seen| seen.functions.get_mut(&Define).unwrap().policy = Err("GetPolicy: AccessDenied".to_owned()),
        &[&format!("not checked: {permission}: GetPolicy: AccessDenied")],
    );
}

#[test]
fn r50_f52_each_mistake_in_functions_and_their_settings_is_found() {
    check(
        &|seen| facts(seen, Define).state = "Failed".to_owned(),
        &["wrong: function DefineAuthChallenge: its state is Failed"],
    );
    check(
        &|seen| facts(seen, Define).last_update = "Failed".to_owned(),
        &["wrong: function DefineAuthChallenge: its last update failed"],
    );
    check(
        &|seen| facts(seen, Define).timeout = 30,
        &["warning: function DefineAuthChallenge: time-out 30 s, and Cognito waits 5 s before it calls again"],
    );
    let unseen = |seen: &mut Snapshot| seen.functions.get_mut(&Verify).unwrap().facts = Err("no".to_owned());
    let of_variables = ["settings VerifyAuthChallengeResponse", "key", "settings", "limits"];
    let not_checked =
        |names: &[&str], why: &str| names.iter().map(|name| format!("not checked: {name}: {why}")).collect();
    let expected: Vec<String> =
        not_checked(&[&["function VerifyAuthChallengeResponse"], &of_variables[..]].concat(), "no");
    check(&unseen, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    // Who may not decrypt the environment is not told that it is empty.
    let encrypted = |seen: &mut Snapshot| facts(seen, Verify).variables = Err("no".to_owned());
    let expected: Vec<String> = not_checked(&of_variables, "no");
    check(&encrypted, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    let gone = |seen: &mut Snapshot| seen.functions.get_mut(&Verify).unwrap().facts = Ok(None);
    let mut expected: Vec<String> = not_checked(&of_variables, "there is no such function");
    expected.insert(0, "wrong: function VerifyAuthChallengeResponse: there is no such function".to_owned());
    check(&gone, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn r50_f52_settings_with_which_nobody_signs_in_are_found() {
    let of_all = |name: &'static str, value: &'static str| {
        move |seen: &mut Snapshot| {
            [Define, Create, Verify].iter().for_each(|trigger| variable(*trigger, name, value)(seen))
        }
    };
    let different = "wrong: key: the functions have different keys: no code is ever right";
    let key = "CODE_KEY must be a secret of 32 to 256 printable ASCII characters without spaces";
    let refused = |trigger: &str, why: &str| format!("wrong: settings {trigger}: the function does not start: {why}");
    let verify = "VerifyAuthChallengeResponse";
    let not_compared = format!("not checked: settings: {key}");
    let missing = "wrong: key: not all functions have CODE_KEY";
    check(&variable(Verify, "CODE_KEY", ""), &[&refused(verify, key), missing, &not_compared]);
    check(&variable(Verify, "CODE_KEY", "another-secret-key-of-32-characters"), &[different]);
    // While it is being changed each has to know the others'.
    let (old, new, third) = (
        "a-secret-key-of-32-characters-or-more",
        "a-new-secret-key-of-32-characters",
        "a-third-secret-key-of-32-characters",
    );
    let changing = |define: [&'static str; 2], others: [&'static str; 2]| {
        move |seen: &mut Snapshot| {
            for (trigger, [key, previous]) in [(Define, define), (Create, others), (Verify, others)] {
                variable(trigger, "CODE_KEY", key)(seen);
                variable(trigger, "CODE_KEY_PREVIOUS", previous)(seen);
            }
        }
    };
    check(&changing([old, new], [new, old]), &[]);
    check(&changing([old, ""], [new, old]), &[different]);
    // Codes are made with create-auth-challenge's, whatever those have that follow it.
    let create_last = |seen: &mut Snapshot| {
        changing([new, old], [new, old])(seen);
        variable(Create, "CODE_KEY", old)(seen);
        variable(Create, "CODE_KEY_PREVIOUS", "")(seen);
    };
    check(&create_last, &[]);
    check(&changing([new, old], [third, old]), &[different]);
    for (name, value, why) in [
        ("CODE_KEY", "short", key),
        (
            "CODE_KEY",
            "example-key-of-the-event-fixtures-never-deploy-it",
            "CODE_KEY must be a secret of your own: this one is published with the event fixtures",
        ),
        ("MAX_ATTEMPTS", "9", "MAX_ATTEMPTS must be a whole number from 1 to 5"),
    ] {
        let mut expected: Vec<String> =
            ["DefineAuthChallenge", "CreateAuthChallenge", verify].map(|trigger| refused(trigger, why)).into();
        expected.push(format!("not checked: settings: {why}"));
        check(&of_all(name, value), &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    check(
        &variable(Create, "SES_FROM_ADDRESS", "x"),
        &[&refused(
            "CreateAuthChallenge",
            "SES_FROM_ADDRESS must be an e-mail address that SES may send from, or a name and one: Acme <sign-in@example.com>",
        )],
    );
    check(&variable(Define, "MAX_ATTEMPTS", "5"), &["wrong: settings: the functions do not agree about MAX_ATTEMPTS"]);
    check(&variable(Verify, "CODE_LENGTH", "9"), &["wrong: settings: the functions do not agree about CODE_LENGTH"]);
    check(
        &variable(Verify, "CODE_ALPHABET", "letters"),
        &["wrong: settings: the functions do not agree about CODE_ALPHABET, CODE_LENGTH"],
    );
    check(
        &variable(Verify, "CODE_VALIDITY_SECONDS", "300"),
        &["wrong: settings: the functions do not agree about CODE_VALIDITY_SECONDS"],
    );
    // It need not know what codes look like, which depends on whether there is a table.
    check(&variable(Define, "LIMITS_TABLE", ""), &[]);
    // What is not set is what it is set to by default.
    for (name, value) in [("MAX_ATTEMPTS", "3"), ("CODE_LENGTH", "8"), ("CODE_ALPHABET", "digits")] {
        check(&variable(Define, name, value), &[]);
    }
    check(&variable(Verify, "LIMITS_TABLE", "others"), &["wrong: limits: the functions have different LIMITS_TABLE"]);
    let long_codes = |seen: &mut Snapshot| {
        of_all("LIMITS_TABLE", "")(seen);
    };
    check(&long_codes, &["warning: limits: not counted across sign-ins"]);
    let short_codes = |seen: &mut Snapshot| {
        of_all("LIMITS_TABLE", "")(seen);
        of_all("CODE_ALPHABET", "digits")(seen);
    };
    let mut seen = good();
    short_codes(&mut seen);
    let found = others(checks::check(&seen));
    assert!(
        found.iter().any(|line| line.starts_with("wrong: settings CreateAuthChallenge: the function does not start: ")),
        "{found:?}"
    );
    check(
        &variable(Define, "ALLOWED_CLIENT_IDS", "another"),
        &["wrong: admission: this client is not one that may sign people in"],
    );
    check(&variable(Define, "ALLOWED_CLIENT_IDS", "another, 1example"), &[]);
    check(&variable(Define, "MAINTENANCE", "true"), &["warning: admission: maintenance: nobody signs in"]);
    // As in the region that they are in, and with what else Lambda tells them.
    let url = "AWS_ENDPOINT_URL_DYNAMODB must be an http or https URL";
    check(&variable(Verify, "AWS_ENDPOINT_URL_DYNAMODB", "x"), &[&refused(verify, url)]);
    let elsewhere = "arn:aws:ses:us-east-1:000000000000:identity/example.com";
    let mut seen = good();
    variable(Create, "SES_IDENTITY_ARN", elsewhere)(&mut seen);
    let found = others(checks::check(&seen));
    assert!(found[0].starts_with(&refused("CreateAuthChallenge", "SES_IDENTITY_ARN must be ")), "{found:?}");
    // Functions of others have settings of their own, unless they are named as ours.
    let post = |is_named: bool| {
        move |seen: &mut Snapshot| {
            in_pool("LambdaConfig.PostAuthentication", json!(arn("PostAuthentication")))(seen);
            let mut function = seen.functions[&Verify].clone();
            function.facts.as_mut().unwrap().as_mut().unwrap().variables = Ok(Default::default());
            seen.functions.insert(Trigger::PostAuthentication, function);
            if is_named {
                seen.expected.insert(Trigger::PostAuthentication, Arn::parse(&arn("PostAuthentication")).unwrap());
            }
        }
    };
    check(&post(false), &[]);
    check(
        &post(true),
        &[
            &refused("PostAuthentication", key),
            "wrong: key: post-authentication has another key: no address is verified",
            "wrong: limits: the functions have different LIMITS_TABLE",
        ],
    );
}

#[test]
fn r06_r56_t30_t32_each_mistake_in_the_app_client_is_found() {
    check(&|seen| seen.client = None, &["not checked: app client: say which with --client-id"]);
    check(&|seen| seen.client = Some(Err("no".to_owned())), &["not checked: app client: no"]);
    check(
        &in_client("ExplicitAuthFlows", json!(["ALLOW_REFRESH_TOKEN_AUTH"])),
        &["wrong: custom flow: ALLOW_REFRESH_TOKEN_AUTH"],
    );
    check(&in_client("ExplicitAuthFlows", json!([])), &["wrong: other flows: USER_SRP_AUTH sign in without a code"]);
    check(&in_client("ExplicitAuthFlows", json!(["CUSTOM_AUTH_FLOW_ONLY"])), &[]);
    check(
        &in_client("ExplicitAuthFlows", json!(["ALLOW_CUSTOM_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_AUTH"])),
        &[
            "wrong: other flows: USER_PASSWORD_AUTH, USER_AUTH sign in without a code",
            "warning: renewal: refresh tokens serve for nothing",
        ],
    );
    let pages = |seen: &mut Snapshot| {
        in_client("AllowedOAuthFlowsUserPoolClient", json!(true))(seen);
        in_client("SupportedIdentityProviders", json!(["COGNITO"]))(seen);
    };
    check(&pages, &["warning: hosted pages: they sign in without a code"]);
    check(&in_client("AllowedOAuthFlowsUserPoolClient", json!(true)), &[]);
    check(&in_client("SupportedIdentityProviders", json!(["COGNITO"])), &[]);
    let rotating = |seen: &mut Snapshot| {
        in_client("ExplicitAuthFlows", json!(["ALLOW_CUSTOM_AUTH"]))(seen);
        in_client("RefreshTokenRotation", json!({"Feature": "ENABLED"}))(seen);
    };
    check(&rotating, &[]);
    check(&in_client("PreventUserExistenceErrors", json!("LEGACY")), &["wrong: user existence: LEGACY"]);
    check(&in_client("PreventUserExistenceErrors", Value::Null), &["wrong: user existence: LEGACY"]);
    check(&in_client("EnableTokenRevocation", json!(false)), &["warning: token revocation: off"]);
    check(&in_client("AuthSessionValidity", json!(10)), &["wrong: session: 600 s, and a code lives for 600 s"]);
    check(&in_client("AuthSessionValidity", Value::Null), &["wrong: session: 180 s, and a code lives for 600 s"]);
}

#[test]
fn r56_t31_t52_each_mistake_in_the_pool_is_found() {
    check(
        &in_pool("UserAttributeUpdateSettings.AttributesRequireVerificationBeforeUpdate", json!(["phone_number"])),
        &["wrong: new addresses: used before they are verified"],
    );
    check(&in_pool("UsernameConfiguration", Value::Null), &["warning: user names: capitals make another user"]);
    check(
        &in_pool("MfaConfiguration", json!("OPTIONAL")),
        &["warning: MFA: OPTIONAL, but Cognito asks for no second factor after a custom challenge"],
    );
    let both = |seen: &mut Snapshot| {
        in_pool("MfaConfiguration", json!("ON"))(seen);
        variable(Define, "PASSWORD_FIRST", "true")(seen);
    };
    check(&both, &["warning: MFA: ON: after the password Cognito may ask for its factor, and leave the code out"]);
    check(
        &in_pool("LambdaConfig.PreTokenGenerationConfig", json!({"LambdaArn": arn("x"), "LambdaVersion": "V2_0"})),
        &["wrong: plan: LITE, in which there is no PreTokenGeneration V2_0"],
    );
}

/// Cognito takes the second list only with what the first has.
#[test]
fn t31_who_is_to_let_new_addresses_wait_is_told_of_both_lists() {
    let why = "whoever holds an access token can have codes sent elsewhere";
    for (verified, lists) in [
        (json!(["phone_number", "email"]), "AttributesRequireVerificationBeforeUpdate"),
        (json!(["phone_number"]), "AutoVerifiedAttributes and to AttributesRequireVerificationBeforeUpdate"),
        (Value::Null, "AutoVerifiedAttributes and to AttributesRequireVerificationBeforeUpdate"),
    ] {
        let mut seen = good();
        in_pool("UserAttributeUpdateSettings", Value::Null)(&mut seen);
        in_pool("AutoVerifiedAttributes", verified)(&mut seen);
        let findings = checks::check(&seen);
        let finding = findings.iter().find(|finding| finding.check == "new addresses").unwrap();
        assert_eq!(finding.mend.as_deref(), Some(&*format!("add email to {lists}: {why}")));
    }
}

#[test]
fn r46_t49_t50_f03_to_f06_each_mistake_in_ses_is_found() {
    check(&|seen| seen.ses = Err("no".to_owned()), &["not checked: SES: no"]);
    check(&|seen| ses(seen).account = Err("no".to_owned()), &["not checked: SES account: no"]);
    fn set(part: &mut Members, name: &str, value: Value) {
        part.insert(name.to_owned(), value);
    }
    let in_account = |name: &'static str, value: Value| {
        move |seen: &mut Snapshot| set(ses(seen).account.as_mut().unwrap(), name, value.clone())
    };
    check(
        &in_account("ProductionAccessEnabled", json!(false)),
        &["wrong: SES account: in the sandbox: only verified addresses get mail"],
    );
    check(&in_account("SendingEnabled", json!(false)), &["wrong: SES account: sending is stopped"]);
    check(
        &in_account("SuppressionAttributes", json!({})),
        &["warning: SES suppression: off: mails go to addresses that have bounced"],
    );
    check(&|seen| ses(seen).identity = Err("no".to_owned()), &["not checked: SES identity: no"]);
    check(
        &|seen| ses(seen).identity = Ok(None),
        &["wrong: SES identity: neither sign-in@example.com nor its domain is one"],
    );
    let in_identity = |name: &'static str, value: Value| {
        move |seen: &mut Snapshot| {
            set(&mut ses(seen).identity.as_mut().unwrap().as_mut().unwrap().1, name, value.clone())
        }
    };
    check(&in_identity("VerifiedForSendingStatus", json!(false)), &["wrong: SES identity: example.com, not verified"]);
    check(
        &in_identity("DkimAttributes", json!({"SigningEnabled": true, "Status": "PENDING"})),
        &["warning: DKIM: mails are not signed"],
    );
    check(
        &in_identity("MailFromAttributes", Value::Null),
        &["warning: MAIL FROM: amazonses.com: SPF says nothing about your domain"],
    );
    check(&|seen| ses(seen).configuration_set = None, &[]);
    let unknown = |seen: &mut Snapshot| {
        ses(seen).identity = Err("no".to_owned());
        ses(seen).configuration_set = None;
    };
    check(&unknown, &["not checked: SES identity: no", "not checked: configuration set: no"]);
    check(
        &|seen| ses(seen).configuration_set = Some(configuration_set(Ok(None))),
        &["wrong: configuration set: there is no set"],
    );
    let stopped = members(json!({"SendingOptions": {"SendingEnabled": false}}));
    check(
        &|seen| ses(seen).configuration_set = Some(configuration_set(Ok(Some(stopped.clone())))),
        &["wrong: configuration set: set, sending is stopped"],
    );
    check(
        &|seen| ses(seen).configuration_set.as_mut().unwrap().is_of_identity = true,
        &["warning: configuration set: set of the identity, which SES lets only those send with whose policy names it"],
    );
    check(
        &|seen| ses(seen).configuration_set = Some(configuration_set(Err("no".to_owned()))),
        &["not checked: configuration set set: no"],
    );
}

#[test]
fn f53_a_clock_that_is_wrong_is_found() {
    check(&|seen| seen.ahead = Ok(-61), &["warning: clock: 61 s behind AWS"]);
    check(&|seen| seen.ahead = Ok(61), &["warning: clock: 61 s ahead of AWS"]);
    check(&|seen| seen.ahead = Ok(60), &[]);
    check(&|seen| seen.ahead = Ok(-60), &[]);
    check(&|seen| seen.ahead = Err("no".to_owned()), &["not checked: clock: no"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_looked_at_is_never_ok() {
    let account = account("doctor-denied").await;
    account.run(&["attach", "--stack", "sign-in"]).output();
    account.fates(|operation, _| match operation {
        "DescribeUserPool" | "ListStackResources" => Fate::Pass,
        _ => Fate::Fail(403, "AccessDeniedException", "no"),
    });
    let client = account.pool.client_id.clone();
    let ended = account.run(&["doctor", "--client-id", &client, "--stack", "sign-in", "--json"]);
    let findings: Vec<Value> = serde_json::from_str(ended.output()).unwrap();
    let with = |status: &str| -> Vec<&str> {
        findings
            .iter()
            .filter(|finding| finding["status"] == status)
            .map(|finding| finding["check"].as_str().unwrap())
            .collect()
    };
    assert_eq!(
        with("ok"),
        [
            "trigger PreAuthentication",
            "trigger DefineAuthChallenge",
            "trigger CreateAuthChallenge",
            "trigger VerifyAuthChallengeResponse",
            "other triggers",
            "new addresses",
            "user names",
            "MFA",
            "plan",
            "clock",
        ]
    );
    assert_eq!((with("wrong"), with("warning")), (vec![], vec![]));
    assert_eq!(with("not-checked").len(), 4 + 4 + 4 + 3 + 1 + 1);
    assert!(findings.iter().all(|finding| finding["found"].is_string()));

    account.fates(|_, _| Fate::Fail(403, "AccessDeniedException", "no"));
    assert_eq!(account.run(&["doctor"]).error(), "DescribeUserPool: AccessDeniedException: no");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_how_to_mend_it_and_by_the_exit_code() {
    let account = account("doctor-wrong").await;
    account.run(&["attach", "--stack", "sign-in"]).output();
    account.fates(|operation, _| match operation {
        "GetFunctionConfiguration" => Fate::Change(|reply| {
            reply["Timeout"] = json!(5);
            reply["Environment"] = json!({"Variables": {
                "CODE_KEY": "a-secret-that-nobody-may-see-anywhere", "LIMITS_TABLE": "limits",
                "SES_FROM_ADDRESS": "Acme <sign-in@mail.example.com>", "SES_CONFIGURATION_SET": "set",
            }});
        }),
        "GetEmailIdentity" => Fate::Fail(404, "NotFoundException", "Email identity does not exist"),
        _ => Fate::Pass,
    });
    let ended = account.run(&["doctor", "--client-id", &account.pool.client_id]);
    assert!(!ended.succeeded && ended.stderr.is_empty(), "{ended:?}");
    let not_ok: Vec<&str> = ended.stdout.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert_eq!(
        not_ok,
        [
            "wrong        SES identity                            neither sign-in@mail.example.com nor its domain is one -> verify the \
          domain in SES, in the region that mails go out from"
        ]
    );
    assert!(!ended.stdout.contains("a-secret-that"), "{ended:?}");
    // The address, its domain, and the domains above.
    assert_eq!(account.operations().iter().filter(|name| *name == "GetEmailIdentity").count(), 3);
}

/// What `doctor` finds about an identity of a function with these variables, of which SES has the `nth` that it is asked for.
async fn identity(name: &str, variables: Value, nth: usize) -> String {
    let account = account(name).await;
    account.run(&["attach", "--stack", "sign-in"]).output();
    account.fates(move |operation, before| match operation {
        "GetFunctionConfiguration" => {
            let variables = variables.clone();
            Fate::Replace(json!({"State": "Active", "Timeout": 5, "Environment": {"Variables": variables}}))
        }
        "GetEmailIdentity" if before == nth => Fate::Replace(json!({"VerifiedForSendingStatus": true})),
        "GetEmailIdentity" => Fate::Fail(404, "NotFoundException", "there is none"),
        _ => Fate::Pass,
    });
    let findings: Vec<Value> = serde_json::from_str(&account.run(&["doctor", "--json"]).stdout).unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == "SES identity").unwrap();
    format!("{}: {}", finding["status"].as_str().unwrap(), finding["found"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn r46_the_identity_is_the_one_that_ses_would_take() {
    let from = json!({"SES_FROM_ADDRESS": "Acme <sign-in@mail.example.com>"});
    for (nth, expected) in ["sign-in@mail.example.com", "mail.example.com", "example.com"].into_iter().enumerate() {
        assert_eq!(identity("doctor-identity", from.clone(), nth).await, format!("ok: {expected}, verified"));
    }
    let plain = json!({"SES_FROM_ADDRESS": "sign-in@example.com"});
    assert_eq!(identity("doctor-identity", plain, 1).await, "ok: example.com, verified");
    let named = |account: &str| {
        let arn = format!("arn:aws:ses:eu-west-1:{account}:identity/example.org");
        json!({"SES_FROM_ADDRESS": "sign-in@mail.example.com", "SES_IDENTITY_ARN": arn})
    };
    assert_eq!(identity("doctor-identity", named("000000000000"), 0).await, "ok: example.org, verified");
    assert_eq!(
        identity("doctor-identity", named("000000000000"), 1).await,
        "wrong: neither sign-in@mail.example.com nor its domain is one"
    );
    assert_eq!(
        identity("doctor-identity", named("111122223333"), 0).await,
        "not-checked: arn:aws:ses:eu-west-1:111122223333:identity/example.org is in another account"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r46_the_configuration_set_is_the_one_that_ses_would_take() {
    let account = account("doctor-configuration-set").await;
    account.run(&["attach", "--stack", "sign-in"]).output();
    for (named, of_identity, expected) in [
        (Some("ours"), Some("theirs"), "ok: ours, sending"),
        (
            None,
            Some("theirs"),
            "warning: theirs of the identity, which SES lets only those send with whose policy names it",
        ),
        (None, None, "ok: none"),
    ] {
        account.fates(move |operation, _| match operation {
            "GetFunctionConfiguration" => {
                let mut variables = json!({"SES_FROM_ADDRESS": "sign-in@example.com"});
                if let Some(named) = named {
                    variables["SES_CONFIGURATION_SET"] = json!(named);
                }
                Fate::Replace(json!({"State": "Active", "Timeout": 5, "Environment": {"Variables": variables}}))
            }
            "GetEmailIdentity" => {
                Fate::Replace(json!({"VerifiedForSendingStatus": true, "ConfigurationSetName": of_identity}))
            }
            _ => Fate::Pass,
        });
        let findings: Vec<Value> = serde_json::from_str(&account.run(&["doctor", "--json"]).stdout).unwrap();
        let finding = findings.iter().find(|finding| finding["check"] == "configuration set").unwrap();
        assert_eq!(
            format!("{}: {}", finding["status"].as_str().unwrap(), finding["found"].as_str().unwrap()),
            expected
        );
    }
}
