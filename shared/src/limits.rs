//! Limits that hold across sign-ins: what is counted for an account, and what the counts allow.
//!
//! A new sign-in costs an attacker one request, so what is limited within a sign-in is not limited at all unless it is counted
//! for the account (RFC 4226 §7.3, NIST SP 800-63B-4 §3.2.2). Here a count is a value: each function takes an [`Account`] as it
//! is and gives it as it will be, or says why not. Whoever keeps accounts puts the new one in the place of the old one only if
//! the old one is still there, before a mail is sent or what was found out about an answer is told. Then of any number of
//! attempts at once exactly as many pass as the limits allow, and no count is lost.
//!
//! Limits act on beginning a sign-in. A challenge that is live can be answered, whatever strangers did meanwhile (but for one who
//! began a few seconds before and shares it, [`Account::start`]), until the account has had as many wrong answers in a row as NIST
//! allows at all.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::challenge::{CLOCK_TOLERANCE, ChallengeState, UnixSeconds};
use crate::code::CodeKey;
use crate::user::{SignIn, User};

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Mails at once, after a pause.
    pub mail_burst: u32,
    /// Time after which one more mail is allowed.
    pub mail_interval: Duration,
    /// Mails in any 24 hours.
    pub mails_per_day: usize,
    /// Wrong answers in a row after which the next sign-in has to wait.
    pub slow_down_after: u32,
    /// Wrong answers in a row after which none is judged any more until a day has passed without one.
    pub latch_after: u32,
    /// Answers that are judged for one challenge.
    pub max_attempts: u8,
    /// Life of a challenge.
    pub validity: Duration,
}

/// The first wait after too many wrong answers. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait after too many wrong answers, and the pause that halves the next one.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// How often [`FIRST_WAIT`] is doubled at most.
const DOUBLINGS: u32 = 7;
/// The time without a wrong answer after which those before are forgotten, and the time that mails are counted in.
const DAY: Duration = Duration::from_secs(86_400);
/// Cognito waits 5 s for a trigger, so whoever comes earlier, give or take a second, is somebody else. The clocks are those of the
/// functions: a first call that was more than this second longer on its way there than its repeat, because a process had to be
/// started, is taken for another's, too. Then there are two codes, of which the newer counts, or a right one is refused.
const REPEATS_AFTER: Duration = Duration::from_secs(4);
/// And it calls three times at most.
const REPEATS: Duration = Duration::from_secs(15);
/// Between the right answer and post-authentication three triggers may be called as often, and clocks differ.
const PROOF_HOLDS: Duration = Duration::from_secs(60);

/// What is counted for one account. As JSON it holds neither a name nor an address, and nothing that a code could be made of
/// without the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// When the mails of the last day were sent.
    mails: Vec<u64>,
    /// When the last mail would have been sent, and `mail_interval` later, had all come evenly (the generic cell rate algorithm).
    next_mail: u64,
    /// Wrong answers in a row.
    failures: u32,
    /// The same, less what pauses have taken back.
    level: u32,
    /// When the last answer was counted.
    last_failure: u64,
    /// Those that may still be answered.
    challenges: Vec<Counted>,
}

/// What is counted for one challenge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Counted {
    /// The app client that it belongs to.
    client_id: String,
    /// Its state after the last mail.
    state: ChallengeState,
    /// A tag of each different wrong answer: to the challenge as it was made, and as repeats got it.
    answers: [Vec<String>; 2],
    /// With which answer somebody has signed in.
    accepted: Option<Accepted>,
}

/// A right answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Accepted {
    at: u64,
    /// The state of the round.
    state: ChallengeState,
    /// The address that it proved ([`SignIn::proof`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

impl Counted {
    fn new(client_id: &str, state: ChallengeState) -> Counted {
        Counted { client_id: client_id.to_owned(), state, answers: Default::default(), accepted: None }
    }
}

/// The name under which the counts of an account are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountKey {
    /// Neither the pool's name nor the user's can be had from it.
    pub name: String,
    /// Users who do not exist are counted like those who do, so that they cannot be told apart by a limit; and apart from them,
    /// so that inventing names does not push out what is counted for people.
    pub exists: bool,
}

impl AccountKey {
    /// The name of a sign-in's account. `key` is that of the challenge: what was counted for it is still found after a change of keys.
    pub fn new(key: &CodeKey, sign_in: &SignIn, user: &User) -> AccountKey {
        let (label, exists, user_name) = match user {
            User::Known(_) => ("account/v1", true, sign_in.user_name.clone()),
            // However somebody is spelled who does exist, Cognito gives the one name; here it may give what was typed.
            User::Unknown(_) => ("no-account/v1", false, sign_in.user_name.to_lowercase()),
        };
        // The app client is no part of it: an account is attacked through all of them.
        // Nor is an address, or another one would begin all counts anew.
        let user_pool_id = sign_in.user_pool_id.clone();
        let account = SignIn { user_pool_id, client_id: String::new(), user_name, unproved: None };
        AccountKey { name: URL_SAFE_NO_PAD.encode(&key.mac(label, &account, &[])[..16]), exists }
    }
}

/// An answer to a challenge, and whether it is right. Nobody has been told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered<'a> {
    /// The same for the same answer ([`Answer::tag`](crate::code::Answer::tag)).
    pub tag: &'a str,
    /// Whether it is the code.
    pub right: bool,
    /// What it proves if it is ([`SignIn::proof`]).
    pub proof: Option<&'a str>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// The account has had its mails for now.
    Mails,
    /// There were too many wrong answers lately.
    Failures,
    /// The challenge has had its answers.
    Attempts,
    /// Somebody has signed in with the challenge.
    Used,
}

/// What a count comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count<T> {
    /// It goes on once this account is kept.
    Keep(Account, T),
    /// It was counted before: Cognito has called again for the same round.
    Repeat(T),
}

impl Account {
    /// Counts the beginning of a sign-in, with its mail. `fresh` is the challenge that would be made; a repeat gets the one that was
    /// made a moment ago.
    ///
    /// Cognito's calls carry nothing by which a repeat could be told from a second sign-in. So any sign-in of the same client that
    /// begins while Cognito may still repeat the last one gets the same challenge, as long as nobody has answered it: the person
    /// gets one code, and it is right wherever it was asked for. But it gets it as a repeat, for which the last answer is not
    /// judged: a stranger who begins a sign-in a moment after somebody cannot use up that person's.
    ///
    /// # Errors
    ///
    /// [`Limited::Failures`] while too many wrong answers have to be waited for, [`Limited::Mails`] when there were too many mails.
    pub fn start(
        &self,
        limits: &Limits,
        client_id: &str,
        fresh: ChallengeState,
        now: UnixSeconds,
    ) -> Result<Count<ChallengeState>, Limited> {
        // No other call makes this very challenge: the table wrote it and did not say so, and somebody else wrote since.
        if self.challenges.iter().any(|counted| counted.state == fresh) {
            return Ok(Count::Keep(self.clone(), fresh));
        }
        let may_repeat = |counted: &&Counted| {
            counted.client_id == client_id
                && counted.answers.iter().all(Vec::is_empty)
                && counted.accepted.is_none()
                && counted.state.mails == 1
                && may_be_repeat(counted.state.issued_at, now)
        };
        if let Some(counted) = self.challenges.iter().rev().find(may_repeat) {
            return Ok(Count::Repeat(ChallengeState { repeated: true, ..counted.state }));
        }
        let mut account = self.pruned(limits, now);
        if account.failures >= limits.latch_after || now < account.may_start_at(limits) {
            return Err(Limited::Failures);
        }
        account.count_mail(limits, now)?;
        account.challenges.push(Counted::new(client_id, fresh));
        Ok(Count::Keep(account, fresh))
    }

    /// Takes back the beginning of a sign-in whose mail certainly was not sent.
    #[must_use]
    pub fn take_back(&self, limits: &Limits, state: &ChallengeState) -> Account {
        let mut account = self.clone();
        let before = account.challenges.len();
        account.challenges.retain(|counted| counted.state.nonce != state.nonce);
        if account.challenges.len() < before {
            if let Some(place) = account.mails.iter().rposition(|at| *at == state.last_sent.0) {
                account.mails.remove(place);
            }
            account.next_mail = account.next_mail.saturating_sub(limits.mail_interval.as_secs());
        }
        account
    }

    /// Counts another mail for a challenge. `again` is the state with that mail in it.
    ///
    /// # Errors
    ///
    /// [`Limited::Mails`] when there were too many.
    pub fn resend(
        &self,
        limits: &Limits,
        client_id: &str,
        again: ChallengeState,
        now: UnixSeconds,
    ) -> Result<Count<ChallengeState>, Limited> {
        let mut account = self.pruned(limits, now);
        let counted = account.counted(client_id, &again);
        let before = counted.state;
        if before.mails >= again.mails && may_be_repeat(before.last_sent, now) {
            return Ok(Count::Repeat(ChallengeState { last_sent: before.last_sent, ..again }));
        }
        // Another sign-in that shares the challenge may have had more of them.
        counted.state = ChallengeState { mails: before.mails.max(again.mails), ..again };
        account.count_mail(limits, now)?;
        Ok(Count::Keep(account, again))
    }

    /// Counts an answer to a challenge. A wrong one is one more in a row; the same one is counted once, however often it is
    /// given, because it tells nothing new. A right one ends the row, and nobody else signs in with the challenge; only Cognito's
    /// repeat of the same round hears again that it is right. A call of a client's own that comes as late as such a repeat, while the
    /// first is still under way, cannot be told from it: that one is left to Cognito, whose `Session` serves once.
    ///
    /// # Errors
    ///
    /// [`Limited::Used`], [`Limited::Attempts`] or [`Limited::Failures`] when nobody may hear whether the answer is right.
    pub fn answer(
        &self,
        limits: &Limits,
        client_id: &str,
        state: &ChallengeState,
        answer: Answered<'_>,
        now: UnixSeconds,
    ) -> Result<Count<()>, Limited> {
        let mut account = self.pruned(limits, now);
        let latched = account.failures >= limits.latch_after;
        let counted = account.counted(client_id, state);
        if let Some(accepted) = &counted.accepted {
            // Repeats of one challenge cannot be told apart, so none of them is taken for a call that Cognito makes again.
            let same_round = accepted.state == *state && !state.repeated;
            let repeat = answer.right && same_round && may_be_repeat(UnixSeconds(accepted.at), now);
            return if repeat { Ok(Count::Repeat(())) } else { Err(Limited::Used) };
        }
        if !answer.right && counted.answers.iter().flatten().any(|tag| tag == answer.tag) {
            return Ok(Count::Repeat(()));
        }
        let given: usize = counted.answers.iter().map(Vec::len).sum();
        let answers = &mut counted.answers[usize::from(state.repeated)];
        // However few there are, each of two sign-ins that share it has one.
        if given >= limits.max_attempts.max(2).into()
            || answers.len() >= state.allowed_attempts(limits.max_attempts).into()
        {
            return Err(Limited::Attempts);
        }
        if latched {
            return Err(Limited::Failures);
        }
        if answer.right {
            let proof = answer.proof.map(str::to_owned);
            counted.accepted = Some(Accepted { at: now.0, state: *state, proof });
            (account.failures, account.level) = (0, 0);
        } else {
            answers.push(answer.tag.to_owned());
            account.level = account.level_at(limits, now).saturating_add(1).min(limits.slow_down_after + DOUBLINGS);
            account.failures += 1;
            account.last_failure = account.last_failure.max(now.0);
        }
        Ok(Count::Keep(account, ()))
    }

    /// Whether a right answer has proved this a moment ago. Only a right answer ever writes a proof, whatever else people sign in by.
    pub fn has(&self, proof: &str, now: UnixSeconds) -> bool {
        let accepted = self.challenges.iter().filter_map(|counted| counted.accepted.as_ref());
        accepted
            .filter(|accepted| now < UnixSeconds(accepted.at).plus(PROOF_HOLDS))
            .any(|accepted| accepted.proof.as_deref() == Some(proof))
    }

    /// When everything that is counted will have been forgotten.
    pub fn expires_at(&self, limits: &Limits) -> UnixSeconds {
        // One that was made while nothing could be counted has no mail here, and perhaps no wrong answer.
        let made = self.challenges.iter().map(|counted| counted.state.issued_at.0);
        let last = self.mails.iter().copied().chain(made).max().unwrap_or_default().max(self.last_failure);
        UnixSeconds(last).plus(DAY).max(UnixSeconds(self.next_mail)).plus(limits.validity)
    }

    /// The account without what is over.
    fn pruned(&self, limits: &Limits, now: UnixSeconds) -> Account {
        let mut account = self.clone();
        let over = |at: u64, after: Duration| UnixSeconds(at).plus(after) <= now;
        account.mails.retain(|at| !over(*at, DAY));
        account.challenges.retain(|counted| !over(counted.state.issued_at.0, limits.validity + CLOCK_TOLERANCE));
        if over(account.last_failure, DAY) {
            (account.failures, account.level) = (0, 0);
        }
        account
    }

    /// What is counted for a challenge; one that is not known yet was made while nothing could be counted.
    fn counted(&mut self, client_id: &str, state: &ChallengeState) -> &mut Counted {
        let is_it = |counted: &Counted| counted.state.nonce == state.nonce;
        let place = self.challenges.iter().position(is_it).unwrap_or_else(|| {
            self.challenges.push(Counted::new(client_id, ChallengeState { mails: 1, ..*state }));
            self.challenges.len() - 1
        });
        &mut self.challenges[place]
    }

    fn count_mail(&mut self, limits: &Limits, now: UnixSeconds) -> Result<(), Limited> {
        let evenly = self.next_mail.max(now.0);
        let ahead = limits.mail_interval.as_secs().saturating_mul(limits.mail_burst.saturating_sub(1).into());
        if evenly - now.0 > ahead || self.mails.len() >= limits.mails_per_day {
            return Err(Limited::Mails);
        }
        self.next_mail = evenly.saturating_add(limits.mail_interval.as_secs());
        self.mails.push(now.0);
        Ok(())
    }

    /// When the next sign-in may begin.
    fn may_start_at(&self, limits: &Limits) -> UnixSeconds {
        match wait(limits, self.level) {
            // Another function's clock may be ahead of ours.
            Duration::ZERO => UnixSeconds(0),
            wait => UnixSeconds(self.last_failure).plus(wait),
        }
    }

    /// The level of a failure now. A wait that is over takes two back, and each hour after it halves the rest: whoever goes on
    /// using up the answers of each challenge waits longer each time, but one slip never locks for as long again.
    fn level_at(&self, limits: &Limits, now: UnixSeconds) -> u32 {
        let wait = wait(limits, self.level);
        let Some(quiet) = now.0.checked_sub(UnixSeconds(self.last_failure).plus(wait).0) else { return self.level };
        let level = if wait.is_zero() { self.level } else { self.level - 2 };
        u32::try_from(quiet / LONGEST_WAIT.as_secs()).ok().and_then(|hours| level.checked_shr(hours)).unwrap_or(0)
    }
}

/// Whether what happens now may be Cognito's repeat of what happened then.
fn may_be_repeat(then: UnixSeconds, now: UnixSeconds) -> bool {
    then.plus(REPEATS_AFTER) <= now && now < then.plus(REPEATS)
}

/// How long the next sign-in has to wait at a level.
fn wait(limits: &Limits, level: u32) -> Duration {
    match level.checked_sub(limits.slow_down_after) {
        None => Duration::ZERO,
        Some(doublings) => (FIRST_WAIT * 2_u32.pow(doublings.min(DOUBLINGS))).min(LONGEST_WAIT),
    }
}
