//! Cognito's DefineAuthChallenge trigger: what comes next? The rules are in [`auth_challenge::define_auth_challenge`].

use std::time::SystemTime;

use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::define_auth_challenge::{NextStep, decide};
use auth_challenge::rounds::Rounds;
use auth_challenge::settings::DefineSettings;
use auth_challenge::trigger;
use auth_challenge::user::{SignIn, User, must_change_password};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsDefineAuthChallenge, CognitoEventUserPoolsDefineAuthChallengeResponse,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = DefineSettings::from_vars(&env)?;
    trigger::serve(async |event: CognitoEventUserPoolsDefineAuthChallenge| {
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &settings.recipients);
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        let rounds = Rounds::read(&request.session, &settings.challenge.keys, &sign_in);
        let metadata = ClientMetadata::read(&request.client_metadata);
        let must_change_password = must_change_password(&request.user_attributes);
        let now = SystemTime::now().into();
        let step = decide(&settings, &sign_in, &user, must_change_password, &rounds, &metadata, now);

        let client = &sign_in.client_id;
        let challenge = rounds.standing().log_id();
        let mut response = CognitoEventUserPoolsDefineAuthChallengeResponse::default();
        match step {
            NextStep::IssueTokens => {
                tracing::info!(challenge, client, "signed_in");
                response.issue_tokens = true;
            }
            NextStep::PresentChallenge(name) => {
                tracing::info!(challenge_name = name.name(), challenge, client, "challenge_presented");
                response.challenge_name = Some(name.name().to_owned());
            }
            NextStep::FailAuthentication(refusal) => {
                tracing::info!(reason = ?refusal, challenge, client, "sign_in_failed");
                response.fail_authentication = true;
            }
        }
        Ok(response)
    })
    .await
}
