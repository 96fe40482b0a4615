//! The AWS SDK for Rust against the local pool: public calls without a signature, calls of servers with one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::operation::initiate_auth::InitiateAuthOutput;
use aws_sdk_cognitoidentityprovider::operation::respond_to_auth_challenge::RespondToAuthChallengeOutput;
use aws_sdk_cognitoidentityprovider::types::{
    AuthFlowType, ChallengeNameType, ContextDataType, LambdaConfigType, UserContextDataType, UserStatusType,
};

use crate::running::{Running, start, start_with};

const ALICE: &str = "alice@example.com";

fn client(pool: &Running) -> Client {
    let config = aws_sdk_cognitoidentityprovider::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(&pool.addresses.endpoint);
    Client::from_conf(config.build())
}

/// An error's name and text.
fn told<E: ProvideErrorMetadata>(error: &SdkError<E>) -> (String, String) {
    (error.code().unwrap().to_owned(), error.message().unwrap().to_owned())
}

fn not_authorized(message: &str) -> (String, String) {
    ("NotAuthorizedException".to_owned(), message.to_owned())
}

async fn initiate(pool: &Running, username: &str) -> Result<InitiateAuthOutput, (String, String)> {
    let call = client(pool)
        .initiate_auth()
        .client_id(&pool.addresses.client_id)
        .auth_flow(AuthFlowType::CustomAuth)
        .auth_parameters("USERNAME", username)
        .client_metadata("locale", "ja")
        .user_context_data(UserContextDataType::builder().encoded_data("x").build());
    call.send().await.map_err(|error| told(&error))
}

async fn respond(
    pool: &Running,
    session: Option<&str>,
    answer: &str,
    metadata: Option<(&str, &str)>,
) -> Result<RespondToAuthChallengeOutput, (String, String)> {
    let mut call = client(pool)
        .respond_to_auth_challenge()
        .client_id(&pool.addresses.client_id)
        .challenge_name(ChallengeNameType::CustomChallenge)
        .set_session(session.map(str::to_owned))
        .challenge_responses("USERNAME", ALICE)
        .challenge_responses("ANSWER", answer);
    if let Some((name, value)) = metadata {
        call = call.client_metadata(name, value);
    }
    call.send().await.map_err(|error| told(&error))
}

#[tokio::test]
async fn a_wrong_answer_a_resend_and_the_right_answer() {
    let pool = start(&[]).await;
    let challenge = initiate(&pool, ALICE).await.unwrap();
    assert_eq!(challenge.challenge_name(), Some(&ChallengeNameType::CustomChallenge));
    let parameters = challenge.challenge_parameters().unwrap();
    assert_eq!((&*parameters["challenge"], &*parameters["attemptsLeft"]), ("EMAIL_OTP", "3"));
    let wrong = respond(&pool, challenge.session(), "00000000", None).await.unwrap();
    assert_eq!(wrong.challenge_parameters().unwrap()["errorCode"], "CODE_MISMATCH");
    let resend = respond(&pool, wrong.session(), "-", Some(("action", "RESEND"))).await.unwrap();
    assert_eq!(resend.challenge_parameters().unwrap()["errorCode"], "RESEND_TOO_SOON");
    assert_eq!(resend.challenge_parameters().unwrap()["attemptsLeft"], "2");
    let right = respond(&pool, resend.session(), &pool.code(ALICE).await, None).await.unwrap();
    let tokens = right.authentication_result().unwrap();
    assert!(right.challenge_name().is_none() && right.session().is_none());
    assert_eq!((tokens.token_type(), tokens.expires_in()), (Some("Bearer"), 3_600));

    let user = client(&pool).get_user().access_token(tokens.access_token().unwrap()).send().await.unwrap();
    assert!(user.user_attributes().iter().any(|a| a.name() == "email" && a.value() == Some(ALICE)));
    let refresh = async || {
        let call = client(&pool)
            .initiate_auth()
            .client_id(&pool.addresses.client_id)
            .auth_flow(AuthFlowType::RefreshTokenAuth)
            .auth_parameters("REFRESH_TOKEN", tokens.refresh_token().unwrap());
        call.send().await
    };
    assert!(refresh().await.unwrap().authentication_result().unwrap().id_token().is_some());
    let revoke =
        client(&pool).revoke_token().client_id(&pool.addresses.client_id).token(tokens.refresh_token().unwrap());
    revoke.send().await.unwrap();
    let error = refresh().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_not_authorized_exception());
    assert_eq!(told(&error), not_authorized("Refresh Token has been revoked"));
    let error = client(&pool).get_user().access_token(tokens.access_token().unwrap()).send().await.unwrap_err();
    assert_eq!(told(&error), not_authorized("Access Token has been revoked"));
}

#[tokio::test]
async fn sessions_that_are_used_expired_foreign_or_missing() {
    let passed = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&passed);
    let pool = start_with(&[], |options| {
        options.clock = Arc::new(move || SystemTime::now() + Duration::from_secs(clock.load(Ordering::Relaxed)));
    })
    .await;
    let used = initiate(&pool, ALICE).await.unwrap();
    respond(&pool, used.session(), "00000000", None).await.unwrap();
    let code = pool.code(ALICE).await;
    let message = "Invalid session for the user, session can only be used once.";
    assert_eq!(respond(&pool, used.session(), &code, None).await.unwrap_err(), not_authorized(message));

    let expired = initiate(&pool, ALICE).await.unwrap();
    let code = pool.code(ALICE).await;
    passed.store(15 * 60, Ordering::Relaxed);
    let message = "Invalid session for the user, session is expired.";
    assert_eq!(respond(&pool, expired.session(), &code, None).await.unwrap_err(), not_authorized(message));

    let foreign = initiate(&pool, "user1@example.com").await.unwrap();
    let message = "Invalid session for the user.";
    assert_eq!(respond(&pool, foreign.session(), &code, None).await.unwrap_err(), not_authorized(message));
    let missing = respond(&pool, None, &code, None).await.unwrap_err();
    assert_eq!(missing.1, "Missing required parameter Session");
}

#[tokio::test]
async fn somebody_who_does_not_exist_fails_where_a_wrong_code_does() {
    let pool = start(&[]).await;
    let mut seen = Vec::new();
    for username in [ALICE, "nobody@example.com"] {
        let challenge = initiate(&pool, username).await.unwrap();
        let mut session = challenge.session().unwrap().to_owned();
        let mut errors = Vec::new();
        for _ in 0..3 {
            let call = client(&pool)
                .respond_to_auth_challenge()
                .client_id(&pool.addresses.client_id)
                .challenge_name(ChallengeNameType::CustomChallenge)
                .session(&session)
                .challenge_responses("USERNAME", &challenge.challenge_parameters().unwrap()["USERNAME"])
                .challenge_responses("ANSWER", "00000000");
            match call.send().await {
                Ok(next) => {
                    errors.push(next.challenge_parameters().unwrap()["errorCode"].clone());
                    session = next.session().unwrap().to_owned();
                }
                Err(error) => errors.push(told(&error).1),
            }
        }
        seen.push(errors);
    }
    assert_eq!(seen[0], ["CODE_MISMATCH", "CODE_MISMATCH", "Incorrect username or password."]);
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn servers_make_users_and_sign_them_in() {
    let pool = start(&[]).await;
    let (sdk, id) = (client(&pool), pool.addresses.user_pool_id.clone());
    let email = "zoe@example.com";
    let attribute = |name: &str, value: &str| {
        aws_sdk_cognitoidentityprovider::types::AttributeType::builder().name(name).value(value).build().unwrap()
    };
    let made = sdk
        .admin_create_user()
        .user_pool_id(&id)
        .username(email)
        .user_attributes(attribute("email", email))
        .user_attributes(attribute("email_verified", "true"));
    let made = made.send().await.unwrap();
    assert_eq!(made.user().unwrap().user_status(), Some(&UserStatusType::ForceChangePassword));
    let told_of = pool.mails().await;
    assert_eq!((&*told_of[0].to, &*told_of[0].subject), (email, "Your temporary password"));
    let password = sdk.admin_set_user_password().user_pool_id(&id).username(email).password("Correct horse 1");
    password.permanent(true).send().await.unwrap();

    let context = ContextDataType::builder().ip_address("192.0.2.1").server_name("s").server_path("/");
    let challenge = sdk
        .admin_initiate_auth()
        .user_pool_id(&id)
        .client_id(&pool.addresses.client_id)
        .auth_flow(AuthFlowType::CustomAuth)
        .auth_parameters("USERNAME", email)
        .context_data(context.set_http_headers(Some(Vec::new())).build().unwrap());
    let challenge = challenge.send().await.unwrap();
    let answer = sdk
        .admin_respond_to_auth_challenge()
        .user_pool_id(&id)
        .client_id(&pool.addresses.client_id)
        .challenge_name(ChallengeNameType::CustomChallenge)
        .session(challenge.session().unwrap())
        .challenge_responses("USERNAME", &challenge.challenge_parameters().unwrap()["USERNAME"])
        .challenge_responses("ANSWER", pool.code(email).await);
    assert!(answer.send().await.unwrap().authentication_result().unwrap().id_token().is_some());

    sdk.admin_disable_user().user_pool_id(&id).username(email).send().await.unwrap();
    assert_eq!(initiate(&pool, email).await.unwrap_err(), not_authorized("User is disabled."));
    sdk.admin_enable_user().user_pool_id(&id).username(email).send().await.unwrap();
    let update = sdk.admin_update_user_attributes().user_pool_id(&id).username(email);
    update.user_attributes(attribute("name", "Zoë")).send().await.unwrap();
    let zoe = sdk.admin_get_user().user_pool_id(&id).username(email).send().await.unwrap();
    assert!(zoe.enabled() && zoe.user_attributes().contains(&attribute("name", "Zoë")));
    sdk.admin_delete_user().user_pool_id(&id).username(email).send().await.unwrap();
    let gone = sdk.admin_get_user().user_pool_id(&id).username(email).send().await.unwrap_err();
    assert!(gone.as_service_error().unwrap().is_user_not_found_exception());
}

#[tokio::test]
async fn an_update_that_leaves_the_triggers_out_detaches_them() {
    let pool = start(&[]).await;
    let (sdk, id) = (client(&pool), pool.addresses.user_pool_id.clone());
    let before = sdk.describe_user_pool().user_pool_id(&id).send().await.unwrap();
    let triggers: LambdaConfigType = before.user_pool().unwrap().lambda_config().unwrap().clone();
    assert!(triggers.define_auth_challenge().unwrap().ends_with(":function:define-auth-challenge"));
    sdk.update_user_pool().user_pool_id(&id).send().await.unwrap();
    let message = "Custom auth lambda trigger is not configured for the user pool.";
    assert_eq!(initiate(&pool, ALICE).await.unwrap_err().1, message);
    sdk.update_user_pool().user_pool_id(&id).lambda_config(triggers).send().await.unwrap();
    assert!(initiate(&pool, ALICE).await.is_ok());

    let update = sdk.update_user_pool_client().user_pool_id(&id).client_id(&pool.addresses.client_id);
    let updated = update.auth_session_validity(5).send().await.unwrap();
    assert_eq!(updated.user_pool_client().unwrap().auth_session_validity(), Some(5));
    let described = sdk.describe_user_pool_client().user_pool_id(&id).client_id(&pool.addresses.client_id);
    assert_eq!(described.send().await.unwrap().user_pool_client(), updated.user_pool_client());
    // What was left out is AWS's default again.
    let missing = initiate(&pool, "nobody@example.com").await.unwrap_err();
    assert_eq!(missing, ("UserNotFoundException".to_owned(), "User does not exist.".to_owned()));
}

#[tokio::test]
async fn people_sign_up_and_out() {
    let pool = start(&[]).await;
    let (sdk, client_id, email) = (client(&pool), &pool.addresses.client_id, "zoe@example.com");
    let sign_up = sdk.sign_up().client_id(client_id).username(email).password("Correct horse 1");
    assert!(!sign_up.clone().send().await.unwrap().user_confirmed());
    assert!(sign_up.send().await.unwrap_err().as_service_error().unwrap().is_username_exists_exception());
    assert_eq!(initiate(&pool, email).await.unwrap_err().0, "UserNotConfirmedException");
    let mail = pool.mails().await.remove(0);
    let code = mail.text.trim().rsplit(' ').next().unwrap();
    let confirm = sdk.confirm_sign_up().client_id(client_id).username(email);
    let wrong = confirm.clone().confirmation_code("x").send().await.unwrap_err();
    assert!(wrong.as_service_error().unwrap().is_code_mismatch_exception());
    confirm.confirmation_code(code).send().await.unwrap();

    let challenge = initiate(&pool, email).await.unwrap();
    let answer = sdk
        .respond_to_auth_challenge()
        .client_id(client_id)
        .challenge_name(ChallengeNameType::CustomChallenge)
        .session(challenge.session().unwrap())
        .challenge_responses("USERNAME", email)
        .challenge_responses("ANSWER", pool.code(email).await);
    let tokens = answer.send().await.unwrap().authentication_result().unwrap().clone();
    let access_token = tokens.access_token().unwrap();
    sdk.global_sign_out().access_token(access_token).send().await.unwrap();
    let error = sdk.get_user().access_token(access_token).send().await.unwrap_err();
    assert_eq!(told(&error), not_authorized("Access Token has been revoked"));
}
