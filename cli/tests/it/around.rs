//! The triggers around a sign-in, attached: signing up, proving an address, and what tokens say.

use local_pool::server::Options;
use local_pool::trigger::{Outcome, Trigger};
use serde_json::{Value, json};

use crate::dynamodb::DynamoDb;
use crate::running::{Running, start, start_with};

const ALICE: &str = "alice@example.com";
const ZOE: &str = "zoe@example.com";
const PASSWORD: &str = "Correct horse 1";
const AROUND: [Trigger; 3] = [Trigger::PreSignUp, Trigger::PreTokenGeneration, Trigger::PostAuthentication];

fn attach(options: &mut Options) {
    options.triggers.extend(AROUND.map(|trigger| (trigger, trigger.function().to_owned())));
}

/// With a password flow that somebody has left on.
fn leave_on(options: &mut Options) {
    let flows = json!(["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_PASSWORD_AUTH"]);
    options.client_settings.insert("ExplicitAuthFlows".to_owned(), flows);
}

async fn start_attached(settings: &[(&str, &str)]) -> Running {
    start_with(settings, attach).await
}

/// A pool whose users prove their addresses, and where they are counted.
async fn proving(settings: &[(&str, &str)], change: impl FnOnce(&mut Options)) -> (Running, DynamoDb) {
    let dynamodb = DynamoDb::start().await;
    let url = dynamodb.url.clone();
    let given =
        [&[("AUTO_CONFIRM", "true"), ("VERIFY_BY_CODE", "true"), ("LIMITS_TABLE", "limits")], settings].concat();
    let pool = start_with(&given, |options| {
        attach(options);
        options.variables.entry("AWS_ENDPOINT_URL_DYNAMODB".to_owned()).or_insert(url);
        change(options);
    })
    .await;
    (pool, dynamodb)
}

async fn sign_up(pool: &Running, email: &str) -> Result<Value, (String, String)> {
    pool.call("SignUp", json!({"Username": email, "Password": PASSWORD})).await
}

/// Signs in by the code in the mail.
async fn sign_in(pool: &Running, email: &str) -> Result<Value, (String, String)> {
    let challenge = pool.initiate(email).await?;
    let code = pool.code(email).await;
    pool.respond(&challenge, email, &code, json!({"signed_in_by": "a stranger's words"})).await
}

async fn sign_in_by_password(pool: &Running, email: &str) -> Result<Value, (String, String)> {
    let given = json!({"USERNAME": email, "PASSWORD": PASSWORD});
    pool.call("InitiateAuth", json!({"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": given})).await
}

async fn admin(pool: &Running, operation: &str, email: &str, mut parameters: Value) -> Value {
    parameters["UserPoolId"] = pool.addresses.user_pool_id.as_str().into();
    parameters["Username"] = email.into();
    pool.call(operation, parameters).await.unwrap()
}

async fn attribute(pool: &Running, user: &str, name: &str) -> String {
    let user = admin(pool, "AdminGetUser", user, json!({})).await;
    let all = user["UserAttributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["Name"] == name);
    found.map(|attribute| attribute["Value"].as_str().unwrap().to_owned()).unwrap_or_default()
}

async fn is_verified(pool: &Running, user: &str) -> bool {
    attribute(pool, user, "email_verified").await == "true"
}

fn logged(pool: &Running, what: &str) -> usize {
    pool.lines.lock().unwrap().iter().filter(|line| line.contains(what)).count()
}

/// The first event that post-authentication was given.
fn post_authentication_event(pool: &Running) -> Value {
    let exchanges = pool.exchanges.lock().unwrap();
    let (_, event, outcome) = exchanges.iter().find(|(trigger, ..)| *trigger == Trigger::PostAuthentication).unwrap();
    assert!(matches!(outcome, Outcome::Returned(_)));
    event.clone()
}

/// The claims of the ID token and of the access token.
fn claims(reply: &Value) -> [Value; 2] {
    ["IdToken", "AccessToken"].map(|kind| {
        let token = reply["AuthenticationResult"][kind].as_str().unwrap();
        jsonwebtoken::dangerous::insecure_decode(token).unwrap().claims
    })
}

fn refused(trigger: &str, words: &str) -> Result<Value, (String, String)> {
    Err(("UserLambdaValidationException".to_owned(), format!("{trigger} failed with error {words}.")))
}

#[tokio::test]
async fn by_default_the_triggers_around_change_nothing() {
    let without = start(&[]).await;
    let with = start_attached(&[]).await;
    for pool in [&without, &with] {
        let names = |reply: &Value| claims(reply).map(|claims| claims.as_object().unwrap().keys().cloned().collect());
        let signed_in: [Vec<String>; 2] = names(&sign_in(pool, "staff@example.com").await.unwrap());
        assert!(signed_in.iter().flatten().all(|name| !name.starts_with("signed_in")), "{signed_in:?}");
        assert!(signed_in.iter().all(|names| names.contains(&"cognito:groups".to_owned())), "{signed_in:?}");

        let made = sign_up(pool, ZOE).await.unwrap();
        assert_eq!(made["UserConfirmed"], false);
        let unconfirmed = pool.initiate(ZOE).await.unwrap_err();
        assert_eq!(unconfirmed.0, "UserNotConfirmedException");
        // R25: no code goes to an address that nobody has verified.
        pool.initiate("unverified@example.com").await.unwrap();
        let sign_in_mails = pool.mails().await.into_iter().filter(|mail| !mail.tags.is_empty());
        assert_eq!(sign_in_mails.map(|mail| mail.to).collect::<Vec<_>>(), ["staff@example.com"]);
    }
    assert_eq!(logged(&with, "address_"), 0);
}

#[tokio::test]
async fn nobody_signs_up_with_a_domain_that_is_not_admitted() {
    let pool = start_attached(&[("BLOCKED_EMAIL_DOMAINS", "blocked.example")]).await;
    assert_eq!(sign_up(&pool, "eve@blocked.example").await, refused("PreSignUp", "This sign-up is not allowed"));
    assert!(sign_up(&pool, ZOE).await.is_ok());
    // An administrator knows what they do.
    let made = admin(&pool, "AdminCreateUser", "mallory@blocked.example", json!({})).await;
    assert_eq!(made["User"]["UserStatus"], "FORCE_CHANGE_PASSWORD");
}

#[tokio::test]
async fn t33_who_is_confirmed_at_once_has_an_address_that_is_not_verified_and_gets_no_code() {
    let pool = start_attached(&[("AUTO_CONFIRM", "true")]).await;
    assert_eq!(sign_up(&pool, ZOE).await.unwrap()["UserConfirmed"], true);
    assert!(!is_verified(&pool, ZOE).await);
    assert_eq!(pool.initiate(ZOE).await.unwrap()["ChallengeName"], "CUSTOM_CHALLENGE");
    assert_eq!(pool.mails().await.len(), 0);
}

#[tokio::test]
async fn who_has_signed_up_is_verified_by_the_first_right_code() {
    let (pool, _dynamodb) = proving(&[], |_| ()).await;
    assert_eq!(sign_up(&pool, ZOE).await.unwrap()["UserConfirmed"], true);
    let challenge = pool.initiate(ZOE).await.unwrap();
    let again = pool.respond(&challenge, ZOE, "0000 0000", json!(null)).await.unwrap();
    assert!(!is_verified(&pool, ZOE).await, "a wrong answer proves nothing");
    let code = pool.code(ZOE).await;
    assert!(pool.respond(&again, ZOE, &code, json!(null)).await.unwrap()["AuthenticationResult"].is_object());
    assert!(is_verified(&pool, ZOE).await);
    assert_eq!((logged(&pool, "address_verified"), logged(&pool, "address_not")), (1, 0));

    // Cognito's repeat changes nothing, and is let go on.
    pool.invoke("post-authentication", post_authentication_event(&pool).to_string()).await.unwrap();
    assert!(is_verified(&pool, ZOE).await);
    // From now on there is nothing to prove.
    assert!(sign_in(&pool, ZOE).await.is_ok());
    assert_eq!(logged(&pool, "address_verified"), 2);
}

#[tokio::test]
async fn t32_a_password_proves_no_address() {
    let (pool, _dynamodb) = proving(&[], leave_on).await;
    sign_up(&pool, ZOE).await.unwrap();
    // A code is on its way, and its owner has not answered.
    pool.initiate(ZOE).await.unwrap();
    assert!(sign_in_by_password(&pool, ZOE).await.unwrap()["AuthenticationResult"].is_object());
    assert!(!is_verified(&pool, ZOE).await);
    assert_eq!((logged(&pool, "address_verified"), logged(&pool, "address_not_proved")), (0, 1));
}

#[tokio::test]
async fn t31_a_code_that_was_mailed_to_one_address_proves_no_other() {
    let (pool, _dynamodb) = proving(&[], |_| ()).await;
    sign_up(&pool, ZOE).await.unwrap();
    let challenge = pool.initiate(ZOE).await.unwrap();
    let code = pool.code(ZOE).await;
    let victim = json!([{"Name": "email", "Value": "victim@example.com"}]);
    admin(&pool, "AdminUpdateUserAttributes", ZOE, json!({"UserAttributes": victim})).await;
    let name = challenge["ChallengeParameters"]["USERNAME"].as_str().unwrap();
    let answered = pool.respond(&challenge, name, &code, json!(null)).await;
    assert_eq!(answered.unwrap_err().0, "NotAuthorizedException");
    assert!(!is_verified(&pool, "victim@example.com").await);
}

/// Between the event and the mark the user may get another address.
#[tokio::test]
async fn t31_what_is_marked_is_the_address_that_was_proved_whatever_the_user_has_by_then() {
    let (pool, _dynamodb) = proving(&[], |_| ()).await;
    let sub = sign_up(&pool, ZOE).await.unwrap()["UserSub"].as_str().unwrap().to_owned();
    sign_in(&pool, ZOE).await.unwrap();
    let victim = json!([{"Name": "email", "Value": "victim@example.com"}]);
    admin(&pool, "AdminUpdateUserAttributes", &sub, json!({"UserAttributes": victim})).await;
    pool.invoke("post-authentication", post_authentication_event(&pool).to_string()).await.unwrap();
    assert_eq!(logged(&pool, "address_verified"), 2);
    assert_eq!((attribute(&pool, &sub, "email").await, is_verified(&pool, &sub).await), (ZOE.to_owned(), true));
}

#[tokio::test]
async fn who_cannot_be_marked_is_signed_in_all_the_same() {
    let nowhere = |variable: &'static str| {
        move |options: &mut Options| {
            options.variables.insert(variable.to_owned(), "http://127.0.0.1:1".to_owned());
        }
    };
    let (pool, _dynamodb) = proving(&[], nowhere("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")).await;
    sign_up(&pool, ZOE).await.unwrap();
    assert!(sign_in(&pool, ZOE).await.unwrap()["AuthenticationResult"].is_object());
    assert!(!is_verified(&pool, ZOE).await);
    assert_eq!(logged(&pool, r#""message":"address_not_marked""#), 1);
    let lines = pool.lines.lock().unwrap();
    assert!(!lines.iter().any(|line| line.contains("zoe") || line.contains("example.com")), "{lines:#?}");
}

#[tokio::test]
async fn g11_no_address_or_word_of_a_strangers_is_logged_around_a_sign_in() {
    let settings =
        [("SIGN_IN_CLAIMS", "true"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("BLOCKED_EMAIL_DOMAINS", "a.example")];
    let (pool, dynamodb) = proving(&settings, leave_on).await;
    assert!(sign_up(&pool, "eve@a.example").await.is_err());
    sign_up(&pool, ZOE).await.unwrap();
    sign_in_by_password(&pool, ZOE).await.unwrap();
    sign_in(&pool, ZOE).await.unwrap();
    for outcome in ["sign_up_refused", "sign_up_admitted", "address_not_proved", "address_verified", "tokens_issued"] {
        assert!(logged(&pool, outcome) > 0, "{outcome}");
    }
    let name = attribute(&pool, ZOE, "sub").await;
    let lines = pool.lines.lock().unwrap();
    for word in ["zoe", "eve@", "example.com", "a.example", "stranger", "horse", &name] {
        assert!(!lines.iter().any(|line| line.contains(word)), "{word}: {lines:#?}");
    }
    let items = format!("{:?}", dynamodb.tables.lock().unwrap().items);
    assert!(items.contains("proof") && !items.contains("zoe") && !items.contains(&name), "{items}");
}

#[tokio::test]
async fn a_new_password_gets_no_tokens_where_only_codes_count() {
    let pool = start_with(&[("ONLY_BY_CODE", "true")], |options| {
        attach(options);
        leave_on(options);
    })
    .await;
    let verified = json!([{"Name": "email_verified", "Value": "true"}]);
    let new = json!({"TemporaryPassword": PASSWORD, "MessageAction": "SUPPRESS", "UserAttributes": verified});
    admin(&pool, "AdminCreateUser", ZOE, new).await;
    let challenge = sign_in_by_password(&pool, ZOE).await.unwrap();
    assert_eq!(challenge["ChallengeName"], "NEW_PASSWORD_REQUIRED");
    let answer = json!({
        "ChallengeName": "NEW_PASSWORD_REQUIRED",
        "Session": challenge["Session"],
        "ChallengeResponses": {"USERNAME": ZOE, "NEW_PASSWORD": "Correct horse 2"},
    });
    let no_tokens = refused("PreTokenGeneration", "This sign-in is not allowed");
    assert_eq!(pool.call("RespondToAuthChallenge", answer).await, no_tokens);
    assert_eq!(logged(&pool, r#""message":"tokens_refused""#), 1);
    assert!(sign_in(&pool, ZOE).await.unwrap()["AuthenticationResult"].is_object());
}

/// T32: whoever signed up with somebody else's address, and a password, which a flow takes that was left on.
#[tokio::test]
async fn t32_a_password_gets_no_tokens_for_an_address_that_gets_no_code() {
    let pool = start_with(&[("ONLY_BY_CODE", "true"), ("AUTO_CONFIRM", "true")], |options| {
        attach(options);
        leave_on(options);
    })
    .await;
    sign_up(&pool, ZOE).await.unwrap();
    let no_tokens = refused("PreTokenGeneration", "This sign-in is not allowed");
    assert_eq!(sign_in_by_password(&pool, ZOE).await, no_tokens);
}

/// What the event does not tell, no trigger can refuse. The README and the settings say so.
#[tokio::test]
async fn a_flow_left_on_at_the_same_client_is_not_seen() {
    let pool = start_with(&[("ONLY_BY_CODE", "true")], |options| {
        attach(options);
        leave_on(options);
    })
    .await;
    admin(&pool, "AdminSetUserPassword", ALICE, json!({"Password": PASSWORD, "Permanent": true})).await;
    assert!(sign_in_by_password(&pool, ALICE).await.unwrap()["AuthenticationResult"].is_object());
}

#[tokio::test]
async fn t46_tokens_tell_how_and_when_and_keep_groups_in_both_versions() {
    for (version, tells_access) in [("V1_0", false), ("V2_0", true)] {
        let pool = start_with(&[("SIGN_IN_CLAIMS", "true"), ("ONLY_BY_CODE", "true")], |options| {
            attach(options);
            let config = json!({"PreTokenGenerationConfig": {"LambdaVersion": version}});
            options.pool_settings.insert("LambdaConfig".to_owned(), config);
        })
        .await;
        let reply = sign_in(&pool, "staff@example.com").await.unwrap();
        let [id, access] = claims(&reply);
        for (token, tells) in [(&id, true), (&access, tells_access)] {
            assert_eq!(token["signed_in_by"] == "otp", tells, "{version}: {token}");
            let at = token["signed_in_at"].as_str().map(|at| at.parse::<u64>().unwrap());
            assert_eq!(at.is_some_and(|at| at.abs_diff(token["auth_time"].as_u64().unwrap()) <= 5), tells, "{token}");
            assert_eq!(token["cognito:groups"], json!(["staff"]), "{version}");
            assert!(!token.to_string().contains("stranger"), "T46, {version}: {token}");
        }

        let renewed = json!({"RefreshToken": reply["AuthenticationResult"]["RefreshToken"]});
        let renewed = claims(&pool.call("GetTokensFromRefreshToken", renewed).await.unwrap());
        for (token, before) in renewed.iter().zip([&id, &access]) {
            assert!(token.get("signed_in_by").is_none() && token.get("signed_in_at").is_none(), "{version}: {token}");
            assert_eq!((&token["auth_time"], &token["cognito:groups"]), (&before["auth_time"], &json!(["staff"])));
        }
        // Who has no groups has none.
        let [id, _] = claims(&sign_in(&pool, ALICE).await.unwrap());
        assert_eq!((&id["signed_in_by"], id.get("cognito:groups")), (&json!("otp"), None), "{version}");
    }
}
