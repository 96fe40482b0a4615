//! The parts of the local pool, each by itself. The whole of it is tested in `cli/tests`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at a surprise")]

mod accounts;
mod administration;
mod api;
mod build;
mod invocation;
mod lambda;
mod passwords;
mod pool;
mod record;
mod sealed;
mod server;
mod ses;
mod stage;
mod state;
mod tokens;
mod users;
