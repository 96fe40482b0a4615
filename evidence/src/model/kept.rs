//! Values that many states of the search have in common, each kept once under a small number (as Spin's collapse compression
//! does); and what the same value is after a while.
//!
//! In the model the clock stands still and the past moves back: an account or a session "5 s later" is the one with all its
//! times 5 s earlier. So two states that differ in nothing but the hour are one. A time so long ago that nothing depends on
//! how long is cut off, for the same reason.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use auth_challenge::challenge::{ChallengeState, UnixSeconds};
use auth_challenge::limits::Account;
use serde_json::Value;

/// It is always this moment.
pub(super) const NOW: UnixSeconds = UnixSeconds(1_767_268_800);

const DAY: u64 = 86_400;
/// The life of a challenge in the model, which is the shortest that the settings take.
pub(super) const VALIDITY: u64 = 60;
/// After so long a challenge is over, for functions whose clocks are behind as well.
pub(super) const OVER: u64 = VALIDITY + 30;
/// Longer than anybody asks how long ago a right answer was.
const PROOF_OVER: u64 = 60;

/// Values under numbers.
pub(super) struct Kept<T> {
    ids: HashMap<Rc<T>, u32>,
    values: Vec<Rc<T>>,
}

impl<T: Hash + Eq> Kept<T> {
    /// Keeps a first value under the number 0.
    pub(super) fn new(first: T) -> RefCell<Kept<T>> {
        let mut kept = Kept { ids: HashMap::new(), values: Vec::new() };
        kept.id(first);
        RefCell::new(kept)
    }

    /// The number of a value.
    pub(super) fn id(&mut self, value: T) -> u32 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let (id, value) = (self.values.len() as u32, Rc::new(value));
        self.ids.insert(Rc::clone(&value), id);
        self.values.push(value);
        id
    }

    /// The value of a number that [`id`](Self::id) gave.
    pub(super) fn get(&self, id: u32) -> Rc<T> {
        Rc::clone(&self.values[id as usize])
    }
}

/// What a pure function gave before for the same arguments.
pub(super) struct Memo<K, V>(RefCell<HashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Memo<K, V> {
        Memo(RefCell::default())
    }
}

impl<K: Hash + Eq, V: Clone> Memo<K, V> {
    /// What `compute` gives, or gave before for `key`.
    pub(super) fn get(&self, key: K, compute: impl FnOnce(&K) -> V) -> V {
        if let Some(known) = self.0.borrow().get(&key) {
            return known.clone();
        }
        let value = compute(&key);
        self.0.borrow_mut().insert(key, value.clone());
        value
    }
}

/// A state that many seconds later.
pub(super) fn state_after(state: &ChallengeState, seconds: u64) -> ChallengeState {
    let earlier = |at: UnixSeconds| UnixSeconds(earlier(at.0, seconds, OVER));
    ChallengeState { issued_at: earlier(state.issued_at), last_sent: earlier(state.last_sent), ..*state }
}

/// An account that many seconds later. What `Account` would drop at its next count anyhow is dropped here already.
pub(super) fn account_after(account: &Account, seconds: u64) -> Option<Account> {
    let mut json = serde_json::to_value(account).ok()?;
    let number = |value: &Value| value.as_u64();
    let over = |at: u64, after: u64| at + after <= NOW.0;

    let mails = json["mails"].as_array()?.iter().filter_map(number).map(|at| earlier(at, seconds, DAY));
    json["mails"] = mails.filter(|at| !over(*at, DAY)).collect();
    json["next_mail"] = number(&json["next_mail"])?.saturating_sub(seconds).max(NOW.0).into();
    let last_failure = number(&json["last_failure"])?;
    // 0: there was none.
    json["last_failure"] = if last_failure == 0 { 0 } else { earlier(last_failure, seconds, DAY) }.into();
    let mut challenges = std::mem::take(json["challenges"].as_array_mut()?);
    for challenge in &mut challenges {
        let read = |state: &Value| state.as_str()?.parse::<ChallengeState>().ok();
        let later = |state: &Value| Some(Value::from(state_after(&read(state)?, seconds).to_string()));
        challenge["state"] = later(&challenge["state"])?;
        if let Some(accepted) = challenge.get_mut("accepted").filter(|accepted| !accepted.is_null()) {
            accepted["state"] = later(&accepted["state"])?;
            accepted["at"] = earlier(number(&accepted["at"])?, seconds, PROOF_OVER).into();
        }
    }
    challenges.retain(|challenge| {
        let state = challenge["state"].as_str().and_then(|state| state.parse::<ChallengeState>().ok());
        state.is_some_and(|state| !over(state.issued_at.0, OVER))
    });
    json["challenges"] = challenges.into();
    serde_json::from_value(json).ok()
}

/// A time that many seconds further back, but not further than `longest`.
fn earlier(at: u64, seconds: u64, longest: u64) -> u64 {
    at.saturating_sub(seconds).max(NOW.0 - longest)
}

#[cfg(test)]
mod tests {
    use auth_challenge::limits::{Answered, Count};

    use super::*;

    #[test]
    fn g1b_equal_values_have_one_number() {
        let kept = Kept::new("a");
        let mut kept = kept.borrow_mut();
        assert_eq!([kept.id("a"), kept.id("b"), kept.id("b")], [0, 1, 1]);
        assert_eq!(*kept.get(1), "b");
    }
    /// What is asked of an account later is asked of the moved one now, with the same outcome.
    #[test]
    fn g1b_an_account_that_moved_back_decides_as_the_account_does_later() {
        let vars = |name: &str| {
            let set = [("CODE_KEY", "a-key-of-the-tests-with-enough-characters"), ("LIMITS_TABLE", "limits")];
            let set = set.into_iter().chain([("CODE_VALIDITY_SECONDS", "60")]);
            set.into_iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.to_owned())
        };
        let settings = auth_challenge::settings::LimitsSettings::from_vars(&vars).unwrap();
        let key_id = auth_challenge::code::CodeKey::new(b"key").id();
        let limits = &settings.limits;
        let made = |nonce: u8, at: u64| ChallengeState {
            kind: auth_challenge::challenge::ChallengeKind::Code,
            key_id,
            nonce: [nonce; 16].into(),
            issued_at: UnixSeconds(at),
            attempts: 0,
            mails: 1,
            last_sent: UnixSeconds(at),
            repeated: false,
        };
        let keep = |count: Result<Count<()>, _>| match count {
            Ok(Count::Keep(account, ())) => account,
            other => panic!("{other:?}"),
        };
        let answer = |right| Answered { tag: "answer", right, proof: None };
        let now = NOW;
        let Ok(Count::Keep(begun, _)) = Account::default().start(limits, "client", made(1, NOW.0), now) else {
            panic!()
        };
        let failed = keep(begun.answer(limits, "client", &made(1, NOW.0), answer(false), now));
        let signed_in = keep(failed.answer(limits, "client", &made(1, NOW.0), answer(true), now));
        for account in [Account::default(), begun, failed, signed_in] {
            for seconds in [3, 5, 14, 15, 30, 59, 60, 89, 90, 91, 3_600, 86_399, 86_400, 200_000] {
                let later = UnixSeconds(NOW.0 + seconds);
                let moved = account_after(&account, seconds).unwrap();
                let state = made(1, NOW.0);
                let same = |then: Result<Count<()>, _>, here: Result<Count<()>, _>| match (then, here) {
                    (Ok(Count::Keep(then, ())), Ok(Count::Keep(here, ()))) => {
                        // The times of the one that was moved are those of the other, moved.
                        account_after(&then, seconds) == account_after(&here, 0)
                    }
                    (then, here) => then == here,
                };
                let of = |count: Result<Count<ChallengeState>, _>| match count {
                    Ok(Count::Keep(account, _)) => Ok(Count::Keep(account, ())),
                    Ok(Count::Repeat(_)) => Ok(Count::Repeat(())),
                    Err(limited) => Err(limited),
                };
                let then = of(account.start(limits, "client", made(2, later.0), later));
                let here = of(moved.start(limits, "client", made(2, NOW.0), NOW));
                assert!(same(then.clone(), here.clone()), "start after {seconds}: {then:?}, {here:?}");
                if seconds < 60 {
                    for right in [true, false] {
                        let then = account.answer(limits, "client", &state, answer(right), later);
                        let here = moved.answer(limits, "client", &state_after(&state, seconds), answer(right), NOW);
                        assert!(same(then.clone(), here.clone()), "answer after {seconds}: {then:?}, {here:?}");
                    }
                }
            }
        }
    }
}
