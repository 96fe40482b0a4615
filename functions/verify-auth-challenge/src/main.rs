//! Cognito's VerifyAuthChallengeResponse trigger: is this answer right? The rules are in
//! [`auth_challenge::verify_auth_challenge`].

use std::time::SystemTime;

use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::settings::VerifySettings;
use auth_challenge::trigger;
use auth_challenge::user::{SignIn, User};
use auth_challenge::verify_auth_challenge::{Refusal, Verdict, decide};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsVerifyAuthChallenge, CognitoEventUserPoolsVerifyAuthChallengeResponse,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = VerifySettings::from_vars(&env)?;
    trigger::serve(async |event: CognitoEventUserPoolsVerifyAuthChallenge| {
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?;
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &settings.domains);
        let metadata = ClientMetadata::read(&request.client_metadata);
        // Cognito sends a string. Anything else is no code, like an empty answer.
        let answer = request.challenge_answer.as_ref().and_then(|answer| answer.as_str()).unwrap_or_default();
        let private = &request.private_challenge_parameters;
        let (verdict, state) = decide(&settings, &sign_in, &user, private, answer, &metadata, SystemTime::now().into());

        let challenge = state.map(|state| state.log_id());
        let client = &sign_in.client_id;
        match verdict {
            Verdict::Accept => tracing::info!(outcome = "code_accepted", challenge, client),
            Verdict::Reject(Refusal::ResendRequested) => {
                tracing::info!(outcome = "resend_requested", challenge, client)
            }
            Verdict::Reject(Refusal::ParameterRound) => tracing::info!(outcome = "parameters_given", challenge, client),
            Verdict::Reject(refusal) => tracing::info!(outcome = "code_rejected", reason = ?refusal, challenge, client),
        }
        let mut response = CognitoEventUserPoolsVerifyAuthChallengeResponse::default();
        response.answer_correct = verdict == Verdict::Accept;
        Ok(response)
    })
    .await
}
