//! Cognito's PreSignUp trigger: may this account be made? The rules are in [`auth_challenge::pre_sign_up`].

use auth_challenge::pre_sign_up::{SignUp, decide};
use auth_challenge::settings::PreSignUpSettings;
use auth_challenge::trigger::{self, TriggerError};
use aws_lambda_events::cognito::{CognitoEventUserPoolsPreSignup, CognitoEventUserPoolsPreSignupResponse};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = PreSignUpSettings::from_vars(&env)?;
    trigger::serve(async |event: CognitoEventUserPoolsPreSignup| {
        let header = &event.cognito_event_user_pools_header;
        let source = header.trigger_source.as_ref().ok_or(TriggerError::MalformedEvent)?;
        // There is no client when an administrator makes a user.
        let client = header.caller_context.client_id.as_deref().unwrap_or_default();
        let user_name = header.user_name.as_deref().unwrap_or_default();
        match decide(&settings, source, client, user_name, &event.request.user_attributes) {
            SignUp::Admit { auto_confirm } => {
                tracing::info!(auto_confirm, client, "sign_up_admitted");
                let mut response = CognitoEventUserPoolsPreSignupResponse::default();
                response.auto_confirm_user = auto_confirm;
                Ok(response)
            }
            SignUp::Refuse(refusal) => {
                tracing::info!(reason = ?refusal, client, "sign_up_refused");
                Err(refusal.into())
            }
        }
    })
    .await
}
