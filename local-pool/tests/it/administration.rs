//! What administrators do.

use local_pool::trigger::Trigger;
use serde_json::{Value, json};

use crate::stage::{POOL_ID, Stage, arn};

fn attribute(user: &Value, name: &str) -> Option<String> {
    let list = user["UserAttributes"].as_array().unwrap();
    list.iter().find(|attribute| attribute["Name"] == name).map(|found| found["Value"].as_str().unwrap().to_owned())
}

#[test]
fn a_user_is_made_looked_at_changed_and_deleted() {
    let mut stage = Stage::default();
    let attributes = json!([
        {"Name": "email", "Value": "zoe@example.com"}, {"Name": "email_verified", "Value": "true"},
        {"Name": "custom:tenant", "Value": "acme"},
    ]);
    let create =
        json!({"Username": "zoe@example.com", "UserAttributes": attributes, "TemporaryPassword": "Temporary 1!"});
    let user = stage.ask("AdminCreateUser", create.clone()).unwrap()["User"].clone();
    assert_eq!((&user["UserStatus"], &user["Enabled"]), (&json!("FORCE_CHANGE_PASSWORD"), &json!(true)));
    let letters = stage.pool.take_letters();
    assert_eq!(letters[0].text, "Your username is zoe@example.com and temporary password is Temporary 1!\n");
    assert_eq!(stage.ask("AdminCreateUser", create).unwrap_err().kind, "UsernameExistsException");

    let zoe = json!({"Username": user["Username"]});
    let get = |stage: &mut Stage| stage.ask("AdminGetUser", json!({"Username": "zoe@example.com"}));
    assert_eq!(attribute(&get(&mut stage).unwrap(), "custom:tenant").unwrap(), "acme");
    let update = |changes: Value| json!({"Username": "zoe@example.com", "UserAttributes": changes});
    stage.ask("AdminUpdateUserAttributes", update(json!([{"Name": "custom:tenant", "Value": ""}]))).unwrap();
    assert_eq!(attribute(&get(&mut stage).unwrap(), "custom:tenant"), None);
    let sub = update(json!([{"Name": "sub", "Value": "x"}]));
    assert_eq!(stage.complaint("AdminUpdateUserAttributes", sub), "Cannot modify the non-mutable attribute sub");

    let set = json!({"Username": "zoe@example.com", "Password": "Correct horse 1", "Permanent": true});
    stage.ask("AdminSetUserPassword", set).unwrap();
    assert_eq!(get(&mut stage).unwrap()["UserStatus"], "CONFIRMED");
    stage.ask("AdminSetUserPassword", json!({"Username": "zoe@example.com", "Password": "Correct horse 2"})).unwrap();
    assert_eq!(get(&mut stage).unwrap()["UserStatus"], "FORCE_CHANGE_PASSWORD");

    assert_eq!(stage.ask("AdminDisableUser", zoe.clone()).unwrap(), json!({}));
    assert_eq!(get(&mut stage).unwrap()["Enabled"], false);
    let refused = stage.initiate(json!({"USERNAME": "zoe@example.com"}), json!(null)).unwrap_err();
    assert_eq!((refused.kind, &*refused.message), ("NotAuthorizedException", "User is disabled."));
    stage.ask("AdminEnableUser", zoe.clone()).unwrap();
    assert!(stage.initiate(json!({"USERNAME": "zoe@example.com"}), json!(null)).is_ok());
    stage.ask("AdminDeleteUser", zoe).unwrap();
    let gone = get(&mut stage).unwrap_err();
    assert_eq!((gone.kind, &*gone.message), ("UserNotFoundException", "User does not exist."));
}

#[test]
fn a_temporary_password_of_the_pools_own_fits_its_policy() {
    let mut stage = Stage::default();
    for (shortest, length) in [(6, 20), (21, 21), (99, 99)] {
        let policy = json!({
            "MinimumLength": shortest, "RequireUppercase": true, "RequireLowercase": true, "RequireNumbers": true,
            "RequireSymbols": true,
        });
        stage.ask("UpdateUserPool", json!({"Policies": {"PasswordPolicy": policy}})).unwrap();
        stage.ask("AdminCreateUser", json!({"Username": format!("zoe{shortest}@example.com")})).unwrap();
        let text = stage.pool.take_letters().remove(0).text;
        assert_eq!(text.trim_end().rsplit(' ').next().unwrap().len(), length, "{text}");
    }
}

#[test]
fn t31_a_new_address_is_not_verified() {
    let mut stage = Stage::default();
    let update = |changes: Value| json!({"Username": "alice", "UserAttributes": changes});
    let verified = |stage: &mut Stage| {
        attribute(&stage.ask("AdminGetUser", json!({"Username": "alice"})).unwrap(), "email_verified").unwrap()
    };
    let same = json!([{"Name": "email", "Value": "alice@example.com"}]);
    stage.ask("AdminUpdateUserAttributes", update(same)).unwrap();
    assert_eq!(verified(&mut stage), "true");
    stage.ask("AdminUpdateUserAttributes", update(json!([{"Name": "email", "Value": "al@example.com"}]))).unwrap();
    assert_eq!(verified(&mut stage), "false");
    // One's own address may be written otherwise.
    let own = update(json!([{"Name": "email", "Value": "AL@example.com"}]));
    assert!(stage.ask("AdminUpdateUserAttributes", own).is_ok());
    let taken = update(json!([{"Name": "email", "Value": "CAROL@example.com"}]));
    let error = stage.ask("AdminUpdateUserAttributes", taken).unwrap_err();
    assert_eq!(
        (error.kind, &*error.message),
        ("AliasExistsException", "An account with the given email already exists.")
    );
    let claim = update(json!([{"Name": "cognito:groups", "Value": "admins"}]));
    assert!(
        stage.complaint("AdminUpdateUserAttributes", claim).starts_with("Attributes did not conform to the schema")
    );
    let both = json!([{"Name": "email", "Value": "a@example.com"}, {"Name": "email_verified", "Value": "true"}]);
    stage.ask("AdminUpdateUserAttributes", update(both)).unwrap();
    assert_eq!(verified(&mut stage), "true");
}

#[test]
fn a_made_user_gets_a_password_that_the_policy_allows_unless_nobody_is_to_be_told() {
    let mut stage = Stage::default();
    stage.ask("AdminCreateUser", json!({"Username": "zoe@example.com"})).unwrap();
    let password = stage.pool.take_letters()[0].text.trim().rsplit(' ').next().unwrap().to_owned();
    let parameters = json!({"USERNAME": "zoe@example.com", "PASSWORD": password});
    let call = json!({"AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": parameters});
    assert_eq!(stage.ask("AdminInitiateAuth", call).unwrap()["ChallengeName"], "NEW_PASSWORD_REQUIRED");
    stage.ask("AdminCreateUser", json!({"Username": "yan@example.com", "MessageAction": "SUPPRESS"})).unwrap();
    assert_eq!(stage.pool.take_letters(), []);
    let weak = json!({"Username": "xi@example.com", "TemporaryPassword": "x"});
    assert_eq!(stage.ask("AdminCreateUser", weak).unwrap_err().kind, "InvalidPasswordException");
    let resend = json!({"Username": "zoe@example.com", "MessageAction": "RESEND"});
    assert_eq!(stage.complaint("AdminCreateUser", resend), "The local pool does not emulate MessageAction RESEND.");
    let other = json!({"Username": "zoe@example.com", "MessageAction": "SHOUT"});
    assert!(stage.complaint("AdminCreateUser", other).contains("Value 'SHOUT' at 'messageAction'"));
}

#[test]
fn an_update_of_the_pool_resets_what_it_leaves_out() {
    let mut stage = Stage::default();
    let describe = |stage: &mut Stage| stage.ask("DescribeUserPool", json!({})).unwrap()["UserPool"].clone();
    let before = describe(&mut stage);
    assert_eq!((&before["Id"], &before["AutoVerifiedAttributes"]), (&json!(POOL_ID), &json!(["email"])));
    assert_eq!(before["LambdaConfig"]["DefineAuthChallenge"], arn("define-auth-challenge"));
    assert_eq!(before["EstimatedNumberOfUsers"], 4);

    stage.ask("UpdateUserPool", json!({"UserPoolTags": {"team": "sign-in"}, "MfaConfiguration": "OPTIONAL"})).unwrap();
    let after = describe(&mut stage);
    assert_eq!((&after["LambdaConfig"], after.get("AutoVerifiedAttributes")), (&json!({}), None));
    assert_eq!((&after["UserPoolTags"]["team"], &after["MfaConfiguration"]), (&json!("sign-in"), &json!("OPTIONAL")));
    let gone = stage.initiate(json!({"USERNAME": "alice"}), json!(null)).unwrap_err();
    assert_eq!(gone.message, "Custom auth lambda trigger is not configured for the user pool.");

    // Everything that was there, written back.
    let back =
        ["LambdaConfig", "AutoVerifiedAttributes", "Policies"].map(|name| (name.to_owned(), before[name].clone()));
    stage.ask("UpdateUserPool", Value::from_iter(back)).unwrap();
    let restored = describe(&mut stage);
    assert_eq!((&restored["LambdaConfig"], &restored["MfaConfiguration"]), (&before["LambdaConfig"], &json!("OFF")));
    assert!(stage.initiate(json!({"USERNAME": "alice"}), json!(null)).is_ok());

    // The function that is attached is the one that is invoked.
    let mut config = before["LambdaConfig"].clone();
    config["DefineAuthChallenge"] = json!("arn:aws:lambda:eu-west-1:123456789012:function:other:live");
    stage.ask("UpdateUserPool", json!({"LambdaConfig": config})).unwrap();
    assert_eq!(describe(&mut stage)["LambdaConfig"], config);
    let version =
        |version: &str| json!({"PreTokenGenerationConfig": {"LambdaVersion": version, "LambdaArn": arn("one")}});
    for (config, kind) in [
        (json!({"DefineAuthChallenge": "define-auth-challenge"}), "InvalidParameterException"),
        (json!({"DefineAuthChallenge": 7}), "SerializationException"),
        (version("V3_0"), "InvalidParameterException"),
        (version("banana"), "InvalidParameterException"),
        (
            json!({
                "PreTokenGeneration": arn("one"),
                "PreTokenGenerationConfig": {"LambdaVersion": "V2_0", "LambdaArn": arn("two")},
            }),
            "InvalidParameterException",
        ),
    ] {
        assert_eq!(stage.ask("UpdateUserPool", json!({"LambdaConfig": config})).unwrap_err().kind, kind);
    }
}

#[test]
fn new_values_wait_for_codes_only_where_the_pool_mails_them() {
    let mut stage = Stage::default();
    let waiting = |names: Value| json!({"AttributesRequireVerificationBeforeUpdate": names});
    for (verified, waiting, is_taken) in [
        (json!(["email"]), waiting(json!(["email"])), true),
        (json!(["phone_number", "email"]), waiting(json!(["email"])), true),
        (json!(["email"]), waiting(json!([])), true),
        (json!(null), waiting(json!(null)), true),
        (json!(null), json!({}), true),
        (json!(null), json!(null), true),
        (json!(null), waiting(json!(["email"])), false),
        (json!([]), waiting(json!(["email"])), false),
        (json!(["phone_number"]), waiting(json!(["phone_number", "email"])), false),
    ] {
        let update = json!({"AutoVerifiedAttributes": verified, "UserAttributeUpdateSettings": waiting});
        let reply = stage.ask("UpdateUserPool", update.clone());
        let refusal =
            "All attributes in AttributesRequireVerificationBeforeUpdate must exist in AutoVerifiedAttributes";
        let expected = if is_taken { Ok(()) } else { Err(("InvalidParameterException", refusal.to_owned())) };
        assert_eq!(reply.map(drop).map_err(|error| (error.kind, error.message)), expected, "{update}");
    }
    // What is left out goes back to its default, by which nothing is verified.
    let alone = json!({"UserAttributeUpdateSettings": waiting(json!(["email"]))});
    assert_eq!(stage.ask("UpdateUserPool", alone).unwrap_err().kind, "InvalidParameterException");
    let no_list = json!({"UserAttributeUpdateSettings": waiting(json!("email"))});
    assert_eq!(stage.ask("UpdateUserPool", no_list).unwrap_err().kind, "SerializationException");
}

#[test]
fn what_is_null_or_no_setting_is_not_kept_among_the_settings() {
    let mut stage = Stage::default();
    let update = json!({"PoolName": "people", "AutoVerifiedAttributes": null, "UserPoolTags": {"team": "sign-in"}});
    stage.ask("UpdateUserPool", update).unwrap();
    let pool = stage.ask("DescribeUserPool", json!({})).unwrap()["UserPool"].clone();
    assert_eq!((&pool["Name"], &pool["UserPoolTags"]), (&json!("people"), &json!({"team": "sign-in"})));
    // The first says which pool it is about, and the second what it is to be called.
    for name in ["UserPoolId", "PoolName", "AutoVerifiedAttributes"] {
        assert_eq!(pool.get(name), None, "{name}");
    }
}

#[test]
fn a_trigger_takes_the_arn_of_a_function_and_nothing_else() {
    let mut stage = Stage::default();
    let longest = arn(&"x".repeat(2_048 - arn("").len()));
    let constraint = "failed to satisfy constraint: Member must be the ARN of a function";
    let refused = format!("1 validation error detected: Value at 'lambdaConfig' {constraint}");
    for (value, refusal) in [
        (arn("one"), None),
        (format!("{}:live", arn("one")), None),
        (longest.clone(), None),
        (format!("{longest}x"), Some(&refused)),
        ("arn:a:b:c:d:e:f".to_owned(), Some(&refused)),
        ("arn:aws:lambda:eu-west-1:000000000000".to_owned(), Some(&refused)),
        (arn("one").replace("arn:", "urn:"), Some(&refused)),
        (String::new(), Some(&refused)),
    ] {
        for config in [
            json!({"DefineAuthChallenge": value}),
            json!({"PreTokenGenerationConfig": {"LambdaVersion": "V1_0", "LambdaArn": value}}),
        ] {
            let error = stage.ask("UpdateUserPool", json!({"LambdaConfig": config})).err();
            assert_eq!(error.map(|error| error.message).as_ref(), refusal, "{config}");
        }
    }
}

#[test]
fn settings_that_are_given_in_part_are_filled_as_aws_fills_them() {
    let mut stage = Stage::default();
    let update = json!({
        "PoolName": "people",
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true},
        "EmailVerificationMessage": "Your code is {####}",
        "Policies": {"PasswordPolicy": {"MinimumLength": 20, "TemporaryPasswordValidityDays": 30}},
        "SmsAuthenticationMessage": "{####}",
        "VerificationMessageTemplate": {"EmailSubject": "Your code"},
    });
    stage.ask("UpdateUserPool", update.clone()).unwrap();
    let pool = stage.ask("DescribeUserPool", json!({})).unwrap()["UserPool"].clone();
    let template = json!({
        "DefaultEmailOption": "CONFIRM_WITH_CODE", "EmailMessage": "Your code is {####}", "EmailSubject": "Your code",
    });
    for (name, value) in [
        ("Name", json!("people")),
        ("AdminCreateUserConfig", json!({"AllowAdminCreateUserOnly": true, "UnusedAccountValidityDays": 30})),
        ("EmailVerificationMessage", json!("Your code is {####}")),
        ("EmailVerificationSubject", json!("Your code")),
        ("VerificationMessageTemplate", template),
    ] {
        assert_eq!(pool[name], value, "{name}");
    }
    assert_eq!(pool["Policies"]["PasswordPolicy"]["RequireSymbols"], false);
    assert_eq!(pool["Policies"]["SignInPolicy"]["AllowedFirstAuthFactors"], json!(["PASSWORD"]));
    let mfa = stage.ask("GetUserPoolMfaConfig", json!({})).unwrap();
    let sms = json!({"SmsAuthenticationMessage": "{####}"});
    assert_eq!(mfa, json!({"MfaConfiguration": "OFF", "SmsMfaConfiguration": sms}));

    // What AWS tells is not all that it takes.
    let back = json!({"AdminCreateUserConfig": pool["AdminCreateUserConfig"], "Policies": pool["Policies"]});
    let complaint = stage.complaint("UpdateUserPool", back);
    assert!(complaint.starts_with("Please use TemporaryPasswordValidityDays in PasswordPolicy instead"), "{complaint}");
    // No days are not said twice.
    let no_days = json!({"AdminCreateUserConfig": {"UnusedAccountValidityDays": 0}, "Policies": pool["Policies"]});
    assert!(stage.ask("UpdateUserPool", no_days).is_ok());
    // A name has no default.
    stage.ask("UpdateUserPool", json!({})).unwrap();
    assert_eq!(stage.ask("DescribeUserPool", json!({})).unwrap()["UserPool"]["Name"], "people");
}

#[test]
fn an_update_of_the_client_resets_what_it_leaves_out() {
    let mut stage = Stage::with_client(json!({"AuthSessionValidity": 10, "AccessTokenValidity": 5}));
    let client = stage.ask("DescribeUserPoolClient", json!({})).unwrap()["UserPoolClient"].clone();
    assert_eq!((&client["ClientId"], &client["AuthSessionValidity"]), (&json!("1client"), &json!(10)));
    let updated = stage.ask("UpdateUserPoolClient", json!({"ClientName": "web"})).unwrap()["UserPoolClient"].clone();
    assert_eq!((&updated["ClientName"], &updated["AuthSessionValidity"]), (&json!("web"), &json!(3)));
    assert_eq!((&updated["PreventUserExistenceErrors"], updated.get("AccessTokenValidity")), (&json!("LEGACY"), None));
    assert_eq!(
        updated["ExplicitAuthFlows"],
        json!(["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"])
    );
    for wrong in [
        json!({"AuthSessionValidity": 2}),
        json!({"AuthSessionValidity": 16}),
        json!({"PreventUserExistenceErrors": "MAYBE"}),
        json!({"ExplicitAuthFlows": ["ALLOW_EVERYTHING"]}),
        json!({"ExplicitAuthFlows": ["CUSTOM_AUTH_FLOW_ONLY"]}),
        json!({"AccessTokenValidity": 1, "TokenValidityUnits": {"AccessToken": "minutes"}}),
        json!({"IdTokenValidity": 2, "TokenValidityUnits": {"IdToken": "days"}}),
        json!({"RefreshTokenValidity": 10_000}),
        json!({"TokenValidityUnits": {"AccessToken": "fortnights"}}),
    ] {
        assert_eq!(
            stage.ask("UpdateUserPoolClient", wrong.clone()).unwrap_err().kind,
            "InvalidParameterException",
            "{wrong}"
        );
    }
    // None of these has changed anything.
    assert_eq!(stage.ask("DescribeUserPoolClient", json!({})).unwrap()["UserPoolClient"], updated);
    let other = stage.complaint("DescribeUserPoolClient", json!({"ClientId": "2client"}));
    assert_eq!(other, "User pool client 2client does not exist.");
}

#[test]
fn settings_count_at_once() {
    let mut stage = Stage::default();
    stage.ask("UpdateUserPoolClient", json!({"ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"]})).unwrap();
    let refused = stage.initiate(json!({"USERNAME": "alice"}), json!(null)).unwrap_err();
    assert_eq!(refused.message, "CUSTOM_AUTH is not enabled for the client.");
    assert_eq!(stage.triggers(), [] as [Trigger; 0]);
}

#[test]
fn settings_that_count_are_refused_if_they_are_not_what_they_should_be() {
    let mut stage = Stage::default();
    for (settings, kind) in [
        (json!({"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": "true"}}), "SerializationException"),
        (json!({"Policies": {"PasswordPolicy": {"MinimumLength": "20"}}}), "SerializationException"),
        (json!({"Policies": {"PasswordPolicy": {"RequireNumbers": 1}}}), "SerializationException"),
        (json!({"Policies": {"PasswordPolicy": {"MinimumLength": 5}}}), "InvalidParameterException"),
        (json!({"Policies": {"PasswordPolicy": {"MinimumLength": 100}}}), "InvalidParameterException"),
    ] {
        assert_eq!(stage.ask("UpdateUserPool", settings.clone()).unwrap_err().kind, kind, "{settings}");
    }
    let policy = json!({"MinimumLength": 20, "RequireUppercase": true});
    stage.ask("UpdateUserPool", json!({"Policies": {"PasswordPolicy": policy}})).unwrap();
    let set = |password: &str| json!({"Username": "alice", "Password": password});
    let complaint = stage.complaint("AdminSetUserPassword", set("Correct horse 1"));
    assert_eq!(complaint, "Password did not conform with policy: Password not long enough");
    stage.ask("AdminSetUserPassword", set("A long password without anything else")).unwrap();
}
