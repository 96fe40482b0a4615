//! Limits that hold across sign-ins.

use std::time::Duration;

use auth_challenge::challenge::{ChallengeState, Nonce, UnixSeconds};
use auth_challenge::code::CodeKey;
use auth_challenge::limits::{Account, AccountKey, Answered, Count, Limited, Limits};
use auth_challenge::user::{SignIn, User};

use crate::example::{NOW, alice, keys, later, nobody, sign_in, state};

pub(crate) const LIMITS: Limits = Limits {
    mail_burst: 3,
    mail_interval: Duration::from_secs(60),
    mails_per_day: 20,
    slow_down_after: 10,
    latch_after: 100,
    max_attempts: 3,
    validity: Duration::from_secs(600),
};
pub(crate) const CLIENT: &str = "1example23456789";
pub(crate) const DAY: u64 = 86_400;

/// A challenge that is made at `now`, like no other.
pub(crate) fn fresh(n: u64, now: UnixSeconds) -> ChallengeState {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&n.to_be_bytes());
    ChallengeState { nonce: Nonce::from(nonce), issued_at: now, last_sent: now, ..state() }
}

pub(crate) fn wrong(tag: &str) -> Answered<'_> {
    Answered { tag, right: false, proof: None }
}

/// An account that sign-ins happen to.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) limits: Limits,
    pub(crate) account: Account,
    pub(crate) begun: u64,
}

impl Default for Life {
    fn default() -> Life {
        Life { limits: LIMITS, account: Account::default(), begun: 0 }
    }
}

impl Life {
    /// Begins a sign-in, later than Cognito would repeat the one before.
    pub(crate) fn start(&mut self, now: UnixSeconds) -> Result<ChallengeState, Limited> {
        self.begun += 1;
        match self.account.start(&self.limits, CLIENT, fresh(self.begun, now), now)? {
            Count::Keep(account, state) => {
                self.account = account;
                Ok(state)
            }
            Count::Repeat(state) => Ok(state),
        }
    }

    pub(crate) fn answer(&mut self, state: &ChallengeState, tag: &str, now: UnixSeconds) -> Result<(), Limited> {
        self.give(state, wrong(tag), now)
    }

    pub(crate) fn accept(&mut self, state: &ChallengeState, now: UnixSeconds) -> Result<(), Limited> {
        self.give(state, Answered { tag: "right", right: true, proof: None }, now)
    }

    fn give(&mut self, state: &ChallengeState, answer: Answered<'_>, now: UnixSeconds) -> Result<(), Limited> {
        match self.account.answer(&self.limits, CLIENT, state, answer, now)? {
            Count::Keep(account, ()) => self.account = account,
            Count::Repeat(()) => {}
        }
        Ok(())
    }

    /// Begins a sign-in and answers wrongly so often.
    fn fail(&mut self, times: u64, now: UnixSeconds) -> Result<(), Limited> {
        let state = self.start(now)?;
        (0..times).try_for_each(|n| self.answer(&state, &format!("{n}"), now))
    }
}

/// The table may write without saying so; if somebody else has written before it is asked again, the beginning is counted again.
#[test]
fn f54_a_beginning_that_was_counted_unnoticed_is_not_counted_again() {
    let challenge = fresh(1, NOW);
    let Ok(Count::Keep(counted, _)) = Account::default().start(&LIMITS, CLIENT, challenge, NOW) else { panic!() };
    assert_eq!(counted.start(&LIMITS, CLIENT, challenge, NOW), Ok(Count::Keep(counted.clone(), challenge)));
}

#[test]
fn r18_t36_three_mails_at_once_then_one_a_minute_and_twenty_a_day() {
    let mut life = Life::default();
    for seconds in [0, 16, 32] {
        assert!(life.start(later(seconds)).is_ok(), "{seconds}");
    }
    assert_eq!(life.start(later(48)), Err(Limited::Mails));
    // The first was sent at 0: the next is allowed a minute later, and one each minute from there.
    assert_eq!(life.start(later(59)), Err(Limited::Mails));
    assert!(life.start(later(60)).is_ok());
    assert_eq!(life.start(later(119)), Err(Limited::Mails));
    for mail in 5..=20 {
        assert!(life.start(later(60 * (mail - 3))).is_ok(), "{mail}");
    }
    assert_eq!(life.start(later(3_600)), Err(Limited::Mails));
    assert_eq!(life.start(later(DAY - 1)), Err(Limited::Mails));
    assert!(life.start(later(DAY)).is_ok());
}

#[test]
fn a_resend_is_a_mail_like_any_other_and_its_repeat_is_none() {
    let mut life = Life::default();
    let first = life.start(NOW).unwrap();
    let again = ChallengeState { mails: 2, last_sent: later(30), ..first };
    let Ok(Count::Keep(account, sent)) = life.account.resend(&LIMITS, CLIENT, again, later(30)) else { panic!() };
    assert_eq!(sent, again);
    life.account = account;
    let repeated = ChallengeState { last_sent: later(36), ..again };
    assert_eq!(life.account.resend(&LIMITS, CLIENT, repeated, later(36)), Ok(Count::Repeat(again)));
    // Later it is the first resend of another sign-in, which shares the challenge and has a mail of its own.
    let anothers = ChallengeState { mails: 2, last_sent: later(45), repeated: true, ..first };
    let Ok(Count::Keep(account, sent)) = life.clone().account.resend(&LIMITS, CLIENT, anothers, later(45)) else {
        panic!()
    };
    assert_eq!(sent, anothers);
    let after = Life { account, ..Life::default() };
    assert_eq!(after.account.resend(&LIMITS, CLIENT, fresh(9, later(46)), later(46)), Err(Limited::Mails));
    let third = ChallengeState { mails: 3, last_sent: later(50), ..first };
    let Ok(Count::Keep(account, _)) = life.account.resend(&LIMITS, CLIENT, third, later(50)) else { panic!() };
    life.account = account;
    let fourth = ChallengeState { mails: 4, last_sent: later(55), ..first };
    assert_eq!(life.account.resend(&LIMITS, CLIENT, fourth, later(55)), Err(Limited::Mails));
}

#[test]
fn the_repeat_of_a_resend_is_none_whoever_else_had_fewer_of_the_same_challenge_meanwhile() {
    let mut life = Life { limits: Limits { mail_burst: 10, ..LIMITS }, ..Life::default() };
    let first = life.start(NOW).unwrap();
    for (mails, repeated, seconds) in [(2, false, 30), (3, false, 60), (2, true, 61)] {
        let again = ChallengeState { mails, repeated, last_sent: later(seconds), ..first };
        let counted = life.account.resend(&life.limits, CLIENT, again, later(seconds));
        let Ok(Count::Keep(account, _)) = counted else { panic!("{counted:?}") };
        life.account = account;
    }
    let repeat = ChallengeState { mails: 3, last_sent: later(66), ..first };
    let counted = life.account.resend(&life.limits, CLIENT, repeat, later(66));
    assert_eq!(counted, Ok(Count::Repeat(ChallengeState { last_sent: later(61), ..repeat })));
}

#[test]
fn a_mail_that_was_not_sent_is_taken_back_with_its_challenge() {
    let mut life = Life::default();
    life.start(NOW).unwrap();
    let before = life.account.clone();
    let not_sent = life.start(later(20)).unwrap();
    life.account = life.account.take_back(&LIMITS, &not_sent);
    assert_eq!(life.account, before);
    // Twice is once.
    assert_eq!(life.account.take_back(&LIMITS, &not_sent), before);
    // Whoever tries again at once gets a challenge and a mail of their own.
    let again = fresh(99, later(21));
    assert!(
        matches!(life.account.start(&LIMITS, CLIENT, again, later(21)), Ok(Count::Keep(_, state)) if state == again)
    );
}

/// P16, R19: a stranger begins sign-ins for somebody at ten times the allowed rate.
#[test]
fn p16_t38_whoever_is_attacked_has_a_challenge_within_a_minute_until_the_days_mails_are_used_up() {
    for began in (0..900).step_by(7) {
        let mut life = Life::default();
        let mut had_one = None;
        for seconds in 0..=began + 60 {
            if seconds % 6 == 0 {
                let _ = life.start(later(seconds));
            }
            if seconds >= began && life.start(later(seconds)).is_ok() {
                had_one = Some(seconds - began);
                break;
            }
        }
        assert!(had_one.is_some_and(|waited| waited <= 60), "began at {began}: {had_one:?}");
    }
}

#[test]
fn r36_f20_cognitos_repeat_gets_the_challenge_of_the_first_call() {
    let mut life = Life::default();
    let first = life.start(NOW).unwrap();
    for seconds in [4, 5, 10, 14] {
        assert_eq!(
            life.account.start(&LIMITS, CLIENT, fresh(9, later(seconds)), later(seconds)),
            Ok(Count::Repeat(ChallengeState { repeated: true, ..first }))
        );
    }
    let start = |life: &Life, client: &str, seconds| {
        life.account.start(&LIMITS, client, fresh(9, later(seconds)), later(seconds))
    };
    // Earlier and later it is another sign-in; so is one of another client, and one after an answer.
    assert!(matches!(start(&life, CLIENT, 15), Ok(Count::Keep(_, state)) if state == fresh(9, later(15))));
    assert!(matches!(start(&life, CLIENT, 3), Ok(Count::Keep(_, state)) if state == fresh(9, later(3))));
    assert!(matches!(start(&life, "another", 5), Ok(Count::Keep(..))));
    let mut answered = life.clone();
    answered.answer(&first, "1", later(3)).unwrap();
    assert!(matches!(start(&answered, CLIENT, 5), Ok(Count::Keep(..))));
    let mut used = life.clone();
    used.accept(&first, later(3)).unwrap();
    assert!(matches!(start(&used, CLIENT, 5), Ok(Count::Keep(..))));
}

#[test]
fn r13_a_challenge_has_so_many_answers_and_the_same_answer_counts_once() {
    let mut life = Life::default();
    let state = life.start(NOW).unwrap();
    for tag in ["1", "1", "2", "1", "3", "2"] {
        assert_eq!(life.answer(&state, tag, later(1)), Ok(()), "{tag}");
    }
    assert_eq!(life.answer(&state, "4", later(1)), Err(Limited::Attempts));
    // The state says how often its own sign-in answered; what counts is how often anybody did.
    let in_another_sign_in = ChallengeState { attempts: 0, ..state };
    assert_eq!(life.answer(&in_another_sign_in, "5", later(1)), Err(Limited::Attempts));
    assert_eq!(life.answer(&in_another_sign_in, "3", later(1)), Ok(()));
}

#[test]
fn r13_answers_are_remembered_for_as_long_as_the_challenge_can_be_answered() {
    let mut life = Life::default();
    let state = life.start(NOW).unwrap();
    for tag in ["1", "2", "3"] {
        life.answer(&state, tag, later(1)).unwrap();
    }
    // Also by a function whose clock is half a minute behind.
    for seconds in [569, 599, 629] {
        assert_eq!(life.answer(&state, "4", later(seconds)), Err(Limited::Attempts), "{seconds}");
    }
}

#[test]
fn a_challenge_that_was_made_while_nothing_could_be_counted_gets_its_mails_and_its_answers() {
    let again = ChallengeState { mails: 2, last_sent: later(30), ..state() };
    // Whenever the call that counts it comes: nothing says that its mail went out.
    for seconds in [30, 36] {
        let counted = Account::default().resend(&LIMITS, CLIENT, again, later(seconds));
        assert!(matches!(counted, Ok(Count::Keep(_, sent)) if sent == again), "{seconds}: {counted:?}");
    }
    let mut life = Life::default();
    for (tag, expected) in [("1", Ok(())), ("2", Ok(())), ("3", Ok(())), ("4", Err(Limited::Attempts))] {
        assert_eq!(life.answer(&state(), tag, later(1)), expected);
    }
}

#[test]
fn t06_t52_an_account_has_one_name_whatever_client_is_used_and_it_tells_nothing() {
    let name = |sign_in: &SignIn, user: &User| AccountKey::new(&keys().current, sign_in, user).name;
    let ours = name(&sign_in(), &alice());
    assert_eq!(name(&SignIn { client_id: "another".to_owned(), ..sign_in() }, &alice()), ours);
    let mut names = vec![
        ours.clone(),
        name(&SignIn { user_name: "bob".to_owned(), ..sign_in() }, &alice()),
        name(&SignIn { user_pool_id: "eu-west-1_OTHER".to_owned(), ..sign_in() }, &alice()),
        // T28: those who do not exist are counted, apart.
        name(&sign_in(), &nobody()),
        AccountKey::new(&CodeKey::new(b"another key"), &sign_in(), &alice()).name,
    ];
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5);
    // Whoever exists has the name that the pool gave them. Of others it may be what somebody typed.
    let upper = SignIn { user_name: sign_in().user_name.to_uppercase(), ..sign_in() };
    assert_eq!(name(&upper, &nobody()), name(&sign_in(), &nobody()));
    assert_ne!(name(&upper, &alice()), ours);
    assert!(ours.len() == 22 && !ours.contains(&sign_in().user_name[..8]), "{ours}");
}

#[test]
fn r07_t21_a_challenge_is_used_once() {
    let mut life = Life::default();
    let state = life.start(NOW).unwrap();
    assert_eq!(life.answer(&state, "other", later(1)), Ok(()));
    assert_eq!(life.accept(&state, later(1)), Ok(()));
    for seconds in [1, 2, 4, 16, 599] {
        assert_eq!(life.accept(&state, later(seconds)), Err(Limited::Used), "{seconds}");
        assert_eq!(life.answer(&state, "other", later(seconds)), Err(Limited::Used), "{seconds}");
    }
    // Whoever had the same code by another sign-in, at whatever moment.
    for other in [ChallengeState { repeated: true, ..state }, ChallengeState { attempts: 1, ..state }] {
        for seconds in 1..20 {
            assert_eq!(life.accept(&other, later(seconds)), Err(Limited::Used), "{seconds}");
        }
    }
}

#[test]
fn f28_cognitos_repeat_of_a_right_answer_is_right_again() {
    let mut life = Life::default();
    let state = life.start(NOW).unwrap();
    life.accept(&state, later(60)).unwrap();
    for (seconds, expected) in
        [(63, Err(Limited::Used)), (64, Ok(())), (65, Ok(())), (74, Ok(())), (75, Err(Limited::Used))]
    {
        assert_eq!(life.accept(&state, later(seconds)), expected, "{seconds}");
    }
}

/// Those who share a challenge have the same state, so what one of them answers must not be taken for Cognito's repeat of another's.
#[test]
fn r07_of_all_who_share_a_challenge_one_is_accepted() {
    let mut life = Life::default();
    let first = life.start(NOW).unwrap();
    let [one, two] = [5, 6].map(|seconds| life.start(later(seconds)).unwrap());
    assert_eq!((one, one.repeated), (two, true));
    life.accept(&one, later(60)).unwrap();
    for seconds in 60..80 {
        for state in [one, two, first] {
            assert_eq!(life.accept(&state, later(seconds)), Err(Limited::Used), "{seconds}");
        }
    }
}

#[test]
fn r19_t38_a_stranger_who_shares_a_challenge_cannot_use_up_the_answers_of_who_was_first() {
    for max_attempts in 1..=5_u8 {
        let limits = Limits { max_attempts, ..LIMITS };
        let mut life = Life { limits, ..Life::default() };
        let owners = life.start(NOW).unwrap();
        let strangers = life.start(later(5)).unwrap();
        assert_eq!((strangers.nonce, strangers.repeated), (owners.nonce, true));
        let told = (0..9).filter(|n| life.answer(&strangers, &format!("{n}"), later(6)).is_ok()).count();
        assert_eq!(told, usize::from(max_attempts.max(2) - 1));
        assert_eq!(life.clone().accept(&strangers, later(6)), Err(Limited::Attempts));
        assert_eq!(life.clone().accept(&owners, later(8)), Ok(()));
        // All in all there are no more than without a stranger, but for the one that each has.
        assert_eq!(life.answer(&owners, "9", later(7)), Ok(()));
        assert_eq!(life.accept(&owners, later(8)), Err(Limited::Attempts));
    }
}

/// Seconds from the last failure to when a sign-in may begin again.
fn wait(life: &Life, failed_at: u64) -> u64 {
    let allowed = |seconds: u64| {
        let now = later(failed_at + seconds);
        life.account.start(&LIMITS, "another client", fresh(99, now), now) != Err(Limited::Failures)
    };
    (0..=DAY).find(|seconds| allowed(*seconds)).unwrap()
}

#[test]
fn r14_r15_from_the_tenth_wrong_answer_on_the_next_sign_in_waits_and_twice_as_long_each_time() {
    let mut life = Life::default();
    life.fail(3, later(0)).unwrap();
    life.fail(3, later(60)).unwrap();
    life.fail(3, later(120)).unwrap();
    assert_eq!(wait(&life, 120), 0);
    // The first three answers of one more sign-in.
    let state = life.start(later(180)).unwrap();
    for (tag, expected) in [("1", 30), ("2", 60), ("3", 120)] {
        life.answer(&state, tag, later(180)).unwrap();
        assert_eq!(wait(&life, 180), expected);
    }
    // Whoever goes on as soon as it is allowed, with all the answers that there are.
    let mut now = 180 + 120;
    for expected in [240, 480, 960, 1_920, 3_600, 3_600, 3_600] {
        assert_eq!(life.clone().start(later(now - 1)), Err(Limited::Failures));
        life.fail(3, later(now)).unwrap();
        assert_eq!(wait(&life, now), expected);
        now += expected;
    }
}

#[test]
fn r17_one_slip_after_a_wait_or_a_pause_does_not_lock_for_as_long_again() {
    let life = after_failures(50);
    assert_eq!(wait(&life, 0), 3_600);
    for (pause, expected) in [(3_600, 1_920), (3_600 + 3_599, 1_920), (2 * 3_600, 0), (3 * 3_600, 0)] {
        let mut later_on = life.clone();
        later_on.fail(1, later(pause)).unwrap();
        assert_eq!(wait(&later_on, pause), expected, "{pause}");
    }
    // One slip each time the wait is over: it becomes shorter until there is none.
    let (mut slips, mut now) = (life, 3_600);
    for expected in [1_920, 960, 480, 240, 120, 60, 30, 0] {
        slips.fail(1, later(now)).unwrap();
        assert_eq!(wait(&slips, now), expected);
        now += expected.max(60);
    }
    // However many there were, the wait is not for longer, and pauses take it back as soon.
    let mut many = after_failures(50);
    many.fail(3, later(3_600)).unwrap();
    let level = serde_json::to_value(&many.account).unwrap()["level"].as_u64().unwrap();
    assert!(level <= 17, "{level}");
}

/// An account after so many wrong answers in a row, the last at [`NOW`].
fn after_failures(failures: u64) -> Life {
    let mut account = serde_json::to_value(Account::default()).unwrap();
    account["failures"] = failures.into();
    account["level"] = 17.into();
    account["last_failure"] = NOW.0.into();
    Life { account: serde_json::from_value(account).unwrap(), ..Life::default() }
}

#[test]
fn r15_after_a_hundred_wrong_answers_none_is_judged_until_a_day_without_one() {
    let mut life = after_failures(99);
    let live = fresh(1, NOW);
    // Whoever has a live challenge answers it whatever strangers did, up to the hundredth.
    assert_eq!(life.answer(&live, "1", later(1)), Ok(()));
    assert_eq!(life.answer(&live, "2", later(2)), Err(Limited::Failures));
    assert_eq!(life.start(later(DAY)), Err(Limited::Failures));
    assert!(life.clone().start(later(DAY + 1)).is_ok());
    assert!(life.fail(3, later(DAY + 1)).is_ok());
    assert_eq!(wait(&life, DAY + 1), 0);
}

#[test]
fn r16_t04_a_right_answer_ends_the_row_and_neither_a_new_code_nor_a_resend_does() {
    let life = after_failures(50);
    let live = fresh(1, NOW);
    let mut accepted = life.clone();
    accepted.accept(&live, later(1)).unwrap();
    assert_eq!(wait(&accepted, 1), 0);
    let again = ChallengeState { mails: 2, last_sent: later(30), ..live };
    let Ok(Count::Keep(account, _)) = life.account.resend(&LIMITS, CLIENT, again, later(30)) else { panic!() };
    assert_eq!(wait(&Life { account, ..Life::default() }, 0), 3_600);
}

#[test]
fn f41_f58_what_is_over_is_forgotten_and_what_is_kept_stays_small() {
    let mut life = Life::default();
    for minute in 0..2_000 {
        if let Ok(state) = life.start(later(61 * minute)) {
            let _ = life.answer(&state, "1", later(61 * minute));
        }
    }
    let text = serde_json::to_string(&life.account).unwrap();
    assert!(text.len() < 4_000, "{}", text.len());
    assert!(life.account.expires_at(&LIMITS) > later(61 * 1_999));
    let kept: Account = serde_json::from_str(&text).unwrap();
    assert_eq!(kept, life.account);
}

#[test]
fn r07_that_a_challenge_is_used_is_kept_for_as_long_as_it_can_be_answered_whatever_else_was_counted() {
    let mut life = Life::default();
    life.accept(&state(), later(1)).unwrap();
    assert!(life.account.expires_at(&LIMITS) >= later(600 + 30));
}
