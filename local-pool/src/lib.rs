//! A user pool for development and tests: Amazon Cognito's API in front, Lambda triggers behind, and a mailbox beside.
//!
//! ```text
//!            ┌────────────────────────── server ───────────────────────────┐
//! client ──▶ │ api ─▶ pool (state machine) ─▶ trigger event ─▶ lambda ─────┼──▶ function processes
//!            │         │                                                   │         │
//!            │         └─▶ tokens                       mailbox ◀── ses ◀──┼─────────┘
//!            └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! - [`pool`]: the pool as a state machine, without input or output
//! - [`api`]: calls and errors on the wire
//! - [`trigger`]: the events that triggers get, and how strictly their replies are read
//! - [`users`], [`tokens`]: who there is, and what they get
//! - [`lambda`]: functions run as Lambda runs them
//! - [`build`]: this project's four functions, built with cargo
//! - [`ses`]: a mail service that keeps the mail
//! - [`server`]: all of it on one port
//!
//! It is never deployed: it binds to loopback only and does not start inside Lambda.

pub mod api;
pub mod build;
pub mod lambda;
pub mod pool;
pub mod server;
pub mod ses;
pub mod tokens;
pub mod trigger;
pub mod users;
