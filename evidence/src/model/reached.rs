//! What must be reached somewhere, or the search has proved nothing.

use super::owner::{Patience, a_stranger_acts, actions};
use super::rules::{Rules, Text};
use super::words;
use super::world::{Fault, Seen, World};

/// What has been reached, a bit for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached(u32);

/// Beside one for each fault.
const OTHERS: [&str; 6] = [
    "the owner signs in, and nothing goes wrong",
    "the owner signs in after a slip",
    "the owner signs in after a second mail",
    "the owner signs in by a challenge that a stranger shares",
    "an account's limits refuse something",
    "another challenge's code is refused",
];

impl Reached {
    /// All there is to reach.
    pub(super) fn names() -> impl Iterator<Item = String> {
        let after = |fault| format!("the owner signs in within two actions after {}", words::fault(fault));
        OTHERS.into_iter().map(str::to_owned).chain(Fault::ALL.into_iter().map(after))
    }

    /// Whether each of [`names`](Self::names) has been reached.
    pub(super) fn flags(self) -> impl Iterator<Item = bool> {
        (0..OTHERS.len() + Fault::ALL.len()).map(move |bit| self.0 & 1 << bit != 0)
    }

    pub(super) fn and(self, other: Reached) -> Reached {
        Reached(self.0 | other.0)
    }

    /// Looks at a step.
    pub(super) fn look(&mut self, after: &World, seen: &[Seen], rules: &Rules) {
        for seen in seen {
            match *seen {
                Seen::Issued { sign_in, last, challenge } if after.sign_ins[usize::from(sign_in)].owners => {
                    if !after.failed {
                        self.set(0);
                    }
                    if last.state.attempts > 0 {
                        self.set(1);
                    }
                    if last.state.mails > 1 {
                        self.set(2);
                    }
                    let shares = |session: u32| {
                        let state = rules.sessions.borrow().get(session).challenge;
                        state.is_some_and(|state| super::rules::nonce_of(&state) == challenge)
                    };
                    if after.sign_ins.iter().any(|sign_in| !sign_in.owners && shares(sign_in.session)) {
                        self.set(3);
                    }
                }
                Seen::Failed { fault, first: true } => {
                    let bit = OTHERS.len() + fault as usize;
                    let is_fast = || [1, 2].contains(&actions(after, rules, Patience::Much));
                    if self.0 & 1 << bit == 0 && !a_stranger_acts(after) && is_fast() {
                        self.set(bit);
                    }
                }
                Seen::Limited => self.set(4),
                Seen::Judged { challenge, text: Text::Code { nonce, .. }, right: false, .. } if nonce != challenge => {
                    self.set(5);
                }
                Seen::Judged { .. }
                | Seen::Failed { .. }
                | Seen::Mailed { .. }
                | Seen::Asked { .. }
                | Seen::Issued { .. }
                | Seen::Counted { .. }
                | Seen::Defined { .. } => {}
            }
        }
    }

    fn set(&mut self, bit: usize) {
        self.0 |= 1 << bit;
    }
}
