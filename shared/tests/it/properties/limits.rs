//! Limits that hold across sign-ins.

use auth_challenge::challenge::{ChallengeState, UnixSeconds};
use auth_challenge::code::CodeKey;
use auth_challenge::email_address::EmailAddress;
use auth_challenge::limits::{Account, AccountKey, Answered, Count, Limited, Limits};
use auth_challenge::user::SignIn;
use proptest::prelude::*;

use crate::example::{NOW, alice, keys, later, nobody, sign_in};
use crate::limits::{CLIENT, DAY, LIMITS, Life, fresh, wrong};

/// One of several calls that run at the same time: what it last saw of the account, if anything.
#[derive(Clone)]
struct Call {
    seen: Option<(u64, Account)>,
    over: bool,
}

/// Something that happens to an account.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Start,
    /// An answer to one of the newest challenges.
    Wrong {
        newest: usize,
        which: u8,
        as_repeat: bool,
    },
    Right {
        newest: usize,
    },
    Resend {
        newest: usize,
    },
    TakeBack {
        newest: usize,
    },
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Start),
        6 => (0..3_usize, 0..5_u8, prop::bool::weighted(0.3))
            .prop_map(|(newest, which, as_repeat)| Deed::Wrong { newest, which, as_repeat }),
        1 => (0..3_usize).prop_map(|newest| Deed::Right { newest }),
        2 => (0..3_usize).prop_map(|newest| Deed::Resend { newest }),
        1 => (0..3_usize).prop_map(|newest| Deed::TakeBack { newest }),
    ]
}

/// Deeds, and how long after the one before they come.
fn histories() -> impl Strategy<Value = Vec<(Deed, u64)>> {
    let pauses = prop_oneof![6 => 0..20_u64, 3 => 20..700_u64, 1 => 700..100_000_u64];
    prop::collection::vec((deeds(), pauses), 0..60)
}

/// An account, and the challenges that it was asked for, oldest first.
#[derive(Default)]
struct Past {
    life: Life,
    challenges: Vec<ChallengeState>,
    now: u64,
}

impl Past {
    fn of(history: &[(Deed, u64)]) -> Past {
        let mut past = Past::default();
        for (deed, pause) in history {
            past.now += pause;
            past.does(*deed, later(past.now));
        }
        past
    }

    fn newest(&self) -> Option<ChallengeState> {
        self.challenges.last().copied()
    }

    /// The newest challenge, if it can still be answered: others are never counted.
    fn live(&self) -> Option<ChallengeState> {
        self.newest().filter(|challenge| challenge.is_live(self.now(), self.life.limits.validity))
    }

    /// The challenge that can be answered, after its right answer was counted: not where that is Cognito's call again for one that
    /// was counted before, which changes nothing.
    fn accept(&mut self) -> Option<ChallengeState> {
        let (challenge, before) = (self.live()?, self.life.account.clone());
        let heard = self.life.accept(&challenge, self.now());
        (heard.is_ok() && self.life.account != before).then_some(challenge)
    }

    /// What comes of it: whether something was judged or mailed.
    fn does(&mut self, deed: Deed, now: UnixSeconds) -> Option<Result<(), Limited>> {
        let life = &mut self.life;
        let of = |newest: usize| self.challenges.iter().rev().nth(newest).copied();
        Some(match deed {
            Deed::Start => life.start(now).map(|state| self.challenges.push(state)),
            Deed::Wrong { newest, which, as_repeat } => {
                let state = ChallengeState { repeated: as_repeat, ..of(newest)? };
                life.answer(&state, &format!("wrong {which}"), now)
            }
            Deed::Right { newest } => life.accept(&of(newest)?, now),
            Deed::Resend { newest } => {
                let state = of(newest)?;
                let again = ChallengeState { mails: state.mails.saturating_add(1), last_sent: now, ..state };
                match life.account.resend(&life.limits, CLIENT, again, now) {
                    Ok(Count::Keep(account, _)) => {
                        life.account = account;
                        Ok(())
                    }
                    Ok(Count::Repeat(_)) => Ok(()),
                    Err(why) => Err(why),
                }
            }
            Deed::TakeBack { newest } => {
                life.account = life.account.take_back(&life.limits, &of(newest)?);
                Ok(())
            }
        })
    }

    fn kept(&self, what: &str) -> u64 {
        serde_json::to_value(&self.life.account).unwrap()[what].as_u64().unwrap()
    }

    fn now(&self) -> UnixSeconds {
        later(self.now)
    }
}

/// Limits under which mails are never the reason.
fn many_mails() -> Limits {
    Limits { mail_burst: 1_000_000, mails_per_day: 1_000_000, ..LIMITS }
}

proptest! {
    /// R37, G14: calls that answer at the same time, each reading the account and putting a new one in its place only if nobody
    /// was faster: exactly as many are judged as the limit allows, in whatever order they come.
    #[test]
    fn g14_r37_t02_of_answers_at_once_exactly_as_many_are_judged_as_the_limit(
        order in prop::collection::vec(0_usize..12, 400),
    ) {
        let challenge = fresh(1, NOW);
        let (mut kept, mut version, mut judged) = (Account::default(), 0, 0);
        let mut calls = vec![Call { seen: None, over: false }; 12];
        for n in order {
            let call = &mut calls[n];
            match call.seen.take() {
                _ if call.over => {}
                None => call.seen = Some((version, kept.clone())),
                Some((seen, account)) => match account.answer(&LIMITS, CLIENT, &challenge, wrong(&n.to_string()), later(1)) {
                    Err(_) => call.over = true,
                    Ok(Count::Repeat(())) => unreachable!("no answer is given twice"),
                    Ok(Count::Keep(after, ())) if seen == version => {
                        (kept, version, call.over) = (after, version + 1, true);
                        judged += 1;
                    }
                    Ok(Count::Keep(..)) => {}
                },
            }
        }
        let all_over = calls.iter().all(|call| call.over);
        prop_assert!(judged <= 3 && (judged == 3 || !all_over), "{}", judged);
    }

    /// Whatever happens when: no more mails than the burst and one for each interval, and no more than twenty in a day.
    #[test]
    fn r18_no_order_of_sign_ins_gets_more_mails(pauses in prop::collection::vec(15_u64..20_000, 1..200)) {
        let mut life = Life::default();
        let (mut now, mut mails) = (0, Vec::new());
        for pause in pauses {
            now += pause;
            if life.start(later(now)).is_ok() {
                mails.push(now);
            }
        }
        for (place, from) in mails.iter().enumerate() {
            let within = |seconds: u64| mails[place..].iter().filter(|at| **at - from < seconds).count() as u64;
            prop_assert!(within(DAY) <= 20);
            for minutes in [1, 2, 10, 60] {
                prop_assert!(within(60 * minutes) <= 3 + minutes);
            }
        }
    }

    /// R16: between two right answers and without a day's pause the failures in a row only grow.
    #[test]
    fn r16_t04_counts_never_go_back(events in prop::collection::vec((0_u8..3, 0_u64..30_000), 1..150)) {
        let mut life = Life::default();
        let (mut now, mut state, mut row) = (0, fresh(0, NOW), 0_u64);
        let mut last = 0;
        for (event, pause) in events {
            now += pause;
            let before = life.account.clone();
            match event {
                0 => { let _ = life.start(later(now)).map(|begun| state = begun); }
                _ => {
                    let counted = life.answer(&state, &format!("{now}-{event}"), later(now));
                    if counted.is_ok() && life.account != before {
                        row = if now - last >= DAY { 1 } else { row + 1 };
                        last = now;
                    }
                }
            }
            let kept = serde_json::to_value(&life.account).unwrap()["failures"].as_u64().unwrap();
            prop_assert!(kept == row || (kept == 0 && now - last >= DAY), "{kept} kept of {row}");
        }
    }

    #[test]
    fn p07_t04_beginning_anew_takes_no_failure_back(history in histories(), pause in 0..20_000_u64) {
        let mut past = Past::of(&history);
        let before = past.kept("failures");
        past.now += pause;
        let now = past.now();
        past.does(Deed::Start, now);
        // After a day without one they are forgotten, as they are meant to be.
        let quiet = now.0 - past.kept("last_failure") >= DAY;
        prop_assert!(past.kept("failures") == before || (quiet && past.kept("failures") == 0));
    }

    #[test]
    fn r14_p19_the_same_wrong_answer_is_counted_once(history in histories(), which in 0..5_u8) {
        let mut past = Past::of(&history);
        let Some(challenge) = past.live() else { return Ok(()) };
        let now = past.now();
        let tag = format!("wrong {which}");
        if past.life.answer(&challenge, &tag, now).is_ok() {
            let counted = past.life.account.clone();
            for as_repeat in [false, true] {
                let state = ChallengeState { repeated: as_repeat, ..challenge };
                let again = past.life.account.answer(&LIMITS, CLIENT, &state, wrong(&tag), now);
                prop_assert_eq!(again, Ok(Count::Repeat(())));
            }
            prop_assert_eq!(past.life.account, counted);
        }
    }

    #[test]
    fn r16_a_right_answer_ends_the_row(history in histories()) {
        let mut past = Past::of(&history);
        if past.accept().is_some() {
            prop_assert_eq!((past.kept("failures"), past.kept("level")), (0, 0));
        }
    }

    #[test]
    fn r07_nobody_signs_in_twice_with_one_challenge(
        history in histories(), others in prop::collection::vec((0..40_u64, any::<bool>(), 0..4_u8), 1..9),
    ) {
        let mut past = Past::of(&history);
        let right = Answered { tag: "right", right: true, proof: None };
        if let Some(challenge) = past.accept() {
            let accepted = past.now;
            for (pause, repeated, attempts) in others {
                past.now += pause;
                if past.live().is_none() {
                    break;
                }
                let state = ChallengeState { repeated, attempts, ..challenge };
                let again = past.life.account.answer(&LIMITS, CLIENT, &state, right, past.now());
                // Cognito calls again for the very same round, 4 to 15 s later.
                let is_call_again = state == challenge && !repeated && (4..15).contains(&(past.now - accepted));
                prop_assert!(again != Ok(Count::Repeat(())) || is_call_again, "{again:?} after {} s", past.now - accepted);
                prop_assert!(!matches!(again, Ok(Count::Keep(..))), "{again:?}");
            }
        }
    }

    #[test]
    fn t02_no_challenge_has_more_answers_judged_than_are_allowed(
        history in histories(), answers in prop::collection::vec((any::<bool>(), 5..200_u8), 0..30),
    ) {
        let mut past = Past::of(&history);
        let now = past.now();
        if past.does(Deed::Start, now) != Some(Ok(())) {
            return Ok(());
        }
        let challenge = past.newest().unwrap();
        let (mut judged, mut as_repeat) = (0, 0);
        for (repeated, which) in answers {
            let state = ChallengeState { repeated, ..challenge };
            let tag = which.to_string();
            if let Ok(Count::Keep(after, ())) = past.life.account.answer(&LIMITS, CLIENT, &state, wrong(&tag), now) {
                past.life.account = after;
                judged += 1;
                as_repeat += u8::from(repeated);
            }
        }
        prop_assert!(judged <= LIMITS.max_attempts && as_repeat < LIMITS.max_attempts);
    }

    /// P16: whatever strangers did, as long as the account is not latched.
    #[test]
    fn p16_r19_the_owner_of_a_live_challenge_is_always_heard(
        history in histories(), meanwhile in prop::collection::vec((deeds(), 0..60_u64), 0..12),
    ) {
        let mut past = Past::of(&history);
        let now = past.now();
        if past.does(Deed::Start, now) != Some(Ok(())) {
            return Ok(());
        }
        // Begun before, so that it is the owner's alone.
        let challenge = past.newest().unwrap();
        if challenge.repeated {
            return Ok(());
        }
        let begun = past.now;
        for (deed, pause) in meanwhile {
            past.now += pause;
            let now = past.now();
            // Others answer challenges of their own: those that were begun since, or repeats of this one.
            match deed {
                Deed::Wrong { which, .. } => {
                    let _ = past.life.answer(&ChallengeState { repeated: true, ..challenge }, &format!("{which}"), now);
                }
                Deed::Start => drop(past.does(Deed::Start, now)),
                Deed::Right { .. } | Deed::Resend { .. } | Deed::TakeBack { .. } => {}
            }
        }
        if past.now - begun >= 600 || past.kept("failures") >= 100 {
            return Ok(());
        }
        prop_assert_eq!(past.life.accept(&challenge, past.now()), Ok(()));
    }

    #[test]
    fn t06_p12_the_name_of_an_account_depends_on_pool_and_user_alone(
        pool in "[a-z]{1,5}_[A-Z]{1,5}", user in "[a-z0-9-]{1,20}", client in "[a-z0-9]{1,20}", address in "[a-z]{1,9}",
        (other_pool, other_user) in ("[a-z]{1,5}_[A-Z]{1,5}", "[a-z0-9-]{1,20}"),
    ) {
        let sign_in = SignIn { user_pool_id: pool.clone(), user_name: user.clone(), ..sign_in() };
        let key = keys().current;
        let name = |sign_in: &SignIn| AccountKey::new(&key, sign_in, &alice());
        let unproved = EmailAddress::parse(&format!("{address}@example.com"));
        prop_assert_eq!(name(&SignIn { client_id: client, unproved, ..sign_in.clone() }), name(&sign_in));
        let other = SignIn { user_pool_id: other_pool.clone(), user_name: other_user.clone(), ..sign_in.clone() };
        prop_assert_eq!(name(&other) == name(&sign_in), (&pool, &user) == (&other_pool, &other_user));
        prop_assert!(!name(&sign_in).name.contains(&user) || user.len() < 3);
    }

    #[test]
    fn t28_invented_names_are_one_account_however_they_are_spelled_and_none_of_anybodys(
        user in "[A-Za-z0-9@.\u{e0}-\u{f6}]{1,30}",
    ) {
        let key = CodeKey::new(b"a key");
        let name = |user_name: String, known: bool| {
            AccountKey::new(&key, &SignIn { user_name, ..sign_in() }, &if known { alice() } else { nobody() })
        };
        let invented = name(user.clone(), false);
        prop_assert_eq!(&invented, &name(user.to_uppercase(), false));
        let real = name(user, true);
        prop_assert!(!invented.exists && real.exists && invented.name != real.name);
    }

    #[test]
    fn a_mail_that_was_not_sent_is_taken_back_whole(history in histories(), pause in 15..1_000_u64) {
        let mut past = Past::of(&history);
        past.now += pause;
        let (before, now) = (past.life.account.clone(), past.now());
        let challenge = fresh(u64::MAX, now);
        if let Ok(Count::Keep(counted, state)) = before.start(&LIMITS, CLIENT, challenge, now) {
            let after = counted.take_back(&LIMITS, &state);
            // As many sign-ins can begin as if there had been none.
            let possible = |account: &Account| {
                let mut life = Life { account: account.clone(), ..Life::default() };
                (0..25).map(|n| life.start(UnixSeconds(now.0 + 20 * n)).is_ok()).collect::<Vec<_>>()
            };
            prop_assert_eq!(possible(&after), possible(&before));
            prop_assert_eq!(after.take_back(&LIMITS, &state), after);
        }
    }

    #[test]
    fn r16_an_account_is_kept_as_it_is(history in histories()) {
        let account = Past::of(&history).life.account;
        let text = serde_json::to_string(&account).unwrap();
        prop_assert_eq!(serde_json::from_str::<Account>(&text).ok(), Some(account));
    }

    #[test]
    fn r16_what_is_thrown_away_in_time_is_missed_by_nobody(history in histories(), later_still in 0..100_000_u64) {
        let past = Past::of(&history);
        let now = UnixSeconds(past.life.account.expires_at(&LIMITS).0.max(past.now().0) + later_still);
        let challenge = fresh(u64::MAX, now);
        let begun = |account: &Account| {
            let Ok(Count::Keep(account, _)) = account.start(&LIMITS, CLIENT, challenge, now) else { unreachable!("{account:?}") };
            let account = serde_json::to_value(account).unwrap();
            ["mails", "failures", "level", "challenges"].map(|what| account[what].clone())
        };
        prop_assert_eq!(begun(&past.life.account), begun(&Account::default()));
    }

    /// NIST's hundred (SP 800-63B-4 §3.2.2).
    #[test]
    fn after_a_hundred_wrong_answers_none_is_judged_for_a_day(
        pauses in prop::collection::vec(0..1_000_u64, 30..80), quiet in 0..2 * DAY,
    ) {
        let mut life = Life { limits: many_mails(), ..Life::default() };
        let (mut now, mut count, mut last) = (0, 0_u64, 0);
        for (n, pause) in pauses.into_iter().enumerate() {
            now += pause;
            let state = fresh(n as u64, later(now));
            for which in 0..3 {
                // Whether it could be begun does not matter: it may have been before.
                if life.answer(&state, &format!("{which}"), later(now)).is_ok() {
                    (count, last) = (count + 1, now);
                }
            }
        }
        prop_assert!(count <= 100);
        let is_latched = count == 100 && quiet < DAY;
        let state = fresh(u64::MAX, later(last + quiet));
        let begun = life.account.start(&life.limits, CLIENT, state, later(last + quiet));
        prop_assert!(begun == Err(Limited::Failures) || !is_latched, "{:?}", begun);
        let judged = life.accept(&state, later(last + quiet));
        prop_assert_eq!(judged == Err(Limited::Failures), is_latched);
    }

    #[test]
    fn r16_t38_nobody_waits_longer_than_an_hour_after_the_last_wrong_answer(history in histories()) {
        let past = Past::of(&history);
        prop_assume!(past.kept("failures") < 100);
        let now = UnixSeconds(past.now().0.max(past.kept("last_failure")) + 3_600);
        let begun = past.life.account.start(&many_mails(), CLIENT, fresh(u64::MAX, now), now);
        prop_assert!(begun != Err(Limited::Failures), "{:?}", past.life.account);
    }

    /// P18: functions' clocks differ, and go back.
    #[test]
    fn p18_counts_do_not_go_back_with_the_clock(moments in prop::collection::vec((deeds(), 0..3_000_u64), 0..60)) {
        let mut past = Past::default();
        for (deed, now) in moments {
            let (failures, before) = (past.kept("failures"), past.life.account.clone());
            let done = past.does(deed, later(now));
            let is_accepted = matches!(deed, Deed::Right { .. }) && done == Some(Ok(()));
            prop_assert!(past.kept("failures") >= failures || is_accepted, "{deed:?}");
            let count = |account: &Account| serde_json::to_value(account).unwrap()["mails"].as_array().unwrap().len();
            prop_assert!(count(&past.life.account) >= count(&before) || matches!(deed, Deed::TakeBack { .. }), "{deed:?}");
        }
    }
}
