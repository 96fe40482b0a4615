//! The commands as programs, with the real SDKs, against a local pool behind a stand-in for the rest of an account.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at a surprise")]

mod account;
mod attach;
mod decisions;
mod deployed;
mod doctor;
mod running;
