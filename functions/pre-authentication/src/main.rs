//! Cognito's PreAuthentication trigger: may this sign-in begin? The rules are in [`auth_challenge::pre_authentication`].

use auth_challenge::pre_authentication::{Admission, decide};
use auth_challenge::settings::PreAuthenticationSettings;
use auth_challenge::trigger;
use auth_challenge::user::SignIn;
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsPreAuthentication, CognitoEventUserPoolsPreAuthenticationResponse,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = PreAuthenticationSettings::from_vars(&env)?;
    trigger::serve(async |event: CognitoEventUserPoolsPreAuthentication| {
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?;
        match decide(&settings, &sign_in, &event.request.user_attributes, &event.request.validation_data) {
            Admission::Admit => {
                tracing::info!(client = sign_in.client_id, "admitted");
                Ok(CognitoEventUserPoolsPreAuthenticationResponse::default())
            }
            Admission::Refuse(refusal) => {
                tracing::info!(reason = ?refusal, client = sign_in.client_id, "not_admitted");
                Err(refusal.into())
            }
        }
    })
    .await
}
