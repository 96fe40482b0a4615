//! What happens in which order: look for a proof, mark, let go on.
//!
//! Whatever fails here, the sign-in goes on: it was right without us, and the next one brings a proof of its own.

use std::time::Duration;

use auth_challenge::challenge::UnixSeconds;
use auth_challenge::post_authentication::{Marking, decide, places};
use auth_challenge::settings::{AwsSettings, PostAuthenticationSettings, SettingsError};
use auth_challenge::trigger::TriggerError;
use auth_challenge::user::{SignIn, User};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsPostAuthentication, CognitoEventUserPoolsPostAuthenticationResponse,
};
use limits_table::Proofs;
use tokio::time::timeout;

use crate::marking::Marker;

/// For everything. After 5 s Cognito would call again, and in the end fail the sign-in.
const BUDGET: Duration = Duration::from_secs(4);

/// All that an event needs.
pub(crate) struct Handler {
    settings: PostAuthenticationSettings,
    /// `None`: nothing is ever proved.
    proofs: Option<Proofs>,
    marker: Marker,
}

impl Handler {
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` cannot be used.
    pub(crate) fn new(settings: PostAuthenticationSettings, aws: AwsSettings) -> Result<Handler, SettingsError> {
        let proofs = settings.table.clone().map(|table| Proofs::new(table, aws.clone())).transpose()?;
        Ok(Handler { settings, proofs, marker: Marker::new(aws)? })
    }

    pub(crate) async fn handle(
        &self,
        event: &CognitoEventUserPoolsPostAuthentication,
        now: UnixSeconds,
    ) -> Result<CognitoEventUserPoolsPostAuthenticationResponse, TriggerError> {
        // Nobody signs in who does not exist.
        let user = User::read(false, &event.request.user_attributes, &self.settings.recipients);
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        let client = &sign_in.client_id;
        if sign_in.unproved.is_some() {
            match timeout(BUDGET, self.mark(&sign_in, &user, now)).await.unwrap_or(Err("timed_out")) {
                Ok(true) => tracing::info!(client, "address_verified"),
                Ok(false) => tracing::info!(client, "address_not_proved"),
                Err(reason) => tracing::error!(reason, client, "address_not_marked"),
            }
        }
        Ok(CognitoEventUserPoolsPostAuthenticationResponse::default())
    }

    /// Marks the address if it was proved, and tells whether it was.
    async fn mark(&self, sign_in: &SignIn, user: &User, now: UnixSeconds) -> Result<bool, &'static str> {
        let Some(proofs) = &self.proofs else { return Ok(false) };
        for place in places(&self.settings.keys, sign_in, user) {
            let found = proofs.look(&place.account).await?;
            if let Marking::Mark(address) = decide(sign_in, &place, &found, now) {
                self.marker.mark(sign_in, &address).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
#[path = "../../../limits/tests/it/dynamodb.rs"]
mod dynamodb;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod tests;
