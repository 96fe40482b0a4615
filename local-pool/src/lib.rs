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
//! - [`settings`], [`users`], [`tokens`]: what the pool is like, who there is, and what they get
//! - [`srp`], [`sealed`]: passwords, and texts that only the pool understands
//! - [`invocation`]: how triggers are invoked, wherever their functions are
//! - [`lambda`]: functions run as Lambda runs them
//! - [`build`]: this project's programs, built with cargo
//! - [`ses`]: a mail service that keeps the mail
//! - [`record`], [`state`]: what is written down of it
//! - [`server`]: all of it on one port
//!
//! It is never deployed: it binds to loopback only and does not start inside Lambda.

pub mod api;
pub mod build;
pub mod invocation;
pub mod lambda;
mod permissions;
pub mod pool;
pub mod record;
pub mod sealed;
pub mod server;
pub mod ses;
pub mod settings;
pub mod srp;
pub mod state;
pub mod tokens;
pub mod trigger;
pub mod users;
