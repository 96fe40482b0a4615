//! `attach` and `detach`.

use serde_json::{Map, Value, json};

use crate::running::{Account, Ended, Fate, account};

/// Everything that `UpdateUserPool` sets, away from its default.
pub(crate) fn everything() -> Value {
    let long = "x".repeat(4_990);
    json!({
        "AccountRecoverySetting": {"RecoveryMechanisms": [{"Priority": 1, "Name": "verified_phone_number"}, {"Priority": 2, "Name": "verified_email"}]},
        "AcrConfiguration": {"acr1": {"Name": "urn:acme:one"}},
        "AdminCreateUserConfig": {
            "AllowAdminCreateUserOnly": true,
            "InviteMessageTemplate": {"EmailMessage": format!("{long}{{username}}{{####}}"), "EmailSubject": "Welcome", "SMSMessage": "{username} {####}"},
        },
        "AutoVerifiedAttributes": ["phone_number", "email"],
        "DeletionProtection": "ACTIVE",
        "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": true, "DeviceOnlyRememberedOnUserPrompt": true},
        "EmailConfiguration": {
            "ConfigurationSet": "set", "EmailSendingAccount": "DEVELOPER", "From": "Acme <a@example.com>", "ReplyToEmailAddress": "b@example.com",
            "SourceArn": "arn:aws:ses:eu-west-1:000000000000:identity/example.com", "OfALaterVersion": {"Kept": true},
        },
        "IssuerConfiguration": {"Type": "CUSTOM"},
        "KeyConfiguration": {"KeyType": "CUSTOMER_MANAGED_KEY", "KmsKeyArn": "arn:aws:kms:eu-west-1:000000000000:key/1"},
        "LambdaConfig": {
            "CustomMessage": arn("message"), "PostConfirmation": arn("confirmed"), "UserMigration": arn("migration"),
            "CustomEmailSender": {"LambdaArn": arn("sender"), "LambdaVersion": "V1_0"},
            "CustomSMSSender": {"LambdaArn": arn("sender"), "LambdaVersion": "V1_0"},
            "KMSKeyID": "arn:aws:kms:eu-west-1:000000000000:key/2",
            "InboundFederation": {"LambdaArn": arn("federation"), "LambdaVersion": "V1_0"},
            "PreTokenGeneration": arn("claims"), "PreTokenGenerationConfig": {"LambdaArn": arn("claims"), "LambdaVersion": "V2_0"},
        },
        "MfaConfiguration": "OPTIONAL",
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": 20, "PasswordHistorySize": 5, "RequireLowercase": false, "RequireNumbers": false,
                "RequireSymbols": false, "RequireUppercase": false, "TemporaryPasswordValidityDays": 90,
            },
            "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]},
        },
        "PoolName": "people of Acme",
        "SmsAuthenticationMessage": "{####}",
        "SmsConfiguration": {"ExternalId": "1", "SnsCallerArn": "arn:aws:iam::000000000000:role/sms", "SnsRegion": "eu-west-1"},
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["phone_number", "email"]},
        "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT", "AdvancedSecurityAdditionalFlows": {"CustomAuthMode": "ENFORCED"}},
        "UserPoolTags": {"team": "sign-in", "cost": "1"},
        "UserPoolTier": "PLUS",
        "VerificationMessageTemplate": {
            "DefaultEmailOption": "CONFIRM_WITH_LINK", "EmailMessage": format!("{long}{{####}}"), "EmailSubject": "Code",
            "EmailMessageByLink": "{##here##}", "EmailSubjectByLink": "Link", "SmsMessage": "{####} is it",
        },
    })
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:000000000000:function:{name}")
}

/// The option that names a trigger's function.
fn function(trigger: &str, name: &str) -> [String; 2] {
    ["--function".to_owned(), format!("{trigger}={}", arn(name))]
}

/// Attaches a function to each of these triggers.
fn attach(account: &Account, functions: &[(&str, &str)], options: &[&str]) -> Ended {
    run(account, "attach", functions, options)
}

fn run(account: &Account, command: &str, functions: &[(&str, &str)], options: &[&str]) -> Ended {
    let functions: Vec<String> = functions.iter().flat_map(|(trigger, name)| function(trigger, name)).collect();
    let arguments = [command].into_iter().chain(functions.iter().map(String::as_str)).chain(options.iter().copied());
    account.run(&arguments.collect::<Vec<_>>())
}

const TWO: [(&str, &str); 2] = [("DefineAuthChallenge", "define"), ("CreateAuthChallenge", "create")];
const SID: &str = "custom-auth-eu-west-1_LocalPool";

/// The members in which two pools differ.
fn differing(before: &Value, after: &Value) -> Vec<String> {
    let names = |pool: &Value| pool.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let all: Vec<String> = names(before).union(&names(after)).cloned().collect();
    all.into_iter().filter(|name| before.get(name) != after.get(name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_to_a_pool_with_every_setting_away_from_its_default_changes_nothing_else() {
    let account = account("everything").await;
    let defaults = account.described().await;
    account.call("UpdateUserPool", everything()).await;
    let before = account.described().await;
    // All of them are told and none is what it was; or this test would not notice that it is lost.
    let mut names: Vec<&str> = custom_auth_ops::settings::WRITTEN_BACK.to_vec();
    names.push("Name");
    names.sort_unstable();
    assert_eq!(differing(&defaults, &before), names);

    let ended = account.run(&["attach", "--stack", "sign-in"]);
    assert!(ended.output().ends_with("Attached. Read back: nothing else in the pool has changed.\n"), "{ended:?}");
    let after = account.described().await;
    assert_eq!(differing(&before, &after), ["LambdaConfig"]);
    let mut config = before["LambdaConfig"].clone();
    config["PreAuthentication"] = json!(arn("acme-PreAuthenticationFunction-1"));
    config["DefineAuthChallenge"] = json!(arn("acme-DefineAuthChallengeFunction-2"));
    config["CreateAuthChallenge"] = json!(arn("acme-CreateAuthChallengeFunction-3"));
    config["VerifyAuthChallengeResponse"] = json!(arn("acme-VerifyAuthChallengeFunction-4"));
    assert_eq!(after["LambdaConfig"], config);
    // The request says it all, and once.
    let said = account.said("UpdateUserPool");
    let mut expected: Vec<&str> = custom_auth_ops::settings::WRITTEN_BACK.to_vec();
    expected.retain(|name| {
        !["EmailVerificationMessage", "EmailVerificationSubject", "SmsVerificationMessage"].contains(name)
    });
    expected.extend(["PoolName", "UserPoolId"]);
    expected.sort_unstable();
    assert_eq!(said.as_object().unwrap().keys().collect::<Vec<_>>(), expected);
    assert_eq!(said["AdminCreateUserConfig"].get("UnusedAccountValidityDays"), None);
    assert_eq!(said["EmailConfiguration"]["OfALaterVersion"]["Kept"], true);

    // Once more there is nothing to do.
    account.fates(|_, _| Fate::Pass);
    assert!(account.run(&["attach", "--stack", "sign-in"]).output().ends_with("Nothing to do.\n"));
    assert_eq!(account.changes(), [""; 0]);

    // And back again.
    let ended = account.run(&["detach"]);
    let last = "Detached. Read back: nothing else in the pool has changed. Permissions taken away: 4.\n";
    assert!(ended.output().ends_with(last), "{ended:?}");
    assert_eq!(differing(&before, &account.described().await), [""; 0]);
    for function in ["acme-PreAuthenticationFunction-1", "acme-VerifyAuthChallengeFunction-4"] {
        assert_eq!(account.statements(function).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let account = account("dry-run").await;
    let ended = attach(&account, &TWO, &["--dry-run"]);
    let expected = format!(
        "User pool \"local-pool\", arn:aws:cognito-idp:eu-west-1:000000000000:userpool/eu-west-1_LocalPool\n\
         \x20 DefineAuthChallenge         nothing -> {define}\n\
         \x20 CreateAuthChallenge         nothing -> {create}\n\
         \x20 everything else             stays as it is: 11 settings are written back\n\
         \x20 permission                  {define}: to invoke it, for this pool alone\n\
         \x20 permission                  {create}: to invoke it, for this pool alone\n\
         Dry run: nothing was changed.\n",
        define = arn("define"),
        create = arn("create"),
    );
    assert_eq!(ended.output(), expected);
    assert_eq!(account.changes(), [""; 0]);
    assert_eq!(std::fs::read_dir(&account.folder).unwrap().count(), 0);

    attach(&account, &TWO, &[]).output();
    account.fates(|_, _| Fate::Pass);
    let three = [TWO[0], TWO[1], ("PreSignUp", "sign-up")];
    let ended = run(&account, "detach", &three, &["--dry-run"]);
    let expected = format!(
        "\x20 DefineAuthChallenge         {define} -> nothing\n\
         \x20 CreateAuthChallenge         {create} -> nothing\n\
         \x20 PreSignUp                   nothing already\n\
         \x20 everything else             stays as it is: 11 settings are written back\n\
         \x20 permission                  {define}: ours is taken away\n\
         \x20 permission                  {create}: ours is taken away\n\
         \x20 permission                  {sign_up}: none of ours\n\
         Dry run: nothing was changed.\n",
        define = arn("define"),
        create = arn("create"),
        sign_up = arn("sign-up"),
    );
    assert!(ended.output().ends_with(&expected), "{ended:?}");
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_is_taken_is_replaced_only_if_told_so_and_given_back() {
    let account = account("taken").await;
    let taken = json!({
        "DefineAuthChallenge": arn("theirs"), "PreTokenGeneration": arn("claims"),
        "PreTokenGenerationConfig": {"LambdaArn": arn("claims"), "LambdaVersion": "V2_0"},
    });
    account.call("UpdateUserPool", json!({"LambdaConfig": taken})).await;
    let ours = [TWO[0], TWO[1], ("PreTokenGeneration", "ours")];
    let refused = attach(&account, &ours, &[]);
    assert_eq!(
        refused.error(),
        "another function has DefineAuthChallenge, PreTokenGeneration: --replace takes it away; nothing was changed"
    );
    assert!(refused.stdout.contains(&format!("{} -> {}", arn("theirs"), arn("define"))), "{refused:?}");
    assert_eq!(account.changes(), [""; 0]);
    assert_eq!(account.described().await["LambdaConfig"], taken);

    attach(&account, &ours, &["--replace"]).output();
    let config = account.described().await["LambdaConfig"].clone();
    assert_eq!(config["PreTokenGenerationConfig"], json!({"LambdaArn": arn("ours"), "LambdaVersion": "V2_0"}));
    assert_eq!(
        (&config["PreTokenGeneration"], &config["DefineAuthChallenge"]),
        (&json!(arn("ours")), &json!(arn("define")))
    );
    // A second attach, of another version of ours, does not forget who was there first.
    attach(&account, &[("DefineAuthChallenge", "define:live")], &["--replace"]).output();
    run(&account, "detach", &[], &[]).output();
    assert_eq!(account.described().await["LambdaConfig"], taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn detach_leaves_alone_what_is_not_ours_any_more() {
    let account = account("not-ours").await;
    attach(&account, &TWO, &[]).output();
    let others =
        json!({"DefineAuthChallenge": arn("later"), "CreateAuthChallenge": arn("create"), "PreSignUp": arn("create")});
    account.call("UpdateUserPool", json!({"LambdaConfig": others})).await;
    let ended = run(&account, "detach", &[], &[]);
    assert!(ended.output().contains(&format!("{}, which is not ours: left alone", arn("later"))), "{ended:?}");
    let left = json!({"DefineAuthChallenge": arn("later"), "PreSignUp": arn("create")});
    assert_eq!(account.described().await["LambdaConfig"], left);
    // One that has another trigger of the pool is still invoked.
    assert_eq!(
        (account.statements("create").await, account.statements("define").await),
        (vec![SID.to_owned()], vec![])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_file_detach_takes_what_it_is_told_and_says_what_it_does_not_know() {
    let account = account("no-file").await;
    assert_eq!(
        run(&account, "detach", &[], &[]).error(),
        "there is no custom-auth.eu-west-1_LocalPool.json: say which functions are ours, --stack NAME or --function TRIGGER=ARN"
    );
    assert_eq!(run(&account, "detach", &TWO, &["--save", "nowhere.json"]).error(), "there is no nowhere.json");
    attach(&account, &TWO, &[]).output();
    std::fs::remove_file(account.folder.join("custom-auth.eu-west-1_LocalPool.json")).unwrap();
    let ended = run(&account, "detach", &TWO, &[]);
    assert!(ended.output().contains("What was there before is not known: "), "{ended:?}");
    assert_eq!(account.described().await["LambdaConfig"], json!({}));
    assert!(run(&account, "detach", &TWO, &[]).output().ends_with("Nothing to do.\n"));

    std::fs::write(account.folder.join("other.json"), "{\"before\": {}}").unwrap();
    let wrong = run(&account, "detach", &TWO, &["--save", "other.json"]);
    assert!(wrong.error().starts_with("other.json was not written by `attach`: "), "{wrong:?}");
    let other = json!({"userPoolId": "eu-west-1_Other", "attached": {}, "before": {}});
    std::fs::write(account.folder.join("other.json"), other.to_string()).unwrap();
    let wrong = run(&account, "detach", &TWO, &["--save", "other.json"]);
    assert_eq!(wrong.error(), "other.json is about the pool eu-west-1_Other, not eu-west-1_LocalPool");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_gets_the_trigger_and_the_permission() {
    let account = account("alias").await;
    attach(&account, &[("DefineAuthChallenge", "define:live")], &[]).output();
    assert_eq!(account.described().await["LambdaConfig"]["DefineAuthChallenge"], arn("define:live"));
    assert_eq!(account.statements(&arn("define:live")).await, [SID]);
    assert_eq!(account.statements("define").await, [""; 0]);
    let said = account.said("AddPermission");
    assert_eq!(
        said,
        json!({
            "StatementId": SID, "Action": "lambda:InvokeFunction", "Principal": "cognito-idp.amazonaws.com",
            "SourceArn": "arn:aws:cognito-idp:eu-west-1:000000000000:userpool/eu-west-1_LocalPool", "SourceAccount": "000000000000",
        })
    );
    run(&account, "detach", &[], &[]).output();
    assert_eq!(account.statements(&arn("define:live")).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_given_and_the_pool_left_as_it_is() {
    let account = account("permission").await;
    let config = json!({"DefineAuthChallenge": arn("define"), "CreateAuthChallenge": arn("create")});
    account.call("UpdateUserPool", json!({"LambdaConfig": config})).await;
    let ended = attach(&account, &TWO, &[]);
    assert!(ended.output().ends_with("The permissions are given. The pool is as it was.\n"), "{ended:?}");
    assert_eq!(account.changes(), ["AddPermission", "AddPermission"]);
    assert_eq!(account.statements("define").await, [SID]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_our_name_that_is_not_ours_is_not_taken_for_a_permission() {
    let account = account("false-statement").await;
    account.fates(|operation, _| match operation {
        "GetPolicy" => Fate::Change(|reply| {
            let statement = json!({"Sid": SID, "Effect": "Allow", "Principal": "*", "Action": "lambda:GetFunction"});
            reply["Policy"] = json!(json!({"Statement": [statement]}).to_string());
        }),
        _ => Fate::Pass,
    });
    // There has to be a policy to change.
    let config = json!({"DefineAuthChallenge": arn("define")});
    account.call("UpdateUserPool", json!({"LambdaConfig": config})).await;
    account.add_permission("define").await;
    let error = attach(&account, &TWO[..1], &[]);
    assert!(error.error().ends_with("that says something else than ours: remove it; nothing was changed"), "{error:?}");
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_we_do_not_know_is_not_lost_but_refused() {
    let account = account("unknown").await;
    account.fates(|operation, _| match operation {
        "DescribeUserPool" => Fate::Change(|reply| {
            reply["UserPool"]["QuantumConfiguration"] = json!({"Mode": "ON"});
            reply["UserPool"]["NewFlags"] = json!(["A"]);
            reply["UserPool"]["NotSet"] = Value::Null;
        }),
        _ => Fate::Pass,
    });
    for command in ["attach", "detach"] {
        assert_eq!(
            run(&account, command, &TWO, &[]).error(),
            "the pool has settings that this version does not know and could lose: NewFlags, QuantumConfiguration; nothing was changed"
        );
    }
    assert_eq!(account.changes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_calls_are_made_again() {
    let account = account("throttled").await;
    account.fates(|_, before| match before {
        0 => Fate::Fail(400, "TooManyRequestsException", "Rate exceeded"),
        _ => Fate::Pass,
    });
    attach(&account, &TWO[..1], &[]).output();
    let operations = account.operations();
    for operation in ["DescribeUserPool", "GetPolicy", "AddPermission", "UpdateUserPool"] {
        assert!(operations.iter().filter(|name| *name == operation).count() > 1, "{operations:?}");
    }
    assert_eq!(account.statements("define").await, [SID]);
    account.fates(|_, _| Fate::Fail(400, "TooManyRequestsException", "Rate exceeded"));
    let error = "DescribeUserPool: TooManyRequestsException: Rate exceeded";
    assert_eq!(attach(&account, &TWO, &[]).error(), error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_cannot_be_given_leaves_everything_as_it_was() {
    let account = account("no-permission").await;
    let before = account.described().await;
    account.fates(|operation, before| match (operation, before) {
        ("AddPermission", 1) => Fate::Fail(403, "AccessDeniedException", "User: me is not authorized"),
        _ => Fate::Pass,
    });
    let ended = attach(&account, &TWO, &[]);
    assert_eq!(
        ended.error(),
        format!(
            "AddPermission to {}: AccessDeniedException: User: me is not authorized; the pool is as it was, and so are the permissions",
            arn("create")
        )
    );
    assert_eq!(account.described().await, before);
    assert_eq!(account.changes(), ["AddPermission", "AddPermission", "RemovePermission"]);
    assert_eq!(account.statements("define").await, [""; 0]);

    // What was given cannot be taken back either.
    account.fates(|operation, before| match (operation, before) {
        ("AddPermission", 1) | ("RemovePermission", _) => Fate::Fail(403, "AccessDeniedException", "no"),
        _ => Fate::Pass,
    });
    let ended = attach(&account, &TWO, &[]);
    let left = format!("but permissions that were given just now are left: RemovePermission from {}", arn("define"));
    assert!(ended.error().contains(&left), "{ended:?}");
}

/// Lambda says the same when the statement is there already and when another operation on the function is in progress.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_somebody_else_is_changing_is_waited_for_and_then_given_up() {
    let account = account("conflict").await;
    let busy = || Fate::Fail(409, "ResourceConflictException", "An update is in progress");
    account
        .fates(move |operation, before| if (operation, before) == ("AddPermission", 0) { busy() } else { Fate::Pass });
    assert!(attach(&account, &TWO, &[]).succeeded);
    for function in ["define", "create"] {
        assert_eq!(account.statements(function).await, [SID]);
    }
    run(&account, "detach", &[], &[]).output();

    account.fates(move |operation, _| if operation == "AddPermission" { busy() } else { Fate::Pass });
    let before = account.described().await;
    let ended = attach(&account, &TWO[..1], &[]);
    let words = format!(
        "AddPermission to {}: something else is changing the function: try again when that is done",
        arn("define")
    );
    assert_eq!(ended.error(), format!("{words}; the pool is as it was, and so are the permissions"));
    assert_eq!(account.described().await, before);
    // Somebody else gives it meanwhile.
    account
        .fates(|operation, before| if (operation, before) == ("AddPermission", 0) { Fate::Lose } else { Fate::Pass });
    attach(&account, &TWO[..1], &[]).output();
    assert_eq!(account.statements("define").await, [SID]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_of_events_before_tokens_is_told_and_chosen() {
    let account = account("version").await;
    let tokens = [("PreTokenGeneration", "tokens")];
    let ended = attach(&account, &tokens, &[]);
    assert!(ended.output().contains("\n  its events                  V1_0\n"), "{ended:?}");
    let ended = attach(&account, &tokens, &["--pre-token-generation", "V2_0"]);
    assert!(ended.output().contains("\n  its events                  V1_0 -> V2_0\n"), "{ended:?}");
    let config = account.described().await["LambdaConfig"].take();
    let versioned = json!({"LambdaArn": arn("tokens"), "LambdaVersion": "V2_0"});
    assert_eq!(
        (&config["PreTokenGeneration"], &config["PreTokenGenerationConfig"]),
        (&json!(arn("tokens")), &versioned)
    );
    // It stays unless it is said.
    assert!(attach(&account, &tokens, &[]).output().ends_with("Nothing to do.\n"));
    let ended = attach(&account, &TWO, &["--pre-token-generation", "V2_0"]);
    assert_eq!(ended.error(), "--pre-token-generation is about a function that was not named: PreTokenGeneration");
    run(&account, "detach", &[], &[]).output();
    assert_eq!(account.described().await["LambdaConfig"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_was_is_kept_whole_and_never_written_over() {
    let account = account("kept").await;
    let read = |name: &str| -> Value {
        let path = account.folder.join(format!("custom-auth.eu-west-1_LocalPool.{name}"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    attach(&account, &TWO[..1], &[]).output();
    let first = read("json");
    assert_eq!(first["mfa"], account.call("GetUserPoolMfaConfig", json!({})).await);
    attach(&account, &TWO, &[]).output();
    assert_eq!(read("1.json"), first);
    assert_ne!(read("json"), first);
    // Long after `attach`, other settings are what was chosen since.
    account
        .call(
            "UpdateUserPool",
            json!({"UserPoolTier": "PLUS", "LambdaConfig": account.described().await["LambdaConfig"]}),
        )
        .await;
    let before = account.described().await;
    account.fates(|operation, before| match (operation, before) {
        ("DescribeUserPool", 2..) => Fate::Change(|reply| reply["UserPool"]["UserPoolTier"] = json!("LITE")),
        _ => Fate::Pass,
    });
    let ended = run(&account, "detach", &[], &[]);
    let words = "; the permissions are as they were; what the pool was like before is in custom-auth.eu-west-1_LocalPool.before-detach.json";
    assert!(ended.error().ends_with(words), "{ended:?}");
    assert_eq!(read("before-detach.json")["before"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_refused_leaves_everything_as_it_was() {
    let account = account("refused").await;
    account.call("UpdateUserPool", everything()).await;
    let before = account.described().await;
    account.fates(|operation, _| match operation {
        "UpdateUserPool" => Fate::Fail(400, "InvalidParameterException", "SMS role is\nnot right"),
        _ => Fate::Pass,
    });
    assert_eq!(
        attach(&account, &TWO, &[]).error(),
        "UpdateUserPool: InvalidParameterException: SMS role is not right; the pool is as it was, and so are the permissions"
    );
    assert_eq!(account.described().await, before);
    assert_eq!((account.statements("create").await, account.statements("define").await), (vec![], vec![]));
    // The file of the attempt does no harm.
    account.fates(|_, _| Fate::Pass);
    attach(&account, &TWO, &[]).output();
    run(&account, "detach", &[], &[]).output();
    assert_eq!(account.described().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_reply_is_lost_is_looked_up() {
    let account = account("lost").await;
    // One of two, so that the SDK's second try tells; then all of them, so that only the pool can.
    account
        .fates(|operation, before| if operation == "UpdateUserPool" && before == 0 { Fate::Lose } else { Fate::Pass });
    attach(&account, &TWO[..1], &[]).output();
    assert_eq!(account.changes(), ["AddPermission", "UpdateUserPool", "UpdateUserPool"]);
    account.fates(|operation, _| if operation == "UpdateUserPool" { Fate::Lose } else { Fate::Pass });
    let ended = attach(&account, &TWO, &[]);
    assert!(ended.output().ends_with("Attached. Read back: nothing else in the pool has changed.\n"), "{ended:?}");
    assert_eq!(account.described().await["LambdaConfig"]["CreateAuthChallenge"], arn("create"));
    assert_eq!(account.statements("create").await, [SID]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_up_is_said_to_be_unknown() {
    let account = account("blind").await;
    account.fates(|operation, before| match (operation, before) {
        ("UpdateUserPool", _) => Fate::Fail(500, "InternalErrorException", "oh"),
        ("DescribeUserPool", 2..) => Fate::Fail(403, "AccessDeniedException", "no"),
        _ => Fate::Pass,
    });
    assert_eq!(
        attach(&account, &TWO, &[]).error(),
        "UpdateUserPool: InternalErrorException: oh; the pool cannot be described either, so whether it has changed is not known: \
         try again later; what it was like before is in custom-auth.eu-west-1_LocalPool.json"
    );
    // The functions may be attached, and are better invoked than not.
    assert_eq!(account.statements("define").await, [SID]);
    account.fates(|operation, before| match (operation, before) {
        ("DescribeUserPool", 2..) => Fate::Fail(403, "AccessDeniedException", "no"),
        _ => Fate::Pass,
    });
    let ended = attach(&account, &TWO, &[]);
    let words =
        "the pool was changed, but cannot be read back: DescribeUserPool: AccessDeniedException: no; what it was";
    assert!(ended.error().starts_with(words), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_changes_with_the_triggers_is_named() {
    let account = account("surprise").await;
    account.call("UpdateUserPool", everything()).await;
    account.fates(|operation, before| match (operation, before) {
        ("DescribeUserPool", 2..) => Fate::Change(|reply| {
            reply["UserPool"]["Policies"]["PasswordPolicy"]["MinimumLength"] = json!(8);
            reply["UserPool"].as_object_mut().unwrap().remove("UserPoolTier");
            reply["UserPool"]["LastModifiedDate"] = json!(1_800_000_000);
            // Another order is no change.
            reply["UserPool"]["AutoVerifiedAttributes"] = json!(["email", "phone_number"]);
        }),
        _ => Fate::Pass,
    });
    assert_eq!(
        attach(&account, &TWO, &[]).error(),
        "the pool was changed, and not only as it should be: Policies.PasswordPolicy.MinimumLength: 20 -> 8; \
         UserPoolTier: \"PLUS\" -> nothing; what it was like before is in custom-auth.eu-west-1_LocalPool.json"
    );
    let kept = std::fs::read_to_string(account.folder.join("custom-auth.eu-west-1_LocalPool.json")).unwrap();
    let kept: Map<String, Value> = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["before"]["Policies"]["PasswordPolicy"]["MinimumLength"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_refused_and_yet_changes_something_is_told() {
    let account = account("refused-and-changed").await;
    account.fates(|operation, before| match (operation, before) {
        ("UpdateUserPool", _) => Fate::Fail(400, "InvalidParameterException", "no"),
        ("DescribeUserPool", 2..) => Fate::Change(|reply| reply["UserPool"]["UserPoolTier"] = json!("PLUS")),
        _ => Fate::Pass,
    });
    let ended = attach(&account, &TWO[..1], &[]);
    let words = "UpdateUserPool: InvalidParameterException: no; yet the pool has changed: ";
    assert!(ended.error().starts_with(words), "{ended:?}");
    assert!(ended.error().contains("UserPoolTier: \"ESSENTIALS\" -> \"PLUS\""), "{ended:?}");
    // They may be needed.
    assert_eq!(account.statements("define").await, [SID]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mfa_that_changes_with_the_triggers_is_named_although_no_description_tells() {
    let account = account("mfa").await;
    account.fates(|operation, before| match (operation, before) {
        ("GetUserPoolMfaConfig", 1) => {
            Fate::Change(|reply| reply["SoftwareTokenMfaConfiguration"] = json!({"Enabled": false}))
        }
        _ => Fate::Pass,
    });
    let ended = attach(&account, &TWO, &[]);
    let words = "the triggers are as they should be, but MFA has changed: SoftwareTokenMfaConfiguration: nothing -> ";
    assert!(ended.error().starts_with(words), "{ended:?}");
    run(&account, "detach", &[], &[]).output();
    account.fates(|operation, _| match operation {
        "GetUserPoolMfaConfig" => Fate::Fail(403, "AccessDeniedException", "no"),
        _ => Fate::Pass,
    });
    let ended = attach(&account, &TWO, &[]);
    assert!(
        ended.output().contains("factors and messages not compared: GetUserPoolMfaConfig: AccessDenied"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_meanwhile_is_not_overwritten() {
    let account = account("meanwhile").await;
    account.fates(|operation, before| match (operation, before) {
        ("DescribeUserPool", 1) => Fate::Change(|reply| reply["UserPool"]["UserPoolTier"] = json!("PLUS")),
        _ => Fate::Pass,
    });
    assert_eq!(
        attach(&account, &TWO, &[]).error(),
        "somebody has changed the pool meanwhile (UserPoolTier: \"ESSENTIALS\" -> \"PLUS\"): try again; the pool is as it was, \
         and so are the permissions"
    );
    assert_eq!(account.changes(), ["AddPermission", "AddPermission", "RemovePermission", "RemovePermission"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detach_that_fails_half_way_is_finished_by_another() {
    let account = account("half-way").await;
    attach(&account, &TWO, &[]).output();
    account.fates(|operation, _| match operation {
        "UpdateUserPool" => Fate::Fail(400, "ConcurrentModificationException", "busy"),
        _ => Fate::Pass,
    });
    assert_eq!(
        run(&account, "detach", &[], &[]).error(),
        "UpdateUserPool: ConcurrentModificationException: busy; the pool and the permissions are as they were"
    );
    account.fates(|operation, before| match (operation, before) {
        ("RemovePermission", 1) => Fate::Fail(403, "AccessDeniedException", "no"),
        _ => Fate::Pass,
    });
    let ended = run(&account, "detach", &[], &[]);
    let words = "the functions are detached, but permissions of ours are left: RemovePermission from ";
    assert!(ended.error().starts_with(words), "{ended:?}");
    account.fates(|_, _| Fate::Pass);
    let ended = run(&account, "detach", &[], &[]);
    assert!(ended.output().ends_with("Permissions taken away: 1. The pool is as it was.\n"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_said_before_anything_is_done() {
    let mut account = account("not-meant").await;
    let nowhere = account.run(&["attach", "--stack", "nothing"]);
    assert_eq!(nowhere.error(), "ListStackResources of nothing: ValidationError: Stack with id nothing does not exist");
    let empty = account.run(&["attach", "--stack", "empty"]);
    assert_eq!(empty.error(), "the stack empty has no function DefineAuthChallengeFunction");
    let none = account.run(&["attach"]);
    assert_eq!(none.error(), "say which functions to attach: --stack NAME, or --function TRIGGER=ARN for each");
    let elsewhere = "DefineAuthChallenge=arn:aws:lambda:us-east-1:000000000000:function:define";
    let elsewhere = account.run(&["attach", "--function", elsewhere]);
    assert!(elsewhere.error().ends_with(":function:define is not in eu-west-1, the pool's region"), "{elsewhere:?}");
    let twice = attach(&account, &[TWO[0], ("DefineAuthChallenge", "other")], &[]);
    assert_eq!(twice.error(), "DefineAuthChallenge has two functions");
    for (value, words) in [
        ("Define=x", "\"Define\" is none of PreAuthentication, DefineAuthChallenge"),
        ("DefineAuthChallenge", "there is no = behind the trigger's name"),
        ("DefineAuthChallenge=define", "\"define\" is no function's ARN, such as arn:aws:lambda:"),
    ] {
        let ended = account.run(&["attach", "--function", value]);
        assert!(!ended.succeeded && ended.stderr.contains(words), "{ended:?}");
    }
    account.fates(|operation, _| match operation {
        "GetPolicy" => Fate::Fail(404, "ResourceNotFoundException", "Function not found: arn"),
        _ => Fate::Pass,
    });
    let missing = attach(&account, &TWO[..1], &[]);
    let words = format!("GetPolicy of {}: ResourceNotFoundException: Function not found: arn", arn("define"));
    assert_eq!(missing.error(), words);
    assert_eq!(account.changes(), [""; 0]);
    // Where nothing plays CloudFormation.
    account.endpoint = account.pool.endpoint.clone();
    let local = account.run(&["attach", "--stack", "sign-in"]);
    assert!(local.error().ends_with(": a local pool has no stacks, name each function with --function TRIGGER=ARN"));
}
