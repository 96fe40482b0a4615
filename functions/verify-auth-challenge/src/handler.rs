//! What happens in which order: decide, count, tell.

use auth_challenge::challenge::{ChallengeState, UnixSeconds};
use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::code::Answer;
use auth_challenge::limits::{Account, AccountKey, Answered};
use auth_challenge::settings::VerifySettings;
use auth_challenge::trigger::TriggerError;
use auth_challenge::user::{SignIn, User};
use auth_challenge::verify_auth_challenge::{Refusal, Verdict, decide};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsVerifyAuthChallenge, CognitoEventUserPoolsVerifyAuthChallengeResponse,
};
use limits_table::Counts;

/// All that an event needs.
pub(crate) struct Handler {
    pub(crate) settings: VerifySettings,
    /// `None`: nothing is counted across sign-ins.
    pub(crate) counts: Option<Counts>,
}

impl Handler {
    pub(crate) async fn handle(
        &self,
        event: &CognitoEventUserPoolsVerifyAuthChallenge,
        now: UnixSeconds,
    ) -> Result<CognitoEventUserPoolsVerifyAuthChallengeResponse, TriggerError> {
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &self.settings.recipients);
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?.of(&user);
        let metadata = ClientMetadata::read(&request.client_metadata);
        // Cognito sends a string. Anything else is no code, like an empty answer.
        let answer = request.challenge_answer.as_ref().and_then(|answer| answer.as_str()).unwrap_or_default();
        let private = &request.private_challenge_parameters;
        let (verdict, state) = decide(&self.settings, &sign_in, &user, private, answer, &metadata, now);
        let verdict = match &state {
            Some(state) => self.count(verdict, state, &sign_in, &user, answer, now).await?,
            None => verdict,
        };

        let challenge = state.map(|state| state.log_id());
        let client = &sign_in.client_id;
        match verdict {
            Verdict::Accept => {
                let seconds_since_issued = state.map(|state| now.0.saturating_sub(state.issued_at.0));
                tracing::info!(challenge, client, seconds_since_issued, "code_accepted");
            }
            Verdict::Reject(Refusal::ResendRequested) => {
                tracing::info!(challenge, client, "resend_requested")
            }
            Verdict::Reject(Refusal::ParameterRound) => tracing::info!(challenge, client, "parameters_given"),
            Verdict::Reject(refusal) => tracing::info!(reason = ?refusal, challenge, client, "code_rejected"),
        }
        let mut response = CognitoEventUserPoolsVerifyAuthChallengeResponse::default();
        response.answer_correct = verdict == Verdict::Accept;
        Ok(response)
    }

    /// Counts an answer for its account before anybody is told of the verdict. What the verdict is if it may be one.
    async fn count(
        &self,
        verdict: Verdict,
        state: &ChallengeState,
        sign_in: &SignIn,
        user: &User,
        answer: &str,
        now: UnixSeconds,
    ) -> Result<Verdict, TriggerError> {
        let (true, Some(counts)) = (verdict.is_about_the_answer(), &self.counts) else { return Ok(verdict) };
        let challenge = &self.settings.challenge;
        let key = challenge.keys.find(state.key_id).ok_or(TriggerError::Internal)?;
        let tag = Answer::read(answer, challenge.format.alphabet).tag(key, sign_in, &state.nonce);
        let proof = sign_in.proof(key);
        let answered = Answered { tag: &tag, right: verdict == Verdict::Accept, proof: proof.as_deref() };
        let account = AccountKey::new(key, sign_in, user);
        let count = |account: &Account| account.answer(counts.limits(), &sign_in.client_id, state, answered, now);
        match counts.count(&account, now, count).await.map_err(|_| TriggerError::Internal)? {
            Ok(()) => Ok(verdict),
            Err(limited) => Ok(Verdict::Reject(Refusal::Limited(limited))),
        }
    }
}

#[cfg(test)]
mod killed;
