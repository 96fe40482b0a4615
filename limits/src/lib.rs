//! Keeps what is counted for accounts ([`auth_challenge::limits`]): in a DynamoDB table, where all functions see it.
//!
//! Each count is one conditional write. Nobody may read the table, and nobody has to: what a write finds there instead of what it
//! expected comes back with DynamoDB's refusal.
//!
//! While the table cannot be used, codes that could be guessed are not judged at all, and no sign-in begins; for codes of 50 bits and
//! more each function goes on with what it has counted itself.

mod memory;
mod table;

use auth_challenge::challenge::UnixSeconds;
use auth_challenge::code::CodeFormat;
use auth_challenge::limits::{Account, AccountKey, Count, Limited, Limits};
use auth_challenge::settings::{AwsSettings, LimitsSettings, SettingsError};

use crate::memory::Memory;
use crate::table::{NotCounted, Table};

/// Codes with so many bits hold without a table: at a thousand guesses a second it takes more than ten thousand years to try them.
const ENOUGH_BITS: f64 = 50.0;

/// Counts for accounts.
pub struct Counts {
    table: Table,
    memory: Memory,
    limits: Limits,
    /// Whether codes hold without a table.
    holds_alone: bool,
}

/// What right answers have proved, for who only looks.
pub struct Proofs(Table);

impl Proofs {
    /// Looks into the table of that name.
    ///
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` cannot be used.
    pub fn new(table: String, aws: AwsSettings) -> Result<Proofs, SettingsError> {
        Table::new(table, aws).map(Proofs)
    }

    /// An account as it is.
    ///
    /// # Errors
    ///
    /// In words of ours, why the table cannot be used.
    pub async fn look(&self, account: &AccountKey) -> Result<Account, &'static str> {
        self.0.look(&account.name).await
    }
}

/// The table cannot be used now. What it said is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Whether it may have counted all the same: of a write at least nobody heard what became of it.
    pub in_doubt: bool,
}

impl Counts {
    /// Counts in the table of the settings. `None` if they name none: then there are no limits across sign-ins, and no client is
    /// made.
    ///
    /// # Errors
    ///
    /// Whatever `aws` says about Lambda's variables, or that `AWS_CA_BUNDLE` cannot be used.
    pub fn new(
        settings: LimitsSettings,
        format: CodeFormat,
        aws: impl FnOnce() -> Result<AwsSettings, SettingsError>,
    ) -> Result<Option<Counts>, SettingsError> {
        let Some(name) = settings.table else { return Ok(None) };
        Ok(Some(Counts {
            table: Table::new(name, aws()?)?,
            memory: Memory::default(),
            limits: settings.limits,
            holds_alone: format.bits() >= ENOUGH_BITS,
        }))
    }

    /// Connects to the table before there is something to count, in the time that Lambda gives a function to start.
    pub async fn connect(&self) {
        self.table.connect().await;
    }

    /// How much is allowed.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts something for an account. `decide` is asked what it comes to as often as somebody else was faster; what it says last
    /// is kept before this returns.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when nothing can be counted.
    pub async fn count<T>(
        &self,
        account: &AccountKey,
        now: UnixSeconds,
        decide: impl Fn(&Account) -> Result<Count<T>, Limited>,
    ) -> Result<Result<T, Limited>, Unavailable> {
        let expires = |account: &Account| account.expires_at(&self.limits);
        match self.table.count(&account.name, expires, &decide).await {
            Ok(counted) => Ok(counted),
            Err(NotCounted { reason, in_doubt }) => {
                tracing::error!(reason, goes_on = self.holds_alone, "limits_unavailable");
                if !self.holds_alone {
                    return Err(Unavailable { in_doubt });
                }
                Ok(self.memory.count(account, now, expires, &decide))
            }
        }
    }
}
