//! All of it together: the functions as programs, behind the local pool, as a client and a developer use them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at a surprise")]

mod around;
mod attack;
#[path = "../../../limits/tests/it/dynamodb.rs"]
#[allow(dead_code, reason = "nothing fails here")]
mod dynamodb;
mod events;
mod frozen;
mod hostile;
mod leaks;
mod panics;
mod program;
mod running;
mod sdk;
mod sign_in;
mod spellings;
mod tidy;
