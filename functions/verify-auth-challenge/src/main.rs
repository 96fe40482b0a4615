//! Cognito's VerifyAuthChallengeResponse trigger: is this answer right? The rules are in
//! [`auth_challenge::verify_auth_challenge`].

use std::time::SystemTime;

use auth_challenge::challenge::{ChallengeState, UnixSeconds};
use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::code::Answer;
use auth_challenge::limits::{Account, Count, account_key};
use auth_challenge::settings::{AwsSettings, LimitsSettings, VerifySettings};
use auth_challenge::trigger::{self, TriggerError};
use auth_challenge::user::{SignIn, User};
use auth_challenge::verify_auth_challenge::{Refusal, Verdict, decide};
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsVerifyAuthChallenge, CognitoEventUserPoolsVerifyAuthChallengeResponse,
};
use limits_table::Counts;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = VerifySettings::from_vars(&env)?;
    let format = settings.challenge.format;
    let counts = Counts::new(LimitsSettings::from_vars(&env)?, format, || AwsSettings::from_vars(&env))?;
    trigger::serve(async |event: CognitoEventUserPoolsVerifyAuthChallenge| {
        let sign_in = SignIn::read(&event.cognito_event_user_pools_header)?;
        let request = &event.request;
        let user = User::read(request.user_not_found, &request.user_attributes, &settings.domains);
        let metadata = ClientMetadata::read(&request.client_metadata);
        // Cognito sends a string. Anything else is no code, like an empty answer.
        let answer = request.challenge_answer.as_ref().and_then(|answer| answer.as_str()).unwrap_or_default();
        let private = &request.private_challenge_parameters;
        let now = SystemTime::now().into();
        let (mut verdict, state) = decide(&settings, &sign_in, &user, private, answer, &metadata, now);
        if let (true, Some(state), Some(counts)) = (verdict.is_about_the_answer(), &state, &counts) {
            let keys = &settings.challenge.keys;
            let account = account_key(keys, &sign_in, &user);
            let tag = Answer::read(answer, format.alphabet).tag(keys, &sign_in, &state.nonce);
            // Nobody has been told of the verdict yet.
            verdict = count(counts, &account, &sign_in.client_id, state, &tag, verdict, now).await?;
        }

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

/// Counts an answer for its account, as wrong; and then, if it is right, that it was. What the verdict is if it may be one.
async fn count(
    counts: &Counts,
    account: &str,
    client_id: &str,
    state: &ChallengeState,
    tag: &str,
    verdict: Verdict,
    now: UnixSeconds,
) -> Result<Verdict, TriggerError> {
    let limits = counts.limits();
    let answer = |account: &Account| account.answer(limits, client_id, state, tag, now);
    if let Err(limited) = counts.count(account, now, answer).await.map_err(|_| TriggerError::Internal)? {
        return Ok(Verdict::Reject(Refusal::Limited(limited)));
    }
    if verdict != Verdict::Accept {
        return Ok(verdict);
    }
    let accept = |account: &Account| Ok(Count::Keep(account.accept(limits, client_id, state, now)?, verdict));
    let accepted = counts.count(account, now, accept).await.map_err(|_| TriggerError::Internal)?;
    Ok(accepted.unwrap_or_else(|limited| Verdict::Reject(Refusal::Limited(limited))))
}
