//! What one function counts by itself while there is no table.

use std::collections::HashMap;

use auth_challenge::challenge::UnixSeconds;
use auth_challenge::limits::{Account, Count, Limited};
use parking_lot::Mutex;

/// How many accounts are remembered. When there are more, those go that would be forgotten first.
const REMEMBERED: usize = 10_000;

/// Accounts, and when each may be forgotten.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, (Account, UnixSeconds)>>);

impl Memory {
    pub(crate) fn count<T>(
        &self,
        key: &str,
        now: UnixSeconds,
        expires: impl Fn(&Account) -> UnixSeconds,
        decide: impl Fn(&Account) -> Result<Count<T>, Limited>,
    ) -> Result<T, Limited> {
        let mut accounts = self.0.lock();
        let known = accounts.get(key).map(|(account, _)| account.clone()).unwrap_or_default();
        match decide(&known)? {
            Count::Repeat(value) => Ok(value),
            Count::Keep(account, value) => {
                if accounts.len() >= REMEMBERED && !accounts.contains_key(key) {
                    accounts.retain(|_, (_, expires)| now < *expires);
                    let first = accounts.iter().min_by_key(|(_, (_, expires))| *expires).map(|(key, _)| key.clone());
                    if let Some(first) = first.filter(|_| accounts.len() >= REMEMBERED) {
                        accounts.remove(&first);
                    }
                }
                let expires = expires(&account);
                accounts.insert(key.to_owned(), (account, expires));
                Ok(value)
            }
        }
    }
}
