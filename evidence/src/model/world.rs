//! Everything that goes on around one account, as one value; what may happen next; and what it then is.
//!
//! The order of things inside a trigger is that of the handlers of verify-auth-challenge and create-auth-challenge: decide,
//! count, (mail,) tell. What a count comes to when the table fails is that of `count` in `limits/src/table.rs`: a write is
//! either done, or not done, or done and nobody knows, and in the last case it may be judged once more if somebody else wrote
//! meanwhile. Each call of a trigger is one step, so anybody else may act between any two of them, and while Cognito waits
//! 5 s for a reply that will not come.

use auth_challenge::challenge::ChallengeState;
use auth_challenge::define_auth_challenge::NextStep;
use auth_challenge::limits::Limited;
use auth_challenge::verify_auth_challenge::{Refusal, Verdict};

use super::Bug;
use super::kept::{OVER, account_after, state_after};
use super::rules::{Counted, Entry, Origin, Rules, Session, Text, nonce_of};

/// Most sign-ins of one world.
pub(super) const SIGN_INS: usize = 4;
/// Most challenges: one for each sign-in, and one for each time that Cognito calls create-auth-challenge again.
pub(super) const CHALLENGES: usize = 8;
/// How often Cognito calls a trigger until it gives up.
const CALLS: u8 = 3;

/// All that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// Which deployment answers.
    pub(super) stage: u8,
    /// What is counted under each of the two keys.
    pub(super) accounts: [u32; 2],
    /// The owner's sign-ins, then the stranger's.
    pub(super) sign_ins: [SignIn; SIGN_INS],
    pub(super) challenges: [Made; CHALLENGES],
    /// The challenge of the newest mail in the owner's mailbox.
    pub(super) newest_mail: Option<u8>,
    /// What may still happen.
    pub(super) left: Left,
    /// Whether anything has gone wrong.
    pub(super) failed: bool,
}

/// How much may still happen: without an end to it there would be no end of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) owners_sign_ins: u8,
    pub(super) strangers_sign_ins: u8,
    pub(super) faults: u8,
    pub(super) slips: u8,
    pub(super) guesses: u8,
    /// Wishes for another mail.
    pub(super) wishes: u8,
    pub(super) pauses: u8,
    pub(super) races: u8,
}

/// A sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SignIn {
    pub(super) owners: bool,
    /// What Cognito keeps of it.
    pub(super) session: u32,
    pub(super) phase: Phase,
    /// The sign-in whose Session this is: its own, but in a race.
    pub(super) of: u8,
}

/// How far a sign-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    NotBegun,
    /// Cognito calls a trigger.
    Calls(Call),
    /// The client has to answer.
    Asks,
    SignedIn,
    Failed,
}

/// A trigger that Cognito calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) trigger: Trigger,
    /// What the client said. `None`: it begins.
    pub(super) said: Option<Said>,
    /// Cognito still waits for a reply that will not come.
    pub(super) lost: bool,
    /// How often it has called this trigger in vain.
    pub(super) in_vain: u8,
    /// Mails that this request of the client's has caused, and calls that were lost meanwhile.
    pub(super) mails: u8,
    pub(super) losses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trigger {
    Define,
    Create,
    Verify,
}

/// What a client says to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Said {
    /// The code of that challenge.
    Code(u8),
    /// Something that is no code.
    Wrong(u8),
    /// That it wants another mail.
    Resend,
    /// Bob's code, while Cognito takes Bob's challenge for the one that was asked.
    Bobs,
    /// The right code, while the challenge is in another version's words.
    ToAnotherVersion(u8),
}

/// What is known of a challenge in the world at large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Made {
    pub(super) made: bool,
    key: u8,
    pub(super) age: u8,
    /// The owner has a mail with its code.
    pub(super) arrived: bool,
    /// Somebody has signed in with its code, and others may have seen that.
    pub(super) seen: bool,
    /// Which answers somebody was told to be right or wrong, a bit for each.
    pub(super) told: u16,
    /// An answer was judged by a function without a table.
    pub(super) uncounted: bool,
    /// The sign-in that got tokens for it.
    pub(super) signed_in: Option<u8>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Begin {
        number: u8,
        owners: bool,
    },
    Say(u8, Said),
    /// The client says something twice at once, and Cognito judges both.
    Race {
        first: u8,
        second: u8,
        said: Said,
    },
    /// Cognito calls the trigger that is due.
    Call(u8, Fate),
    Pause(Pause),
    /// The next deployment comes.
    Deploy,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    Well,
    Goes(Fault),
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fault {
    DiesFirst,
    DiesAfterCount,
    ReplyLost,
    StoreRefuses,
    StoreSilent,
    StoreOvertaken,
    MailRefused,
    MailLost,
    AnsweredByOldVersion,
    KeyChanged,
    KeyGone,
    TableArrives,
}

impl Fault {
    pub(super) const ALL: [Fault; 12] = [
        Fault::DiesFirst,
        Fault::DiesAfterCount,
        Fault::ReplyLost,
        Fault::StoreRefuses,
        Fault::StoreSilent,
        Fault::StoreOvertaken,
        Fault::MailRefused,
        Fault::MailLost,
        Fault::AnsweredByOldVersion,
        Fault::KeyChanged,
        Fault::KeyGone,
        Fault::TableArrives,
    ];
    /// Whether it is none, but what operators do.
    pub(super) fn is_planned(self) -> bool {
        matches!(self, Fault::KeyChanged | Fault::TableArrives)
    }

    /// Those that befall one call of a trigger.
    const OF_CALLS: [Fault; 9] = [
        Fault::DiesFirst,
        Fault::DiesAfterCount,
        Fault::ReplyLost,
        Fault::StoreRefuses,
        Fault::StoreSilent,
        Fault::StoreOvertaken,
        Fault::MailRefused,
        Fault::MailLost,
        Fault::AnsweredByOldVersion,
    ];
}

/// How long nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// 5 s: Cognito calls again.
    UntilCalledAgain,
    /// 30 s: another mail may be asked for.
    UntilResend,
    /// 90 s: every challenge is over.
    UntilOver,
    /// A day: every count is over.
    Day,
}

impl Pause {
    pub(super) const ALL: [Pause; 4] = [Pause::UntilCalledAgain, Pause::UntilResend, Pause::UntilOver, Pause::Day];

    fn seconds(self) -> u64 {
        match self {
            Pause::UntilCalledAgain => 5,
            Pause::UntilResend => 30,
            Pause::UntilOver => OVER,
            Pause::Day => 86_400,
        }
    }
}

/// What could be seen while something happened, for the invariants to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Somebody was told whether an answer is right.
    Judged { challenge: u8, text: Text, right: bool, age: u8, counted: bool },
    /// A mail went out.
    Mailed { counted: bool, right: bool, mails: u8, losses: u8 },
    /// A client was asked something.
    Asked { alike: bool },
    /// Tokens were issued to a sign-in for a challenge.
    Issued { sign_in: u8, challenge: u8, last: Entry },
    /// An account was counted for.
    Counted { before: u32, after: u32, right: bool, shared: bool },
    /// The account may not.
    Limited,
    /// Something went wrong, or was changed.
    Failed { fault: Fault, first: bool },
    /// define-auth-challenge was asked twice.
    Defined { same: bool },
}

const NOT_BEGUN: SignIn = SignIn { owners: false, session: 0, phase: Phase::NotBegun, of: 0 };

/// Guesses have numbers below this.
const GUESSES: u8 = 6;
/// What the owner types when a finger slips.
const SLIP: u8 = 7;

impl Left {
    /// The number of the stranger's next guess: one that was not made before.
    fn next_guess(&self) -> u8 {
        GUESSES.saturating_sub(self.guesses)
    }
}

impl World {
    /// Nothing has happened yet.
    pub(super) fn new(left: Left, account: u32) -> World {
        World {
            stage: 0,
            accounts: [account, 0],
            sign_ins: [NOT_BEGUN; SIGN_INS],
            challenges: [Made::default(); CHALLENGES],
            newest_mail: None,
            left,
            failed: false,
        }
    }

    /// All that may happen next, in an order that depends on this world alone.
    pub(super) fn actions(&self, rules: &Rules) -> Vec<Action> {
        let mut actions = Vec::with_capacity(32);
        if usize::from(self.stage) < rules.last_stage() {
            actions.push(Action::Deploy);
        }
        let defines = |sign_in: &SignIn| matches!(sign_in.phase, Phase::Calls(call) if !call.lost && call.trigger == Trigger::Define);
        if let Some(number) = self.sign_ins.iter().position(defines) {
            // define-auth-challenge looks at nothing that another sign-in changes, and changes nothing that another looks at. So
            // whoever acts before it may as well act after it.
            actions.extend(self.calls(number as u8));
            return actions;
        }
        for (number, sign_in) in (0..).zip(&self.sign_ins) {
            match sign_in.phase {
                Phase::Calls(call) if !call.lost => {
                    actions.extend(self.calls(number));
                    actions.extend(self.race(number, sign_in, call, rules));
                }
                Phase::Asks => {
                    actions.extend(self.said(sign_in, rules).into_iter().map(|said| Action::Say(number, said)))
                }
                Phase::NotBegun | Phase::Calls(_) | Phase::SignedIn | Phase::Failed => {}
            }
        }
        if let Some(free) = self.free() {
            let left = [(true, self.left.owners_sign_ins), (false, self.left.strangers_sign_ins)];
            let may_begin = left.into_iter().filter(|(_, left)| *left > 0);
            actions.extend(may_begin.map(|(owners, _)| Action::Begin { number: free, owners }));
        }
        let calls = |lost: bool| {
            self.sign_ins
                .iter()
                .filter(|sign_in| matches!(sign_in.phase, Phase::Calls(call) if call.lost == lost))
                .count()
        };
        // What is on its way arrives before the clock moves, and Cognito calls again before it moves further.
        if calls(false) == 0 && (calls(true) > 0 || self.left.pauses > 0) {
            let pauses = if calls(true) > 0 { &Pause::ALL[..1] } else { &Pause::ALL };
            actions.extend(pauses.iter().map(|pause| Action::Pause(*pause)));
        }
        actions
    }

    /// What may become of the call that is due.
    fn calls(&self, number: u8) -> impl Iterator<Item = Action> {
        let faults = if self.left.faults > 0 { &Fault::OF_CALLS[..] } else { &[] };
        let faults = faults.iter().map(move |fault| Action::Call(number, Fate::Goes(*fault)));
        std::iter::once(Action::Call(number, Fate::Well)).chain(faults)
    }

    /// What a client may say to its challenge.
    fn said(&self, sign_in: &SignIn, rules: &Rules) -> Vec<Said> {
        let mut said = Vec::from_iter((self.left.wishes > 0).then_some(Said::Resend));
        let numbers = || (0..).zip(&self.challenges).filter(|(_, made)| made.made);
        if sign_in.owners {
            said.extend(numbers().filter(|(_, made)| made.arrived).map(|(number, _)| Said::Code(number)));
            said.extend((self.left.slips > 0).then_some(Said::Wrong(SLIP)));
        } else {
            // Of a user who is not known, the stranger is let guess every code.
            let learnt = |made: &Made| made.seen || !rules.is_known();
            said.extend(numbers().filter(|(_, made)| learnt(made)).map(|(number, _)| Said::Code(number)));
            let guess = self.left.next_guess();
            said.extend((self.left.guesses > 0).then_some(Said::Wrong(guess)));
            said.extend((guess > 0).then(|| Said::Wrong(guess - 1)));
            if self.left.guesses > 0 {
                said.push(Said::Bobs);
                said.extend(numbers().map(|(number, _)| Said::ToAnotherVersion(number)).take(1));
            }
        }
        said
    }

    /// The same answer again, or a stranger's next guess, while the first is not judged yet. Only where a table sees to it that no
    /// more comes of it: without one, that a Session serves once is Cognito's affair.
    fn race(&self, first: u8, sign_in: &SignIn, call: Call, rules: &Rules) -> Option<Action> {
        let said = call.said.filter(|_| call.trigger == Trigger::Verify && call.in_vain == 0)?;
        let second = self.free().filter(|_| self.left.races > 0 && sign_in.of == first)?;
        let all_count = (0..=rules.last_stage()).all(|stage| rules.counts(stage));
        let guesses_on = matches!(said, Said::Wrong(_)) && !sign_in.owners && self.left.guesses > 0;
        let said = if guesses_on { Said::Wrong(self.left.next_guess()) } else { said };
        all_count.then_some(Action::Race { first, second, said })
    }

    fn free(&self) -> Option<u8> {
        let free = |sign_in: &SignIn| sign_in.phase == Phase::NotBegun;
        self.sign_ins.iter().position(free).map(|free| free as u8)
    }

    /// What the world is after an action, and what was seen of it. `None`: the action came to nothing else than one without
    /// its fault.
    pub(super) fn next(&self, action: Action, rules: &Rules) -> Option<(World, Vec<Seen>)> {
        let mut world = *self;
        let mut seen = Vec::new();
        match action {
            Action::Begin { number, owners } => {
                let left = if owners { &mut world.left.owners_sign_ins } else { &mut world.left.strangers_sign_ins };
                *left = left.saturating_sub(1);
                let phase = Phase::Calls(Call::new(Trigger::Define, None));
                world.sign_ins[usize::from(number)] = SignIn { owners, session: 0, phase, of: number };
            }
            Action::Say(number, said) => {
                world.spend(number, said);
                world.sign_ins[usize::from(number)].phase = Phase::Calls(Call::new(Trigger::Verify, Some(said)));
            }
            Action::Race { first, second, said } => {
                world.left.races -= 1;
                world.spend(first, said);
                let phase = Phase::Calls(Call::new(Trigger::Verify, Some(said)));
                world.sign_ins[usize::from(second)] = SignIn { phase, ..world.sign_ins[usize::from(first)] };
            }
            Action::Call(number, Fate::Well) => world.call(number, None, rules, &mut seen),
            Action::Call(number, Fate::Goes(fault)) => {
                let mut well = *self;
                well.call(number, None, rules, &mut Vec::new());
                world.call(number, Some(fault), rules, &mut seen);
                if world == well {
                    return None;
                }
                world.left.faults -= 1;
                world.failed = true;
                seen.push(Seen::Failed { fault, first: !self.failed });
            }
            Action::Pause(pause) => {
                if !world.pause(pause.seconds(), rules) {
                    world.left.pauses = world.left.pauses.saturating_sub(1);
                }
            }
            Action::Deploy => {
                world.stage += 1;
                if let Some(change) = rules.change(usize::from(world.stage)) {
                    world.failed |= !change.is_planned();
                    seen.push(Seen::Failed { fault: change, first: !self.failed });
                }
            }
        }
        Some((world, seen))
    }

    fn spend(&mut self, number: u8, said: Said) {
        let owners = self.sign_ins[usize::from(number)].owners;
        let left = match said {
            Said::Wrong(_) if owners => &mut self.left.slips,
            Said::Wrong(guess) if guess != self.left.next_guess() => return,
            Said::Wrong(_) | Said::Bobs | Said::ToAnotherVersion(_) => &mut self.left.guesses,
            Said::Resend => &mut self.left.wishes,
            Said::Code(_) => return,
        };
        *left = left.saturating_sub(1);
    }

    /// Time passes. Whether Cognito calls something again.
    fn pause(&mut self, seconds: u64, rules: &Rules) -> bool {
        for account in &mut self.accounts {
            *account = rules.account_after(*account, seconds);
        }
        let mut calls_again = false;
        for sign_in in &mut self.sign_ins {
            sign_in.session = rules.session_after(sign_in.session, seconds);
            if let Phase::Calls(call) = &mut sign_in.phase {
                calls_again |= call.lost;
                call.lost = false;
            }
        }
        for made in self.challenges.iter_mut().filter(|made| made.made) {
            made.age = (u64::from(made.age) + seconds).min(OVER) as u8;
        }
        calls_again
    }

    /// Cognito calls the trigger that is due.
    fn call(&mut self, number: u8, fault: Option<Fault>, rules: &Rules, seen: &mut Vec<Seen>) {
        let Phase::Calls(call) = self.sign_ins[usize::from(number)].phase else { return };
        let after = if fault == Some(Fault::DiesFirst) {
            self.again(call)
        } else {
            let stage = usize::from(self.stage).saturating_sub(usize::from(fault == Some(Fault::AnsweredByOldVersion)));
            match call.trigger {
                Trigger::Verify => self.verify(number, call, stage, fault, rules, seen),
                Trigger::Define => self.define(number, call, stage, fault, rules, seen),
                Trigger::Create => self.create(number, call, stage, fault, rules, seen),
            }
        };
        let sign_in = &mut self.sign_ins[usize::from(number)];
        sign_in.phase = after;
        if matches!(after, Phase::SignedIn | Phase::Failed) {
            sign_in.session = 0;
        }
    }

    /// There is no reply: Cognito calls again, or gives up.
    fn again(&self, call: Call) -> Phase {
        if call.in_vain + 1 == CALLS {
            return Phase::Failed;
        }
        Phase::Calls(Call { lost: true, in_vain: call.in_vain + 1, losses: call.losses + 1, ..call })
    }

    fn verify(
        &mut self,
        number: u8,
        call: Call,
        stage: usize,
        fault: Option<Fault>,
        rules: &Rules,
        seen: &mut Vec<Seen>,
    ) -> Phase {
        let session = rules.sessions.borrow().get(self.sign_ins[usize::from(number)].session);
        let (Some(state), Some(said)) = (session.challenge, call.said) else { return Phase::Failed };
        let text = match said {
            Said::Code(code) | Said::ToAnotherVersion(code) => self.text(code),
            Said::Wrong(guess) => Text::Wrong(guess),
            Said::Resend => Text::Wrong(8),
            Said::Bobs => Text::Bobs,
        };
        let origin = said.origin();
        let (verdict, read) = rules.verify(stage, &state, origin, text, said == Said::Resend);
        let right = verdict == Verdict::Accept;
        let about_the_answer = read && verdict.is_about_the_answer();
        let mut verdict = verdict;
        let mut counted = true;
        if about_the_answer && rules.counts(stage) {
            let Some((account, shared)) = rules.account_of(stage, &state) else { return Phase::Failed };
            let before = self.accounts[account];
            let decide = |account| rules.count_answer(stage, account, &state, text, right);
            let result = self.count(account, fault, decide);
            seen.push(Seen::Counted { before, after: self.accounts[account], right, shared });
            match result {
                Some(Some(())) => {}
                Some(None) => {
                    seen.push(Seen::Limited);
                    verdict = Verdict::Reject(Refusal::Limited(Limited::Attempts));
                }
                None if rules.has(Bug::TellsWhatIsNotCounted) => {}
                // Unavailable.
                None => return Phase::Failed,
            }
            counted = rules.holds_answer(self.accounts[account], &state, text, right);
        }
        if matches!(fault, Some(Fault::ReplyLost | Fault::DiesAfterCount)) {
            return self.again(call);
        }
        if about_the_answer && verdict.is_about_the_answer() {
            let challenge = nonce_of(&state);
            let made = &mut self.challenges[usize::from(challenge)];
            made.told |= told(text, challenge);
            made.uncounted |= !rules.counts(stage);
            made.seen |= right;
            seen.push(Seen::Judged { challenge, text, right, age: made.age, counted });
        }
        let mut session = Session::clone(&session);
        session.rounds.push(Entry { state, origin, correct: verdict == Verdict::Accept });
        self.sign_ins[usize::from(number)].session = rules.sessions.borrow_mut().id(session);
        Phase::Calls(call.of(Trigger::Define))
    }

    fn define(
        &mut self,
        number: u8,
        call: Call,
        stage: usize,
        fault: Option<Fault>,
        rules: &Rules,
        seen: &mut Vec<Seen>,
    ) -> Phase {
        if matches!(fault, Some(Fault::ReplyLost)) {
            return self.again(call);
        }
        let id = self.sign_ins[usize::from(number)].session;
        let (step, same) = rules.define(stage, id, call.said == Some(Said::Resend));
        seen.push(Seen::Defined { same });
        match step {
            NextStep::PresentChallenge(_) => Phase::Calls(call.of(Trigger::Create)),
            NextStep::FailAuthentication(_) => Phase::Failed,
            NextStep::IssueTokens => {
                if let Some(last) = rules.sessions.borrow().get(id).rounds.last().copied() {
                    let (challenge, sign_in) = (nonce_of(&last.state), self.sign_ins[usize::from(number)].of);
                    seen.push(Seen::Issued { sign_in, challenge, last });
                    self.challenges[usize::from(challenge)].signed_in.get_or_insert(sign_in);
                }
                Phase::SignedIn
            }
        }
    }

    fn create(
        &mut self,
        number: u8,
        call: Call,
        stage: usize,
        fault: Option<Fault>,
        rules: &Rules,
        seen: &mut Vec<Seen>,
    ) -> Phase {
        let session = self.sign_ins[usize::from(number)].session;
        let Some(fresh) = self.challenges.iter().position(|made| !made.made) else { return Phase::Failed };
        let Some(next) = rules.next(stage, session, call.said == Some(Said::Resend), fresh as u8) else {
            return Phase::Failed;
        };
        let mut next = next;
        if next.mailed && rules.counts(stage) {
            let Some((account, shared)) = rules.account_of(stage, &next.state) else { return Phase::Failed };
            let before = self.accounts[account];
            let result = self.count(account, fault, |account| rules.count_mail(stage, account, &next));
            seen.push(Seen::Counted { before, after: self.accounts[account], right: false, shared });
            if before != self.accounts[account] {
                self.made(&next.state, rules);
            }
            next = match result {
                Some(Some(next)) => next,
                Some(None) => {
                    seen.push(Seen::Limited);
                    return Phase::Failed;
                }
                None if rules.has(Bug::MailsWhatIsNotCounted) => next,
                None => match next.resend_refused() {
                    Some(next) => next,
                    None => {
                        // The fault is over.
                        self.accounts[account] = rules.take_back(stage, self.accounts[account], &next);
                        return Phase::Failed;
                    }
                },
            };
        }
        if fault == Some(Fault::DiesAfterCount) {
            return self.again(call);
        }
        let Some(challenge) = rules.challenge(stage, &next) else { return Phase::Failed };
        self.made(&next.state, rules);
        let mut call = call;
        if challenge.mail && fault != Some(Fault::MailRefused) {
            let account = self.accounts[usize::from(rules.key_of(&next.state))];
            let counted = !rules.counts(stage) || rules.holds_mail(account, &next.state);
            call.mails += 1;
            let Call { mails, losses, .. } = call;
            seen.push(Seen::Mailed { counted, right: challenge.mail_is_right, mails, losses });
            if fault != Some(Fault::MailLost) {
                self.challenges[usize::from(nonce_of(&next.state))].arrived = true;
                self.newest_mail = Some(nonce_of(&next.state));
            }
        }
        if challenge.mail && fault == Some(Fault::MailRefused) && next.state.mails == 1 {
            if rules.counts(stage) {
                let account = usize::from(rules.key_of(&next.state));
                self.accounts[account] = rules.take_back(stage, self.accounts[account], &next);
            }
            return Phase::Failed;
        }
        if fault == Some(Fault::ReplyLost) {
            return self.again(call);
        }
        seen.push(Seen::Asked { alike: challenge.alike });
        let mut session = Session::clone(&rules.sessions.borrow().get(session));
        session.challenge = Some(next.state);
        self.sign_ins[usize::from(number)].session = rules.sessions.borrow_mut().id(session);
        Phase::Asks
    }

    /// Counts for an account. `None`: the table could not be used. `Some(None)`: the account may not.
    fn count<T>(
        &mut self,
        account: usize,
        fault: Option<Fault>,
        decide: impl Fn(u32) -> Counted<T>,
    ) -> Option<Option<T>> {
        let account = &mut self.accounts[account];
        if fault == Some(Fault::StoreRefuses) {
            return None;
        }
        let mut counted = decide(*account);
        if let (Some(Fault::StoreOvertaken), Counted::Keep(after, _)) = (fault, &counted) {
            *account = *after;
            counted = decide(*account);
        }
        match counted {
            Counted::Keep(after, value) => {
                *account = after;
                (fault != Some(Fault::StoreSilent)).then_some(Some(value))
            }
            Counted::Repeat(value) => Some(Some(value)),
            Counted::Limited => Some(None),
        }
    }

    /// A challenge is in the world.
    fn made(&mut self, state: &ChallengeState, rules: &Rules) {
        let made = &mut self.challenges[usize::from(nonce_of(state))];
        if !made.made {
            *made = Made { made: true, key: rules.key_of(state), ..Made::default() };
        }
    }

    /// The code of a challenge.
    pub(super) fn text(&self, challenge: u8) -> Text {
        let Made { key, age, .. } = self.challenges[usize::from(challenge)];
        Text::Code { key, nonce: challenge, age }
    }
}

impl Call {
    fn new(trigger: Trigger, said: Option<Said>) -> Call {
        Call { trigger, said, lost: false, in_vain: 0, mails: 0, losses: 0 }
    }

    /// The next trigger of the same request.
    fn of(self, trigger: Trigger) -> Call {
        Call { trigger, in_vain: 0, ..self }
    }
}

impl Said {
    fn origin(self) -> Origin {
        match self {
            Said::Code(_) | Said::Wrong(_) | Said::Resend => Origin::Ours,
            Said::Bobs => Origin::Bobs,
            Said::ToAnotherVersion(_) => Origin::AnotherVersions,
        }
    }
}

/// The bit of an answer to a challenge.
fn told(text: Text, challenge: u8) -> u16 {
    match text {
        Text::Code { nonce, .. } if nonce == challenge => 1 << 15,
        Text::Code { nonce, .. } => 1 << (8 + nonce.min(6)),
        Text::Wrong(guess) => 1 << guess.min(7),
        Text::Bobs => 0,
    }
}

impl Rules {
    /// An account that many seconds later.
    fn account_after(&self, account: u32, seconds: u64) -> u32 {
        self.later_accounts.get((account, seconds), |_| {
            let kept = self.accounts.borrow().get(account);
            // An account is JSON that we wrote ourselves; if it were not, the same number would be the honest answer.
            account_after(&kept, seconds).map_or(account, |later| self.accounts.borrow_mut().id(later))
        })
    }

    /// A session that many seconds later.
    fn session_after(&self, session: u32, seconds: u64) -> u32 {
        self.later_sessions.get((session, seconds), |_| {
            let kept = self.sessions.borrow().get(session);
            let rounds = kept.rounds.iter();
            let rounds = rounds.map(|round| Entry { state: state_after(&round.state, seconds), ..*round }).collect();
            let challenge = kept.challenge.map(|state| state_after(&state, seconds));
            self.sessions.borrow_mut().id(Session { rounds, challenge })
        })
    }
}
