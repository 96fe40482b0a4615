//! What happens in which order: decide, count, mail, answer.

use std::collections::HashMap;
use std::time::Duration;

use auth_challenge::challenge::{PRIVATE_KEY, UnixSeconds};
use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::create_auth_challenge::Next;
use auth_challenge::limits::{Account, AccountKey, Count};
use auth_challenge::rounds::Rounds;
use auth_challenge::settings::CreateSettings;
use auth_challenge::trigger::TriggerError;
use auth_challenge::user::{SignIn, User};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsCreateAuthChallenge, CognitoEventUserPoolsCreateAuthChallengeResponse,
};
use limits_table::{Counts, Unavailable};
use rand::CryptoRng;
use tokio::time::timeout;

use crate::delivery::Delivery;

/// For taking back what was counted: count, mail and this together stay within the 4.5 s that are left of Cognito's five.
const TAKE_BACK: Duration = Duration::from_millis(200);

/// All that an event needs.
pub(crate) struct Handler {
    pub(crate) settings: CreateSettings,
    /// `None`: nothing is counted across sign-ins.
    pub(crate) counts: Option<Counts>,
    pub(crate) delivery: Delivery,
}

impl Handler {
    pub(crate) async fn handle(
        &self,
        event: &CognitoEventUserPoolsCreateAuthChallenge,
        now: UnixSeconds,
        chance: &mut impl CryptoRng,
    ) -> Result<CognitoEventUserPoolsCreateAuthChallengeResponse, TriggerError> {
        let settings = &self.settings;
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &settings.recipients)
            .greeted(&request.user_attributes, settings.greeting_attribute.as_deref());
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        let rounds = Rounds::read(&request.session, &settings.challenge.keys, &sign_in);
        let metadata = ClientMetadata::read(&request.client_metadata);
        let no_challenge = |_: &TriggerError| tracing::error!(client = sign_in.client_id, "no_challenge");

        let next = Next::decide(settings, &rounds, &metadata, now, chance).inspect_err(no_challenge)?;
        let next = self.count(next, &sign_in, &user, now).await?;
        let challenge = next.challenge(settings, &sign_in, &user, &metadata, now).inspect_err(no_challenge)?;
        if let Err(not_sent) = self.delivery.perform(&challenge, chance).await {
            // Or whoever tries again at once would be taken for a repeat, and wait for a mail that is not on its way.
            let _ = timeout(TAKE_BACK, self.take_back(&next, &sign_in, &user, now)).await;
            return Err(not_sent);
        }

        let mut response = CognitoEventUserPoolsCreateAuthChallengeResponse::default();
        response.public_challenge_parameters = challenge.public.into();
        response.private_challenge_parameters =
            HashMap::from([(PRIVATE_KEY.to_owned(), challenge.sealed_state.clone())]);
        response.challenge_metadata = Some(challenge.sealed_state);
        Ok(response)
    }

    /// Counts the mail of a round before it is sent. What the round is then.
    async fn count(&self, next: Next, sign_in: &SignIn, user: &User, now: UnixSeconds) -> Result<Next, TriggerError> {
        let (true, Some(counts)) = (next.mailed, &self.counts) else { return Ok(next) };
        let account = self.account(&next, sign_in, user).ok_or(TriggerError::Internal)?;
        let count = |account: &Account| next.count(counts.limits(), &sign_in.client_id, account, now);
        match counts.count(&account, now, count).await {
            Ok(counted) => counted.map_err(|reason| {
                tracing::warn!(reason = ?reason, client = sign_in.client_id, "limited");
                TriggerError::TooManySignIns
            }),
            Err(Unavailable { in_doubt }) => {
                // An error would spend the Session, and with it the code that was mailed before.
                if let Some(next) = next.resend_refused() {
                    return Ok(next);
                }
                // As of a mail that was not sent.
                if in_doubt {
                    self.take_back(&next, sign_in, user, now).await;
                }
                Err(TriggerError::Internal)
            }
        }
    }

    /// Takes back what was counted for a mail that certainly was not sent. Whether that can be done changes nothing for anybody.
    async fn take_back(&self, next: &Next, sign_in: &SignIn, user: &User, now: UnixSeconds) {
        if let (Some(counts), Some(account)) = (&self.counts, self.account(next, sign_in, user)) {
            let take_back = |account: &Account| Ok(Count::Keep(account.take_back(counts.limits(), &next.state), ()));
            let _ = counts.count(&account, now, take_back).await;
        }
    }

    /// Whose mail it is. `None` when the key of the challenge is gone.
    fn account(&self, next: &Next, sign_in: &SignIn, user: &User) -> Option<AccountKey> {
        Some(AccountKey::new(self.settings.challenge.keys.find(next.state.key_id)?, sign_in, user))
    }
}

#[cfg(test)]
mod killed;
