//! What happens, as a person would tell it.

use super::world::{Action, Fate, Fault, Pause, Phase, Said, Trigger, World};

/// A way through the search: what clients did, and what went wrong. Calls that follow at once and go well go without saying.
pub(super) fn story(trace: &[(World, Action)]) -> String {
    let told = trace.iter().enumerate().filter_map(|(place, (world, action))| {
        let follows = place.checked_sub(1).and_then(|before| of(trace[before].1)) == of(*action);
        let is_last = place + 1 == trace.len();
        let goes_without_saying = matches!(action, Action::Call(_, Fate::Well)) && follows && !is_last;
        (!goes_without_saying).then(|| step(world, *action))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Whose action it is.
fn of(action: Action) -> Option<u8> {
    match action {
        Action::Begin { number, .. } | Action::Say(number, _) | Action::Call(number, _) => Some(number),
        Action::Race { second, .. } => Some(second),
        Action::Pause(_) | Action::Deploy => None,
    }
}

fn step(world: &World, action: Action) -> String {
    let sign_in = |number: u8| format!("sign-in {}", number + 1);
    let who = |number: u8| if world.sign_ins[usize::from(number)].owners { "the owner" } else { "a stranger" };
    match action {
        Action::Begin { number, owners } => {
            format!("{} begins {}", if owners { "the owner" } else { "a stranger" }, sign_in(number))
        }
        Action::Say(number, said) => format!("{} answers {} with {}", who(number), sign_in(number), words(said)),
        Action::Race { first, second, said } => {
            format!("and at once, as {}, answers {} with {}", sign_in(second), sign_in(first), words(said))
        }
        Action::Call(number, fate) => {
            let Phase::Calls(call) = world.sign_ins[usize::from(number)].phase else { return String::new() };
            let trigger = match call.trigger {
                Trigger::Define => "define-auth-challenge",
                Trigger::Create => "create-auth-challenge",
                Trigger::Verify => "verify-auth-challenge",
            };
            let again = if call.in_vain > 0 { " again" } else { "" };
            match fate {
                Fate::Well => format!("Cognito calls {trigger} for {}{again}", sign_in(number)),
                Fate::Goes(went) => {
                    format!("Cognito calls {trigger} for {}{again}, and {}", sign_in(number), fault(went))
                }
            }
        }
        Action::Pause(Pause::UntilCalledAgain) => "5 s pass".to_owned(),
        Action::Pause(Pause::UntilResend) => "30 s pass".to_owned(),
        Action::Pause(Pause::UntilOver) => "90 s pass".to_owned(),
        Action::Pause(Pause::Day) => "a day passes".to_owned(),
        Action::Deploy => "the next version is deployed".to_owned(),
    }
}

fn words(said: Said) -> String {
    match said {
        Said::Code(number) => format!("the code of challenge {}", number + 1),
        Said::Wrong(number) => format!("wrong code {}", number + 1),
        Said::Resend => "a wish for another mail".to_owned(),
        Said::Bobs => "Bob's code, while Cognito mixes in Bob's challenge".to_owned(),
        Said::ToAnotherVersion(number) => {
            format!("the code of challenge {}, which comes in another version's words", number + 1)
        }
    }
}

/// A fault, as in "after …".
pub(super) fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::DiesFirst => "the function dies before it does anything",
        Fault::DiesAfterCount => "the function dies after it has counted",
        Fault::ReplyLost => "the reply is lost",
        Fault::StoreRefuses => "the table takes no write (throttled, unreachable, gone)",
        Fault::StoreSilent => "the table writes and does not say so",
        Fault::StoreOvertaken => {
            "the table writes without saying so, and somebody else writes before it is asked again"
        }
        Fault::MailRefused => "the mail certainly is not sent",
        Fault::MailLost => "the mail is lost on its way",
        Fault::AnsweredByOldVersion => "a function of the version before answers",
        Fault::KeyChanged => "the key is changed",
        Fault::KeyGone => "the key before is taken away",
        Fault::TableArrives => "a table is introduced",
    }
}
