//! Cognito's CreateAuthChallenge trigger: makes the challenge and mails the code. The rules are in
//! [`auth_challenge::create_auth_challenge`]; how a mail goes out is in [`delivery`], what it says in [`sign_in_mail`].

mod delivery;
mod observed_sends;

use std::collections::HashMap;
use std::time::SystemTime;

use auth_challenge::challenge::PRIVATE_KEY;
use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::create_auth_challenge::Next;
use auth_challenge::limits::account_key;
use auth_challenge::rounds::Rounds;
use auth_challenge::settings::{AwsSettings, CreateSettings, LimitsSettings, MailSettings, SesSettings};
use auth_challenge::trigger::{self, TriggerError};
use auth_challenge::user::{SignIn, User};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsCreateAuthChallenge, CognitoEventUserPoolsCreateAuthChallengeResponse,
};
use limits_table::Counts;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sign_in_mail::Templates;

use crate::delivery::Delivery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = CreateSettings::from_vars(&env)?;
    let templates = Templates::new(MailSettings::from_vars(&env)?)?;
    let format = settings.challenge.format;
    let counts = Counts::new(LimitsSettings::from_vars(&env)?, format, || AwsSettings::from_vars(&env))?;
    let delivery = Delivery::new(SesSettings::from_vars(&env)?, templates, AwsSettings::from_vars(&env)?);
    trigger::serve(async |event: CognitoEventUserPoolsCreateAuthChallenge| {
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?;
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &settings.domains)
            .greeted(&request.user_attributes, settings.greeting_attribute.as_deref());
        let rounds = Rounds::read(&request.session, &settings.challenge.keys, &sign_in);
        let metadata = ClientMetadata::read(&request.client_metadata);
        // Asked of the system each time: a generator in memory would be copied with a snapshot of the function.
        let mut chance = UnwrapErr(SysRng);
        let now = SystemTime::now().into();
        let no_challenge = |_: &TriggerError| tracing::error!(outcome = "no_challenge", client = sign_in.client_id);
        let mut next = Next::decide(&settings, &rounds, &metadata, now, &mut chance).inspect_err(no_challenge)?;
        if let (true, Some(counts)) = (next.mailed, &counts) {
            let account = account_key(&settings.challenge.keys, &sign_in, &user);
            let count = |account: &_| next.count(counts.limits(), &sign_in.client_id, account, now);
            let counted = counts.count(&account, now, count).await.map_err(|_| TriggerError::Internal)?;
            next = counted.map_err(|reason| {
                tracing::warn!(outcome = "limited", reason = ?reason, client = sign_in.client_id);
                TriggerError::TooManySignIns
            })?;
        }
        let challenge = next.challenge(&settings, &sign_in, &user, &metadata, now).inspect_err(no_challenge)?;

        delivery.perform(&challenge, &mut chance).await?;

        let mut response = CognitoEventUserPoolsCreateAuthChallengeResponse::default();
        response.public_challenge_parameters = challenge.public.into();
        response.private_challenge_parameters =
            HashMap::from([(PRIVATE_KEY.to_owned(), challenge.sealed_state.clone())]);
        response.challenge_metadata = Some(challenge.sealed_state);
        Ok(response)
    })
    .await
}
