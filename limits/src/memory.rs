//! What one function counts by itself while there is no table.

use std::collections::HashMap;

use auth_challenge::challenge::UnixSeconds;
use auth_challenge::limits::{Account, AccountKey, Count, Limited};
use parking_lot::Mutex;

/// How many accounts are remembered. When there are more, those go that would be forgotten first.
const REMEMBERED: usize = 10_000;
/// How many are remembered of those that do not exist. They have a space of their own: anybody can invent as many as they like.
const INVENTED_REMEMBERED: usize = 2_000;

/// What is counted for accounts that exist, and for those that do not.
#[derive(Default)]
pub(crate) struct Memory {
    accounts: Mutex<Accounts>,
    invented: Mutex<Accounts>,
}

/// Accounts by name, and when each may be forgotten.
type Accounts = HashMap<String, (Account, UnixSeconds)>;

impl Memory {
    pub(crate) fn count<T>(
        &self,
        key: &AccountKey,
        now: UnixSeconds,
        expires: impl Fn(&Account) -> UnixSeconds,
        decide: impl Fn(&Account) -> Result<Count<T>, Limited>,
    ) -> Result<T, Limited> {
        let (space, remembered) = match key.exists {
            true => (&self.accounts, REMEMBERED),
            false => (&self.invented, INVENTED_REMEMBERED),
        };
        let mut accounts = space.lock();
        let known = accounts.get(&key.name).map(|(account, _)| account.clone()).unwrap_or_default();
        match decide(&known)? {
            Count::Repeat(value) => Ok(value),
            Count::Keep(account, value) => {
                if accounts.len() >= remembered && !accounts.contains_key(&key.name) {
                    forget(&mut accounts, remembered, now);
                }
                let expires = expires(&account);
                accounts.insert(key.name.clone(), (account, expires));
                Ok(value)
            }
        }
    }
}

/// Makes room for one more.
fn forget(accounts: &mut Accounts, remembered: usize, now: UnixSeconds) {
    accounts.retain(|_, (_, expires)| now < *expires);
    let first = accounts.iter().min_by_key(|(_, (_, expires))| *expires).map(|(name, _)| name.clone());
    if let Some(first) = first.filter(|_| accounts.len() >= remembered) {
        accounts.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts one more wrong answer of an account. How many there were before.
    fn fail(memory: &Memory, name: &str, exists: bool, at: u64) -> u64 {
        let key = AccountKey { name: name.to_owned(), exists };
        let one_more = |account: &Account| {
            let mut counts = serde_json::to_value(account).unwrap();
            let before = counts["failures"].as_u64().unwrap();
            counts["failures"] = (before + 1).into();
            Ok(Count::Keep(serde_json::from_value(counts).unwrap(), before))
        };
        memory.count(&key, UnixSeconds(at), |_| UnixSeconds(at + 86_400), one_more).unwrap()
    }

    #[test]
    fn p17_t39_a_flood_of_invented_names_pushes_out_nobody_who_exists() {
        let memory = Memory::default();
        fail(&memory, "alice", true, 0);
        fail(&memory, "nobody", false, 0);
        for n in 0..INVENTED_REMEMBERED as u64 {
            fail(&memory, &n.to_string(), false, 1);
        }
        assert_eq!(fail(&memory, "alice", true, 2), 1);
        assert_eq!(fail(&memory, "nobody", false, 2), 0);
        assert_eq!(memory.invented.lock().len(), INVENTED_REMEMBERED);
    }

    #[test]
    fn f41_what_is_over_makes_room_to_the_second() {
        for (second, remembered) in [(86_399, REMEMBERED), (86_400, 1)] {
            let memory = Memory::default();
            for n in 0..REMEMBERED {
                fail(&memory, &n.to_string(), true, 0);
            }
            fail(&memory, "one more", true, second);
            assert_eq!(memory.accounts.lock().len(), remembered, "{second}");
        }
    }

    #[test]
    fn p17_when_there_is_no_room_that_one_goes_that_would_be_forgotten_first() {
        let memory = Memory::default();
        for n in 0..REMEMBERED as u64 {
            fail(&memory, &n.to_string(), true, n);
        }
        fail(&memory, "one more", true, REMEMBERED as u64);
        assert_eq!(memory.accounts.lock().len(), REMEMBERED);
        assert_eq!(fail(&memory, "1", true, REMEMBERED as u64), 1);
        // Who is remembered takes nobody's place.
        assert_eq!(fail(&memory, "1", true, REMEMBERED as u64), 2);
        assert_eq!(fail(&memory, "2", true, REMEMBERED as u64), 1);
        assert_eq!(fail(&memory, "0", true, REMEMBERED as u64), 0);
        // What is over makes room for many.
        fail(&memory, "tomorrow", true, 200_000);
        assert_eq!(memory.accounts.lock().len(), 1);
    }
}
