//! What is true of a passwordless sign-in with Amazon Cognito's custom challenge.
//!
//! Cognito calls four triggers while a user signs in with `CUSTOM_AUTH`. Each is a Lambda function that goes one way:
//!
//! ```text
//! JSON event ─ parse ─▶ typed event ─ decide(settings, …, now, rng) ─▶ decision ─ perform ─▶ effect ─ reply ─▶ JSON
//! ```
//!
//! The decisions are here, one per module, each with one `decide`. They do no input or output; time and chance are
//! arguments.
//!
//! ```text
//! client            Cognito                    module
//! InitiateAuth ───▶ (PreAuthentication) ─────▶ pre_authentication     admit?
//!                   Define ──────────────────▶ define_auth_challenge  present CUSTOM_CHALLENGE
//!                   Create ──────────────────▶ create_auth_challenge  new state, and a mail to send
//! ◀── CUSTOM_CHALLENGE, public parameters, Session
//! Respond ANSWER ─▶ Verify ──────────────────▶ verify_auth_challenge  right?
//!                   Define ──────────────────▶ define_auth_challenge  issue tokens | present again | fail
//!                   Create (if again) ───────▶ create_auth_challenge  the same code, perhaps a mail
//! ```
//!
//! Around a sign-in Cognito calls three more, where they are attached:
//!
//! ```text
//! SignUp ─────────▶ (PreSignUp) ─────────────▶ pre_sign_up            admit? confirm?
//! (tokens are due)  (PreTokenGeneration) ────▶ pre_token_generation   issue, with which claims?
//!                   (PostAuthentication) ────▶ post_authentication    is an address proved?
//! ```
//!
//! What the decisions speak of:
//!
//! - [`user`]: the sign-in (pool, client, user name), and the user, known or not
//! - [`email_address`] and [`recipient`]: where a mail may go, in which language, and with which greeting
//! - [`client_metadata`]: what the client sent beside its answer
//! - [`rounds`]: what has been answered so far
//! - [`challenge`]: the state that travels between rounds, and what the client is told
//! - [`limits`] and [`risk`]: what is counted for an account across sign-ins, and what guessing comes to
//! - [`code`]: the one-time code, derived and never stored
//! - [`settings`]: the environment variables
//!
//! [`trigger`] is the one door to Lambda; [`metrics`] says what is counted of what the log says.

pub mod challenge;
pub mod client_metadata;
pub mod code;
pub mod create_auth_challenge;
pub mod define_auth_challenge;
pub mod email_address;
pub mod limits;
mod log;
pub mod metrics;
pub mod post_authentication;
pub mod pre_authentication;
pub mod pre_sign_up;
pub mod pre_token_generation;
pub mod recipient;
pub mod risk;
pub mod rounds;
pub mod settings;
pub mod trigger;
pub mod user;
pub mod verify_auth_challenge;
