//! What users do with their accounts and tokens.

use auth_challenge::challenge::UnixSeconds;
use local_pool::api::Call;
use local_pool::pool::Step;
use local_pool::trigger::{Outcome, Trigger};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::stage::{NOW, Stage, arn, returned, three_answers};

fn refresh(stage: &mut Stage, tokens: &Value) -> Result<Value, String> {
    let parameters = json!({"REFRESH_TOKEN": tokens["RefreshToken"]});
    let call = json!({"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": parameters, "ClientMetadata": {"a": "b"}});
    let reply = stage.ask("InitiateAuth", call).map_err(|error| error.message)?;
    Ok(reply["AuthenticationResult"].clone())
}

fn get_user(stage: &mut Stage, tokens: &Value) -> Result<Value, String> {
    stage.ask("GetUser", json!({"AccessToken": tokens["AccessToken"]})).map_err(|error| error.message)
}

#[test]
fn tokens_are_refreshed_and_remember_the_sign_in() {
    let mut stage = Stage::default();
    let first = stage.sign_in();
    stage.now = UnixSeconds(NOW.0 + 86_400);
    for flow in ["REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"] {
        let parameters = json!({"REFRESH_TOKEN": first["RefreshToken"], "DEVICE_KEY": "eu-west-1_device"});
        let reply = stage.ask("InitiateAuth", json!({"AuthFlow": flow, "AuthParameters": parameters})).unwrap();
        // No trigger of a sign-in runs.
        assert_eq!(stage.triggers(), []);
        let second = &reply["AuthenticationResult"];
        assert_eq!(second.get("RefreshToken"), None);
        for token in ["IdToken", "AccessToken"] {
            let (before, after) = (stage.claims(&first[token]), stage.claims(&second[token]));
            assert_eq!(before["origin_jti"], after["origin_jti"]);
            assert!(before["origin_jti"].is_string());
            assert_eq!((&after["auth_time"], &after["iat"]), (&json!(NOW.0), &json!(NOW.0 + 86_400)));
            assert_ne!(before["jti"], after["jti"]);
        }
    }
    // The newer call for it hands the client's metadata on, and needs no flow to be allowed.
    let call = json!({"RefreshToken": first["RefreshToken"]});
    let reply = stage.ask("GetTokensFromRefreshToken", call).unwrap();
    assert_eq!(stage.claims(&reply["AuthenticationResult"]["IdToken"])["auth_time"], NOW.0);
    for token in ["", "nonsense", first["AccessToken"].as_str().unwrap()] {
        let call = json!({"RefreshToken": token});
        assert_eq!(stage.complaint("GetTokensFromRefreshToken", call), "Invalid Refresh Token.");
        assert_eq!(refresh(&mut stage, &json!({"RefreshToken": token})).unwrap_err(), "Invalid Refresh Token.");
    }
}

#[test]
fn tokens_expire_when_the_client_says_so() {
    let mut stage = Stage::with_client(json!({
        "AccessTokenValidity": 10, "IdTokenValidity": 20, "RefreshTokenValidity": 2,
        "TokenValidityUnits": {"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "hours"},
    }));
    let tokens = stage.sign_in();
    assert_eq!(tokens["ExpiresIn"], 600);
    assert_eq!(stage.claims(&tokens["IdToken"])["exp"], NOW.0 + 1_200);
    assert_eq!(stage.claims(&tokens["AccessToken"])["exp"], NOW.0 + 600);
    stage.now = UnixSeconds(NOW.0 + 599);
    assert!(get_user(&mut stage, &tokens).is_ok());
    stage.now = UnixSeconds(NOW.0 + 600);
    assert_eq!(get_user(&mut stage, &tokens).unwrap_err(), "Access Token has expired");
    stage.now = UnixSeconds(NOW.0 + 7_199);
    assert!(refresh(&mut stage, &tokens).is_ok());
    stage.now = UnixSeconds(NOW.0 + 7_200);
    assert_eq!(refresh(&mut stage, &tokens).unwrap_err(), "Refresh Token has expired");
}

#[test]
fn a_validity_is_in_the_unit_that_the_client_says_or_in_hours() {
    for (units, validity, seconds) in [
        (json!({"AccessToken": "seconds"}), 300, 300),
        (json!({"AccessToken": "minutes"}), 5, 300),
        (json!({"AccessToken": "hours"}), 2, 7_200),
        (json!({"AccessToken": "days"}), 1, 86_400),
        (json!({}), 2, 7_200),
    ] {
        let mut stage = Stage::with_client(json!({"AccessTokenValidity": validity, "TokenValidityUnits": units}));
        assert_eq!(stage.sign_in()["ExpiresIn"], seconds, "{units}");
    }
}

#[test]
fn a_revoked_sign_in_is_over_and_no_other() {
    let mut stage = Stage::default();
    let (one, two) = (stage.sign_in(), stage.sign_in());
    let refreshed = refresh(&mut stage, &one).unwrap();
    stage.ask("RevokeToken", json!({"Token": one["RefreshToken"]})).unwrap();
    assert_eq!(refresh(&mut stage, &one).unwrap_err(), "Refresh Token has been revoked");
    for tokens in [&one, &refreshed] {
        assert_eq!(get_user(&mut stage, tokens).unwrap_err(), "Access Token has been revoked");
    }
    assert!(get_user(&mut stage, &two).is_ok() && refresh(&mut stage, &two).is_ok());
    // A token that is none is no error (RFC 7009 §2.2).
    assert!(stage.ask("RevokeToken", json!({"Token": "nonsense"})).is_ok());
    // But one with which nothing is revoked would be taken for a success.
    for kind in ["IdToken", "AccessToken"] {
        let error = stage.ask("RevokeToken", json!({"Token": two[kind]})).unwrap_err();
        assert_eq!(error.kind, "UnsupportedTokenTypeException", "{kind}");
    }

    let mut stage = Stage::with_client(json!({"EnableTokenRevocation": false}));
    let tokens = stage.sign_in();
    assert_eq!(stage.claims(&tokens["IdToken"]).get("origin_jti"), None);
    let error = stage.ask("RevokeToken", json!({"Token": tokens["RefreshToken"]})).unwrap_err();
    assert_eq!(error.kind, "UnsupportedOperationException");
}

#[test]
fn without_revocation_signing_out_still_ends_what_access_tokens_may_do() {
    let mut stage = Stage::with_client(json!({"EnableTokenRevocation": false}));
    let tokens = stage.sign_in();
    assert!(get_user(&mut stage, &tokens).is_ok());
    stage.ask("GlobalSignOut", json!({"AccessToken": tokens["AccessToken"]})).unwrap();
    assert_eq!(get_user(&mut stage, &tokens).unwrap_err(), "Access Token has been revoked");
}

#[test]
fn signing_out_of_everything_ends_all_sign_ins_so_far() {
    let mut stage = Stage::default();
    let (one, two) = (stage.sign_in(), stage.sign_in());
    stage.ask("GlobalSignOut", json!({"AccessToken": one["AccessToken"]})).unwrap();
    for tokens in [&one, &two] {
        assert_eq!(refresh(&mut stage, tokens).unwrap_err(), "Refresh Token has been revoked");
        assert_eq!(get_user(&mut stage, tokens).unwrap_err(), "Access Token has been revoked");
    }
    let three = stage.sign_in();
    assert!(get_user(&mut stage, &three).is_ok() && refresh(&mut stage, &three).is_ok());
}

#[test]
fn a_pool_that_has_moved_takes_no_access_tokens_of_its_old_address_and_renews_them() {
    let mut stage = Stage::default();
    let tokens = stage.sign_in();
    let state = stage.pool.to_state().unwrap();
    // The keys are the same, and so is everything that the tokens say, but for the issuer.
    stage.pool = state.restore(Stage::default().pool, "http://127.0.0.1:1/eu-west-1_LocalPool".to_owned()).unwrap();
    assert_eq!(get_user(&mut stage, &tokens).unwrap_err(), "Invalid Access Token");
    let renewed = refresh(&mut stage, &tokens).unwrap();
    assert_eq!(get_user(&mut stage, &renewed).unwrap()["Username"], "alice");
}

#[test]
fn an_access_token_tells_who_one_is_and_nothing_else_does() {
    let mut stage = Stage::default();
    let tokens = stage.sign_in();
    let user = get_user(&mut stage, &tokens).unwrap();
    assert_eq!(user["Username"], "alice");
    let attributes = user["UserAttributes"].as_array().unwrap();
    assert!(attributes.contains(&json!({"Name": "email_verified", "Value": "true"})));
    let access = tokens["AccessToken"].as_str().unwrap();
    let (rest, signature) = access.rsplit_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    let (_, claims) = rest.split_once('.').unwrap();
    for token in [
        tokens["IdToken"].as_str().unwrap().to_owned(),
        tokens["RefreshToken"].as_str().unwrap().to_owned(),
        format!("{rest}.{swapped}"),
        format!("{rest}."),
        format!("eyJhbGciOiJub25lIn0.{claims}."),
        "a.b.c".to_owned(),
        String::new(),
    ] {
        assert_eq!(
            get_user(&mut stage, &json!({"AccessToken": token})).unwrap_err(),
            "Invalid Access Token",
            "{token}"
        );
    }
    stage.ask("AdminDisableUser", json!({"Username": "alice"})).unwrap();
    assert_eq!(get_user(&mut stage, &tokens).unwrap_err(), "User is disabled.");
    assert_eq!(refresh(&mut stage, &tokens).unwrap_err(), "User is disabled.");
    stage.ask("AdminEnableUser", json!({"Username": "alice"})).unwrap();
    assert!(get_user(&mut stage, &tokens).is_ok());
    stage.ask("AdminDeleteUser", json!({"Username": "alice"})).unwrap();
    assert_eq!(get_user(&mut stage, &tokens).unwrap_err(), "User does not exist.");
    assert_eq!(refresh(&mut stage, &tokens).unwrap_err(), "Invalid Refresh Token.");
}

#[test]
fn somebody_signs_up_confirms_and_signs_in() {
    let mut stage = Stage::default();
    let attributes = json!([{"Name": "name", "Value": "Zoë"}]);
    let sign_up = json!({"Username": "zoe@example.com", "Password": "Correct horse 1", "UserAttributes": attributes});
    let reply = stage.ask("SignUp", sign_up.clone()).unwrap();
    assert_eq!(reply["UserConfirmed"], false);
    let delivery = json!({"AttributeName": "email", "DeliveryMedium": "EMAIL", "Destination": "z***@e***"});
    assert_eq!(reply["CodeDeliveryDetails"], delivery);
    let letters = stage.pool.take_letters();
    assert_eq!((letters.len(), &*letters[0].to), (1, "zoe@example.com"));
    let code = letters[0].text.trim().rsplit(' ').next().unwrap().to_owned();

    let again = stage.ask("SignUp", sign_up).unwrap_err();
    assert_eq!(
        (again.kind, &*again.message),
        ("UsernameExistsException", "An account with the given email already exists.")
    );
    let confirm = |code: &str| json!({"Username": "zoe@example.com", "ConfirmationCode": code});
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for code in [wrong, "0"] {
        assert_eq!(stage.ask("ConfirmSignUp", confirm(code)).unwrap_err().kind, "CodeMismatchException");
    }
    stage.ask("ConfirmSignUp", confirm(&code)).unwrap();
    let message = stage.complaint("ConfirmSignUp", confirm(&code));
    assert_eq!(message, "User cannot be confirmed. Current status is CONFIRMED");
    let carol = json!({"Username": "carol@example.com", "ConfirmationCode": "123456"});
    let message = stage.complaint("ConfirmSignUp", carol);
    assert_eq!(message, "User cannot be confirmed. Current status is FORCE_CHANGE_PASSWORD");
    let nobody = json!({"Username": "nobody@example.com", "ConfirmationCode": "123456"});
    assert_eq!(stage.ask("ConfirmSignUp", nobody).unwrap_err().kind, "CodeMismatchException");

    let zoe = stage.ask("AdminGetUser", json!({"Username": "zoe@example.com"})).unwrap();
    let attributes = zoe["UserAttributes"].as_array().unwrap();
    assert!(attributes.contains(&json!({"Name": "email_verified", "Value": "true"})));
    assert!(attributes.contains(&json!({"Name": "sub", "Value": reply["UserSub"]})));
    let challenge = stage.initiate(json!({"USERNAME": "Zoe@example.com"}), json!(null)).unwrap();
    let username = challenge["ChallengeParameters"]["USERNAME"].as_str().unwrap().to_owned();
    assert!(stage.respond(&challenge["Session"], &username, "right").is_ok());
}

#[test]
fn a_code_proves_the_address_that_it_was_mailed_to() {
    let mut stage = Stage::default();
    stage.ask("SignUp", json!({"Username": "zoe@example.com", "Password": "Correct horse 1"})).unwrap();
    let code = stage.pool.take_letters()[0].text.trim().rsplit(' ').next().unwrap().to_owned();
    let moved = json!([{"Name": "email", "Value": "zoe@example.org"}]);
    stage.ask("AdminUpdateUserAttributes", json!({"Username": "zoe@example.com", "UserAttributes": moved})).unwrap();
    stage.ask("ConfirmSignUp", json!({"Username": "zoe@example.org", "ConfirmationCode": code})).unwrap();
    let zoe = stage.ask("AdminGetUser", json!({"Username": "zoe@example.org"})).unwrap();
    assert_eq!(zoe["UserStatus"], "CONFIRMED");
    assert!(zoe["UserAttributes"].as_array().unwrap().contains(&json!({"Name": "email_verified", "Value": "false"})));
}

#[test]
fn a_pool_that_verifies_no_addresses_mails_no_codes_and_believes_none() {
    let mut stage = Stage::default();
    stage.ask("SignUp", json!({"Username": "zoe@example.com", "Password": "Correct horse 1"})).unwrap();
    let code = stage.pool.take_letters()[0].text.trim().rsplit(' ').next().unwrap().to_owned();
    stage.ask("UpdateUserPool", json!({"AutoVerifiedAttributes": ["phone_number"]})).unwrap();
    stage.ask("ConfirmSignUp", json!({"Username": "zoe@example.com", "ConfirmationCode": code})).unwrap();
    let zoe = stage.ask("AdminGetUser", json!({"Username": "zoe@example.com"})).unwrap();
    assert_eq!(zoe["UserStatus"], "CONFIRMED");
    assert!(zoe["UserAttributes"].as_array().unwrap().contains(&json!({"Name": "email_verified", "Value": "false"})));
    let reply = stage.ask("SignUp", json!({"Username": "yan@example.com", "Password": "Correct horse 1"})).unwrap();
    assert_eq!((reply.get("CodeDeliveryDetails"), stage.pool.take_letters()), (None, Vec::new()));
}

#[test]
fn who_signs_up_needs_a_password_unless_cognito_mails_codes_itself() {
    let mut stage = Stage::default();
    let sign_up = json!({"Username": "zoe@example.com"});
    assert_eq!(stage.complaint("SignUp", sign_up.clone()), "Missing required parameter Password");
    for (factors, is_enough) in [
        (json!(["PASSWORD", "WEB_AUTHN"]), false),
        (json!(["PASSWORD", "EMAIL_OTP"]), true),
        (json!(["SMS_OTP"]), true),
    ] {
        let policies = json!({"SignInPolicy": {"AllowedFirstAuthFactors": factors}});
        let mut stage = Stage::default();
        stage.ask("UpdateUserPool", json!({"Policies": policies})).unwrap();
        assert_eq!(stage.ask("SignUp", sign_up.clone()).is_ok(), is_enough, "{policies}");
    }
}

#[test]
fn a_password_may_be_as_short_as_the_policy_says() {
    let mut stage = Stage::default();
    let sign_up = |password: &str| json!({"Username": "zoe@example.com", "Password": password});
    // Characters count, not octets.
    for short in ["Aa1 aaa", "Aa1 äöü"] {
        let complaint = stage.complaint("SignUp", sign_up(short));
        assert_eq!(complaint, "Password did not conform with policy: Password not long enough");
    }
    stage.ask("SignUp", sign_up("Aa1 aaaa")).unwrap();
}

#[test]
fn what_a_sign_up_cannot_be() {
    let mut stage = Stage::default();
    let sign_up = |name: &str, password: &str| json!({"Username": name, "Password": password});
    assert_eq!(stage.complaint("SignUp", sign_up("zoe", "Correct horse 1")), "Username should be an email.");
    for (password, complaint) in [
        ("Aa1 ", "Password not long enough"),
        ("correct horse 1", "Password must have uppercase characters"),
        ("CORRECT HORSE 1", "Password must have lowercase characters"),
        ("Correct horse", "Password must have numeric characters"),
        ("Correcthorse1", "Password must have symbol characters"),
    ] {
        let error = stage.ask("SignUp", sign_up("zoe@example.com", password)).unwrap_err();
        assert_eq!(error.kind, "InvalidPasswordException");
        assert_eq!(error.message, format!("Password did not conform with policy: {complaint}"));
    }
    stage.ask("SignUp", json!({"Username": "zoe@example.com", "Password": "Correct horse 1"})).unwrap();
    let only_admins = json!({"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true}});
    stage.ask("UpdateUserPool", only_admins).unwrap();
    let error = stage.ask("SignUp", sign_up("yan@example.com", "Correct horse 1")).unwrap_err();
    assert_eq!((error.kind, &*error.message), ("NotAuthorizedException", "SignUp is not permitted for this user pool"));
}

#[test]
fn t31_nobody_chooses_what_the_pool_knows_better() {
    let mut stage = Stage::default();
    let mut sign_up = |name: &str, value: &str| {
        let attributes = json!([{"Name": name, "Value": value}]);
        let call = json!({"Username": "mal@example.com", "Password": "Correct horse 1", "UserAttributes": attributes});
        stage.ask("SignUp", call).map_err(|error| error.message)
    };
    for name in ["sub", "email_verified", "phone_number_verified"] {
        assert_eq!(sign_up(name, "true"), Err("A client attempted to write unauthorized attribute".to_owned()));
    }
    // Claims of tokens are no attributes.
    for name in ["exp", "iss", "aud", "token_use", "auth_time", "cognito:groups", "cognito:username", "custom:", "x"] {
        let why = format!("Type for attribute {{{name}}} could not be determined");
        assert_eq!(sign_up(name, "1"), Err(format!("Attributes did not conform to the schema: {why}")));
    }
    let another = "User email should be empty or same as username, since username attribute is email";
    assert_eq!(sign_up("email", "alice@example.com"), Err(another.to_owned()));
    assert_eq!(sign_up("email", "mal"), Err("Invalid email address format.".to_owned()));
    // What an application calls verified is its own affair.
    assert!(sign_up("custom:id_verified", "2026-01-01").is_ok());
}

#[test]
fn people_are_called_by_their_address_and_by_no_other() {
    let mut stage = Stage::default();
    let another = "User email should be empty or same as username, since username attribute is email";
    for (name, email, complaint) in [
        ("zoe", None, "Username should be an email."),
        ("zoe", Some("zoe@example.com"), "Username should be an email."),
        ("zoe@example.com", Some("yan@example.com"), another),
        ("zoe@example.com", Some("alice@example.com"), another),
    ] {
        let attributes: Vec<Value> = email.map(|email| json!({"Name": "email", "Value": email})).into_iter().collect();
        let call = json!({"Username": name, "Password": "Correct horse 1", "UserAttributes": attributes});
        for operation in ["SignUp", "AdminCreateUser"] {
            let error = stage.ask(operation, call.clone()).unwrap_err();
            assert_eq!((error.kind, &*error.message), ("InvalidParameterException", complaint), "{operation} {name}");
        }
    }
    for (operation, name, email) in
        [("SignUp", "zoe@example.com", "Zoe@example.com"), ("AdminCreateUser", "yan@example.com", "yan@example.com")]
    {
        let attributes = json!([{"Name": "email", "Value": email}]);
        let call = json!({"Username": name, "Password": "Correct horse 1", "UserAttributes": attributes});
        assert!(stage.ask(operation, call).is_ok(), "{operation}");
    }
}

#[test]
fn a_new_password_does_not_make_anybody_somebody_else() {
    let mut stage = Stage::default();
    let temporary = json!({
        "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "carol", "PASSWORD": "Temporary horse 1"},
    });
    let [session, second, third, fourth, fifth] =
        [(); 5].map(|()| stage.ask("InitiateAuth", temporary.clone()).unwrap()["Session"].clone());
    let answer = |session: &Value, password: &str, attribute: &str, value: &str| {
        let mut responses = json!({"USERNAME": "carol", "NEW_PASSWORD": password});
        responses[format!("userAttributes.{attribute}")] = json!(value);
        json!({"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": session, "ChallengeResponses": responses})
    };
    for name in ["sub", "email_verified"] {
        let message = stage.complaint("RespondToAuthChallenge", answer(&session, "Correct horse 3", name, "true"));
        assert_eq!(message, "A client attempted to write unauthorized attribute");
    }
    let message = stage.complaint("RespondToAuthChallenge", answer(&session, "Correct horse 3", "exp", "9"));
    assert!(message.starts_with("Attributes did not conform to the schema"), "{message}");
    // The address that everybody has is not for the temporary password to change, nor to confirm.
    for (session, email) in
        [(&session, "alice@example.com"), (&second, "caroline@example.com"), (&third, "carol@example.com")]
    {
        let error =
            stage.ask("RespondToAuthChallenge", answer(session, "Correct horse 3", "email", email)).unwrap_err();
        assert_eq!(
            (error.kind, &*error.message),
            ("NotAuthorizedException", "Cannot modify an already provided email")
        );
    }

    let named = answer(&fourth, "Correct horse 3", "name", "Caroline");
    let tokens = stage.ask("RespondToAuthChallenge", named).unwrap()["AuthenticationResult"].clone();
    let claims = stage.claims(&tokens["IdToken"]);
    assert_eq!((&claims["name"], &claims["email"]), (&json!("Caroline"), &json!("carol@example.com")));
    assert_eq!(claims["email_verified"], true);
    // Whoever saw the temporary password as well comes too late.
    let late = answer(&fifth, "Correct horse 4", "name", "Mallory");
    assert_eq!(stage.complaint("RespondToAuthChallenge", late), "Invalid session for the user.");
    let sign_in = |password: &str| {
        let parameters = json!({"USERNAME": "carol", "PASSWORD": password});
        json!({"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters})
    };
    assert!(stage.ask("InitiateAuth", sign_in("Correct horse 3")).is_ok());
    // Nor is an older temporary password of use once there is another.
    let temporary = |stage: &mut Stage, password: &str| {
        stage.ask("AdminSetUserPassword", json!({"Username": "carol", "Password": password})).unwrap();
    };
    temporary(&mut stage, "Temporary horse 2");
    let seen = stage.ask("InitiateAuth", sign_in("Temporary horse 2")).unwrap()["Session"].clone();
    temporary(&mut stage, "Temporary horse 3");
    let late = answer(&seen, "Correct horse 4", "name", "Mallory");
    assert_eq!(stage.complaint("RespondToAuthChallenge", late), "Invalid session for the user.");
}

#[test]
fn a_name_that_somebody_else_has_now_does_not_lead_to_them() {
    let mut stage = Stage::with_users(
        "[[user]]\nemail = \"old@example.com\"\nusername = \"shared@example.com\"\npassword = \"Temporary horse 1\"\n\
         status = \"FORCE_CHANGE_PASSWORD\"",
    );
    let parameters = json!({"USERNAME": "shared@example.com", "PASSWORD": "Temporary horse 1"});
    let call = json!({"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters});
    let session = stage.ask("InitiateAuth", call).unwrap()["Session"].clone();
    stage.ask("AdminDeleteUser", json!({"Username": "shared@example.com"})).unwrap();
    let new = json!({"Username": "shared@example.com", "Password": "Correct horse 1"});
    stage.ask("SignUp", new).unwrap();
    let answer = json!({
        "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": session,
        "ChallengeResponses": {"USERNAME": "shared@example.com", "NEW_PASSWORD": "Mallory's horse 1"},
    });
    assert_eq!(stage.complaint("RespondToAuthChallenge", answer), "Invalid session for the user.");
}

#[test]
fn pre_sign_up_decides() {
    let sign_up = json!({
        "Username": "zoe@example.com", "Password": "Correct horse 1", "ClientMetadata": {"from": "shop"},
        "ValidationData": [{"Name": "captcha", "Value": "x"}],
    });
    let with = || Stage::with_triggers(json!({"PreSignUp": arn("pre-sign-up")}));
    let mut stage = with();
    let confirm = json!({"autoConfirmUser": true, "autoVerifyEmail": true, "autoVerifyPhone": false});
    let reply = stage.call("SignUp", sign_up.clone(), |_, event| returned(event, confirm.clone())).unwrap();
    assert_eq!(reply["UserConfirmed"], true);
    assert_eq!(stage.pool.take_letters(), []);
    let (trigger, event) = &stage.events[0];
    assert_eq!((*trigger, &event["triggerSource"]), (Trigger::PreSignUp, &json!("PreSignUp_SignUp")));
    assert_eq!(
        event["request"],
        json!({
            "userAttributes": {"email": "zoe@example.com"}, "validationData": {"captcha": "x"},
            "clientMetadata": {"from": "shop"},
        })
    );
    assert_eq!(
        event["response"],
        json!({"autoConfirmUser": false, "autoVerifyEmail": false, "autoVerifyPhone": false})
    );
    assert_eq!(event["userName"], reply["UserSub"]);
    assert!(stage.initiate(json!({"USERNAME": "zoe@example.com"}), json!(null)).is_ok());

    // What is not there is not verified.
    let flags = json!({"autoConfirmUser": true, "autoVerifyEmail": false, "autoVerifyPhone": true});
    let verified = |attributes: Value| {
        let mut stage = with();
        let call = json!({"Username": "zoe@example.com", "Password": "Correct horse 1", "UserAttributes": attributes});
        stage.call("SignUp", call, |_, event| returned(event, flags.clone())).unwrap();
        let zoe = stage.ask("AdminGetUser", json!({"Username": "zoe@example.com"})).unwrap();
        let attributes = zoe["UserAttributes"].as_array().unwrap();
        attributes.iter().find(|a| a["Name"] == "phone_number_verified").map(|a| a["Value"].clone())
    };
    assert_eq!(verified(json!([{"Name": "phone_number", "Value": "+15550000001"}])), Some(json!("true")));
    assert_eq!(verified(json!([])), None);

    let mut stage = with();
    let error = stage.call("SignUp", sign_up.clone(), |_, _| Outcome::Failed("No.".to_owned())).unwrap_err();
    assert_eq!((error.kind, &*error.message), ("UserLambdaValidationException", "PreSignUp failed with error No.."));
    assert_eq!(
        stage.ask("AdminGetUser", json!({"Username": "zoe@example.com"})).unwrap_err().kind,
        "UserNotFoundException"
    );
    let reply = stage.call("SignUp", sign_up.clone(), |_, event| returned(event, json!({"autoConfirmUser": "yes"})));
    assert_eq!(reply.unwrap_err().message, "Unrecognizable lambda output");

    // Administrators confirm whom they make themselves.
    let create = json!({"Username": "yan@example.com", "ClientMetadata": {"from": "admin"}});
    let reply = stage.call("AdminCreateUser", create, |_, event| returned(event, confirm.clone())).unwrap();
    assert_eq!(reply["User"]["UserStatus"], "FORCE_CHANGE_PASSWORD");
    let event = &stage.events[0].1;
    assert_eq!(event["triggerSource"], "PreSignUp_AdminCreateUser");
    // An administrator comes through no app client.
    assert_eq!(event["callerContext"]["clientId"], "CLIENT_ID_NOT_APPLICABLE");
    let attributes = json!({"email": "yan@example.com", "cognito:user_status": "FORCE_CHANGE_PASSWORD"});
    assert_eq!(event["request"]["userAttributes"], attributes);
    assert_eq!(event["request"]["validationData"], Value::Null);
}

#[test]
fn two_sign_ups_at_once_make_one_user() {
    let mut stage = Stage::with_triggers(json!({"PreSignUp": arn("pre-sign-up")}));
    let sign_up = json!({"ClientId": "1client", "Username": "zoe@example.com", "Password": "Correct horse 1"});
    let target = "AWSCognitoIdentityProviderService.SignUp";
    let call = Call::read(target, sign_up.to_string().as_bytes(), false).unwrap();
    let rng = &mut UnwrapErr(SysRng);
    // Both are with the trigger before either is done.
    let steps = [(); 2].map(|()| stage.pool.handle(&call, NOW, rng));
    let replies = steps.map(|step| {
        let Step::Invoke(invocation) = step else { panic!("no trigger") };
        let outcome = three_answers(invocation.trigger, &invocation.event);
        match stage.pool.resume(invocation.then, outcome, NOW, rng) {
            Step::Reply(reply) => reply.map(drop).map_err(|error| error.kind),
            Step::Invoke(_) => panic!("another trigger"),
        }
    });
    assert_eq!(replies, [Ok(()), Err("UsernameExistsException")]);
}
