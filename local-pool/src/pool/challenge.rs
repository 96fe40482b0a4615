//! What the client is asked and answers: challenges, and the `Session` texts that they travel in.

use std::ops::RangeInclusive;

use auth_challenge::challenge::UnixSeconds;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::check_attributes;
use super::issue::TokenSource;
use super::sign_in::{SignIn, State, Waiting};
use super::{Pool, Step, Texts, replied};
use crate::api::{ApiError, Parameters, violated};
use crate::srp::{Exchange, Verifier};
use crate::trigger::Trigger;
use crate::users::{User, UserStatus};

/// What a `Session` text stands for.
#[derive(Serialize, Deserialize)]
struct Session {
    id: u64,
    client_id: String,
    expires_at: u64,
    state: State,
    pending: Pending,
}

/// What the client is to answer.
#[derive(Serialize, Deserialize)]
pub(super) enum Pending {
    CustomChallenge {
        private_challenge_parameters: Texts,
        challenge_metadata: Option<String>,
    },
    PasswordVerifier(Exchange),
    /// With the salt of the temporary password, which is another for every password.
    NewPasswordRequired {
        salt: String,
    },
}

impl Pending {
    fn name(&self) -> &'static str {
        match self {
            Pending::CustomChallenge { .. } => "CUSTOM_CHALLENGE",
            Pending::PasswordVerifier(_) => "PASSWORD_VERIFIER",
            Pending::NewPasswordRequired { .. } => "NEW_PASSWORD_REQUIRED",
        }
    }
}

/// What the client answers.
enum Answer {
    Custom(String),
    /// That the client knows the password; the text is the octets of the secret block.
    Proof {
        block: String,
        timestamp: String,
        signature: String,
    },
    NewPassword {
        password: String,
        attributes: Texts,
    },
}

/// Cognito's texts begin with these letters and say nothing to their bearer.
const SESSION_PREFIX: &str = "AYABe";
/// How long a password may be proved, in seconds. AWS says that it is a few; nobody but a program is waited for.
const PROOF_VALIDITY: u64 = 30;

/// Days and months as a `TIMESTAMP` calls them, whatever language the client's user speaks.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Answer {
    /// Reads the responses to a challenge.
    fn read(challenge: &str, responses: &Texts) -> Result<Answer, ApiError> {
        let response = |name: &str| responses.get(name).cloned().ok_or_else(|| ApiError::missing_parameter(name));
        match challenge {
            "CUSTOM_CHALLENGE" => Ok(Answer::Custom(response("ANSWER")?)),
            "PASSWORD_VERIFIER" => {
                let (block, timestamp) = (response("PASSWORD_CLAIM_SECRET_BLOCK")?, response("TIMESTAMP")?);
                let signature = response("PASSWORD_CLAIM_SIGNATURE")?;
                if !is_timestamp(&timestamp) {
                    let message = "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.";
                    return Err(ApiError::invalid_parameter(message));
                }
                let block = STANDARD.decode(block).ok().and_then(|block| String::from_utf8(block).ok());
                Ok(Answer::Proof { block: block.unwrap_or_default(), timestamp, signature })
            }
            "NEW_PASSWORD_REQUIRED" => {
                let attributes = responses.iter().filter_map(|(name, value)| {
                    Some((name.strip_prefix("userAttributes.")?.to_owned(), value.clone()))
                });
                Ok(Answer::NewPassword { password: response("NEW_PASSWORD")?, attributes: attributes.collect() })
            }
            other => Err(other_challenge(other)),
        }
    }
}

impl Pool {
    pub(super) fn respond_to_auth_challenge(
        &mut self,
        parameters: &Parameters,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        self.check_client(parameters)?;
        let challenge = parameters.required("ChallengeName")?;
        let responses = parameters.texts("ChallengeResponses").unwrap_or_default();
        let text = parameters.text("Session");
        if let Some(text) = text {
            let longest = self.options.max_session_length;
            let bound = match text.len() {
                0..20 => Some("Member must have length greater than or equal to 20".to_owned()),
                length if length > longest => Some(format!("Member must have length less than or equal to {longest}")),
                _ => None,
            };
            if let Some(bound) = bound {
                return Err(violated("at 'session'", &bound));
            }
        }
        let answer = Answer::read(challenge, &responses)?;
        let username = responses.get("USERNAME").ok_or_else(|| ApiError::missing_parameter("USERNAME"))?;
        self.check_secret_hash(responses.get("SECRET_HASH").map(String::as_str), username)?;
        if let Answer::NewPassword { password, attributes } = &answer {
            self.check_password(password)?;
            check_attributes(attributes, true)?;
        }
        let sealed = match (text, &answer) {
            (Some(text), _) => text.strip_prefix(SESSION_PREFIX).unwrap_or_default().to_owned(),
            // Clients that began with a password alone were given no Session, but the same in the secret block.
            (None, Answer::Proof { block, .. }) => block.clone(),
            (None, Answer::Custom(_) | Answer::NewPassword { .. }) => {
                return Err(ApiError::missing_parameter("Session"));
            }
        };
        let session = self.spend(&sealed, challenge, username, now)?;

        let sign_in = SignIn { state: session.state, metadata: parameters.texts("ClientMetadata") };
        let user = self.user_of(&sign_in)?;
        match (session.pending, answer) {
            (
                Pending::CustomChallenge { private_challenge_parameters, challenge_metadata },
                Answer::Custom(challenge_answer),
            ) => {
                let mut body = self.request(&user);
                body["privateChallengeParameters"] = json!(private_challenge_parameters);
                body["challengeAnswer"] = json!(challenge_answer);
                let session = (session.id, UnixSeconds(session.expires_at));
                let waiting = Waiting::Verify { challenge_metadata, session };
                self.invoke_for(Trigger::VerifyAuthChallengeResponse, body, &user, sign_in, waiting)
            }
            (Pending::PasswordVerifier(exchange), Answer::Proof { block, timestamp, signature }) => {
                let verifier = user.serving_password().filter(|_| block == sealed);
                let is_proved = |verifier| {
                    let (pool, name) = (self.short_id(), &user.username);
                    exchange.is_proved(verifier, pool, name, block.as_bytes(), &timestamp, &signature)
                };
                if !verifier.is_some_and(is_proved) {
                    return Err(ApiError::wrong_credentials());
                }
                self.after_password(sign_in, &user, now, rng)
            }
            (Pending::NewPasswordRequired { salt }, Answer::NewPassword { password, attributes })
                // The temporary password may have been replaced meanwhile.
                if user.status == UserStatus::ForceChangePassword
                    && user.password.as_ref().is_some_and(|verifier| verifier.salt() == salt) =>
            {
                // Also the same address: clients that send all that they were told are refused.
                if attributes.contains_key("email") && user.attributes.contains_key("email") {
                    return Err(ApiError::not_authorized("Cannot modify an already provided email"));
                }
                let verifier = Verifier::new(self.short_id(), &user.username, &password, rng);
                self.change_attributes(&user.username, attributes)?;
                let user = self.users.get_mut(&user.username).ok_or_else(ApiError::wrong_credentials)?;
                user.password = Some(verifier);
                user.status = UserStatus::Confirmed;
                let user = user.clone();
                self.changed();
                // Also in a custom flow: define is not asked again.
                self.issue(sign_in, &user, TokenSource::NewPasswordChallenge, now, rng)
            }
            _ => Err(invalid_session("")),
        }
    }

    /// Opens a `Session` text and spends it, before any trigger runs: however this call ends, the text does not serve again. Only
    /// where several calls may answer a challenge at once, it is spent later, with the first one's verdict.
    fn spend(&mut self, sealed: &str, challenge: &str, username: &str, now: UnixSeconds) -> Result<Session, ApiError> {
        let session: Session = self.session_key.open(sealed).ok_or_else(|| invalid_session(""))?;
        // Whatever the client calls the user now.
        let own = &session.state.username;
        let is_theirs = username == own
            || match self.users.find(username) {
                Some(user) => user.username == *own,
                None => User::missing(&self.options.user_pool_id, username).username == *own,
            };
        if session.client_id != self.client.client_id() || session.pending.name() != challenge || !is_theirs {
            return Err(invalid_session(""));
        }
        let end = UnixSeconds(session.expires_at);
        if now >= end {
            return Err(invalid_session(", session is expired"));
        }
        let is_spent_later =
            self.options.concurrent_answers_to_session && matches!(session.pending, Pending::CustomChallenge { .. });
        let was_spent =
            if is_spent_later { self.spent.contains(session.id, end) } else { !self.spent.spend(session.id, end, now) };
        if was_spent {
            return Err(invalid_session(", session can only be used once"));
        }
        Ok(session)
    }

    /// Presents `PASSWORD_VERIFIER`, to somebody who does not exist as to everybody.
    pub(super) fn ask_for_proof(
        &mut self,
        sign_in: SignIn,
        srp_a: &str,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let user = self.user_of(&sign_in)?;
        let name = &user.username;
        let verifier = user.password.clone().unwrap_or_else(|| Verifier::of_nobody(self.short_id(), name));
        let (exchange, srp_b) = Exchange::begin(srp_a, &verifier, rng)
            .map_err(|_| ApiError::invalid_parameter("SRP_A is not a number that it can be."))?;
        let parameters = json!({
            "USER_ID_FOR_SRP": name,
            "USERNAME": name,
            "SALT": verifier.salt(),
            "SRP_B": srp_b,
        });
        self.challenge(sign_in.state, Pending::PasswordVerifier(exchange), parameters, now, rng)
    }

    /// The reply that presents a challenge.
    pub(super) fn challenge(
        &mut self,
        state: State,
        pending: Pending,
        mut parameters: Value,
        now: UnixSeconds,
        rng: &mut impl Rng,
    ) -> Result<Step, ApiError> {
        let name = pending.name();
        let is_proof = matches!(pending, Pending::PasswordVerifier(_));
        let is_custom = state.history.is_some();
        let validity = self.client.session_validity();
        let validity = if is_proof { validity.min(PROOF_VALIDITY) } else { validity };
        let session = Session {
            // As long in every text, so that a text's length says nothing.
            id: rng.random_range(1_000_000_000_000_000_000..10_000_000_000_000_000_000),
            client_id: self.client.client_id().to_owned(),
            expires_at: now.0.saturating_add(validity),
            state,
            pending,
        };
        let sealed = self.session_key.seal(&session, rng).map_err(|error| ApiError::internal(&error))?;
        if is_proof {
            parameters["SECRET_BLOCK"] = json!(STANDARD.encode(&sealed));
        }
        let mut reply = json!({"ChallengeName": name, "ChallengeParameters": parameters});
        if is_custom || !is_proof {
            reply["Session"] = json!(format!("{SESSION_PREFIX}{sealed}"));
        }
        Ok(replied(reply))
    }
}

/// Whether this is in the form of a `TIMESTAMP`, such as `Thu Jan 1 12:00:00 UTC 2026`. Which time it is, the pool does not ask.
fn is_timestamp(text: &str) -> bool {
    let parts: Vec<&str> = text.split(' ').collect();
    let [weekday, month, day, time, zone, year] = parts[..] else { return false };
    let time: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = time[..] else { return false };
    let is_number = |text: &str, lengths: RangeInclusive<usize>, values: RangeInclusive<u32>| {
        let is_written = lengths.contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
        is_written && text.parse().is_ok_and(|number| values.contains(&number))
    };
    WEEKDAYS.contains(&weekday)
        && MONTHS.contains(&month)
        && is_number(day, 1..=2, 1..=31)
        && is_number(hour, 2..=2, 0..=23)
        && is_number(minute, 2..=2, 0..=59)
        && is_number(second, 2..=2, 0..=59)
        && !zone.is_empty()
        && zone.bytes().all(|octet| octet.is_ascii_alphabetic())
        && is_number(year, 4..=4, 0..=9_999)
}

fn invalid_session(why: &str) -> ApiError {
    ApiError::not_authorized(&format!("Invalid session for the user{why}."))
}

/// What Cognito says of challenges that only other pools present, when nothing has presented them.
fn other_challenge(name: &str) -> ApiError {
    match name {
        "SMS_MFA" | "SOFTWARE_TOKEN_MFA" | "EMAIL_OTP" | "SMS_OTP" => {
            ApiError::new("CodeMismatchException", "Invalid code or auth state for the user.")
        }
        "DEVICE_SRP_AUTH" | "DEVICE_PASSWORD_VERIFIER" => {
            ApiError::new("ResourceNotFoundException", "Device does not exist.")
        }
        "SELECT_MFA_TYPE" | "MFA_SETUP" | "SELECT_CHALLENGE" | "ADMIN_NO_SRP_AUTH" | "PASSWORD" | "PASSWORD_SRP"
        | "WEB_AUTHN" => invalid_session(""),
        _ => {
            let names = "SMS_MFA, EMAIL_OTP, SOFTWARE_TOKEN_MFA, SELECT_MFA_TYPE, MFA_SETUP, PASSWORD_VERIFIER, \
                         CUSTOM_CHALLENGE, SELECT_CHALLENGE, DEVICE_SRP_AUTH, DEVICE_PASSWORD_VERIFIER, ADMIN_NO_SRP_AUTH, \
                         NEW_PASSWORD_REQUIRED, SMS_OTP, PASSWORD, WEB_AUTHN, PASSWORD_SRP";
            let constraint = format!("Member must satisfy enum value set: [{names}]");
            violated(&format!("'{name:.64}' at 'challengeName'"), &constraint)
        }
    }
}
