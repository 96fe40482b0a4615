//! What must hold at every step: the twelve invariants of the threat model.

use super::kept::{NOW, VALIDITY};
use super::owner;
use super::rules::{Origin, Rules, Text};
use super::world::{Phase, Seen, World};

/// Numbered as in the threat model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invariant {
    TokensForOneRightAnswer = 1,
    NoTokensForUnknownUsers,
    AnswersHaveAnEnd,
    FailuresAreNotForgotten,
    CodesHaveAnEnd,
    EverythingIsCounted,
    NoOtherCodeOpens,
    DefineIsOneFunction,
    UnknownUsersAreToldTheSame,
    MailsHaveACause,
    TheOwnerGetsIn,
    AccountsAreApart,
}

impl Invariant {
    pub(super) const ALL: [Invariant; 12] = [
        Invariant::TokensForOneRightAnswer,
        Invariant::NoTokensForUnknownUsers,
        Invariant::AnswersHaveAnEnd,
        Invariant::FailuresAreNotForgotten,
        Invariant::CodesHaveAnEnd,
        Invariant::EverythingIsCounted,
        Invariant::NoOtherCodeOpens,
        Invariant::DefineIsOneFunction,
        Invariant::UnknownUsersAreToldTheSame,
        Invariant::MailsHaveACause,
        Invariant::TheOwnerGetsIn,
        Invariant::AccountsAreApart,
    ];

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Invariant::TokensForOneRightAnswer => {
                "tokens are issued after a right answer to a challenge of this very sign-in, and to one Session for a challenge"
            }
            Invariant::NoTokensForUnknownUsers => "tokens are never issued for a user who is not known",
            Invariant::AnswersHaveAnEnd => {
                "no more different answers to a challenge are judged than the settings allow"
            }
            Invariant::FailuresAreNotForgotten => {
                "wrong answers in a row are forgotten only after a right one or a day"
            }
            Invariant::CodesHaveAnEnd => {
                "no code is right once its time is over, whatever was mailed or asked meanwhile"
            }
            Invariant::EverythingIsCounted => {
                "where there is a table, every mail and every judged answer was counted before"
            }
            Invariant::NoOtherCodeOpens => "no code but that of the challenge that was asked is right",
            Invariant::DefineIsOneFunction => "define-auth-challenge answers the same when it is asked again",
            Invariant::UnknownUsersAreToldTheSame => "a user who is not known is told what one who is known is told",
            Invariant::MailsHaveACause => {
                "each wish brings one mail at most, and one more for each call that was lost (none for a sign-in alone that a table remembers), with \
                 the right code"
            }
            Invariant::TheOwnerGetsIn => {
                "after any one fault the owner gets in with two more actions (three, beginning again within seconds after a table \
                 that wrote without saying so), and no stranger keeps the owner from a first right answer to a challenge that the \
                 owner began first"
            }
            Invariant::AccountsAreApart => "nothing of another user's is counted or opens anything here",
        }
    }
}

/// The first invariant that a step breaks. `is_new`: the world after it was not seen before.
pub(super) fn broken(before: &World, after: &World, seen: &[Seen], is_new: bool, rules: &Rules) -> Option<Invariant> {
    let in_what_was_seen = seen.iter().find_map(|seen| broken_by(before, after, *seen, rules));
    in_what_was_seen
        .or_else(|| (is_new && !owner::gets_in_despite_strangers(after, rules)).then_some(Invariant::TheOwnerGetsIn))
}

fn broken_by(before: &World, after: &World, seen: Seen, rules: &Rules) -> Option<Invariant> {
    match seen {
        Seen::Issued { .. } if !rules.is_known() => Some(Invariant::NoTokensForUnknownUsers),
        Seen::Issued { sign_in, challenge, last } => {
            let made = before.challenges[usize::from(challenge)];
            // A Session that Cognito lets be answered twice at once may get them twice: whose call Cognito makes again, after
            // another had its reply, nobody can tell. It is whoever has the Session and the code, all the same.
            let again = made.signed_in.is_some_and(|other| other != sign_in) && !made.uncounted;
            let ours = last.correct && last.origin == Origin::Ours && made.seen;
            if !ours || again {
                Some(Invariant::TokensForOneRightAnswer)
            } else {
                (u64::from(made.age) >= VALIDITY).then_some(Invariant::CodesHaveAnEnd)
            }
        }
        Seen::Judged { challenge, text, right, age, counted } => {
            let made = after.challenges[usize::from(challenge)];
            let its_code = matches!(text, Text::Code { nonce, .. } if nonce == challenge);
            if right && text == Text::Bobs {
                Some(Invariant::AccountsAreApart)
            } else if right && !its_code {
                Some(Invariant::NoOtherCodeOpens)
            } else if right && u64::from(age) >= VALIDITY {
                Some(Invariant::CodesHaveAnEnd)
            } else if !counted {
                Some(Invariant::EverythingIsCounted)
            } else {
                let too_many = made.told.count_ones() > rules.judged_at_most() && !made.uncounted;
                too_many.then_some(Invariant::AnswersHaveAnEnd)
            }
        }
        Seen::Mailed { counted: false, .. } => Some(Invariant::EverythingIsCounted),
        Seen::Mailed { right, mails, losses, .. } => {
            // A table knows of the mail before; but not under another key, and a challenge that another sign-in shares and has
            // begun to answer is given to nobody again.
            let alone = after.sign_ins.iter().filter(|sign_in| sign_in.phase != Phase::NotBegun).count() == 1;
            let is_remembered = after.stage == 0 && rules.counts(0) && alone;
            let allowed = 1 + if is_remembered { 0 } else { losses };
            (!right || mails > allowed).then_some(Invariant::MailsHaveACause)
        }
        Seen::Counted { shared: true, .. } => Some(Invariant::AccountsAreApart),
        Seen::Counted { before, after, right, .. } => {
            let (before, after) = (rules.view(before), rules.view(after));
            let a_day_passed = before.last_failure + 86_400 <= NOW.0;
            (after.failures < before.failures && !right && !a_day_passed).then_some(Invariant::FailuresAreNotForgotten)
        }
        Seen::Limited => None,
        Seen::Failed { fault, first } => {
            (first && !owner::gets_in_after(fault, after, rules)).then_some(Invariant::TheOwnerGetsIn)
        }
        Seen::Asked { alike } => (!alike).then_some(Invariant::UnknownUsersAreToldTheSame),
        Seen::Defined { same } => (!same).then_some(Invariant::DefineIsOneFunction),
    }
}
