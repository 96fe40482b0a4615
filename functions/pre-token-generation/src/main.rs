//! Cognito's PreTokenGeneration trigger: may these tokens be issued, and what do they say of the sign-in? The rules are in
//! [`auth_challenge::pre_token_generation`].

use std::time::SystemTime;

use auth_challenge::pre_token_generation::{Event, Source, Tokens, decide, response};
use auth_challenge::settings::PreTokenGenerationSettings;
use auth_challenge::trigger;
use auth_challenge::user::User;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = PreTokenGenerationSettings::from_vars(&env)?;
    trigger::serve(async |Event { header, request }: Event| {
        let source = Source::read(header.trigger_source.as_deref())?;
        let client = header.caller_context.client_id.as_deref().unwrap_or_default();
        // Nobody gets tokens who does not exist.
        let user = User::read(false, &request.user_attributes, &settings.recipients);
        match decide(&settings, source, client, &user, SystemTime::now().into()) {
            Tokens::Issue(claims) => {
                let says_more = claims.is_some();
                let response = response(header.version.as_deref(), claims, &request.group_configuration)?;
                tracing::info!(source = ?source, claims = says_more, client, "tokens_issued");
                Ok(response)
            }
            Tokens::Refuse(way_round) => {
                tracing::warn!(source = ?source, reason = ?way_round, client, "tokens_refused");
                Err(way_round.into())
            }
        }
    })
    .await
}
