//! Whether the owner gets in from here, if nothing else goes wrong and nobody else does anything.

use auth_challenge::challenge::ChallengeState;

use super::kept::VALIDITY;
use super::rules::{Rules, nonce_of};
use super::world::{Action, Fate, Fault, Pause, Phase, SIGN_INS, Said, SignIn, World};

/// Whether the owner gets in after a fault, with as few actions as it may cost: one who has patience in any case, and one who
/// has none if there was one sign-in and nothing but right answers to it. (Who begins two at once may be given the older
/// one's challenge again, and then the newest mail is not the right one.)
pub(super) fn gets_in_after(fault: Fault, world: &World, rules: &Rules) -> bool {
    let is_fast = |patience| actions(world, rules, patience) <= allowed(fault, patience, rules);
    let sign_ins = world.sign_ins.iter().filter(|sign_in| sign_in.phase != Phase::NotBegun).count();
    let failures = world.accounts.map(|account| rules.view(account).failures);
    let is_plain = sign_ins <= 1 && failures == [0, 0];
    !rules.is_known()
        || a_stranger_acts(world)
        || failures.into_iter().any(|failures| failures >= rules.latch_after())
        || (is_fast(Patience::Much) && (!is_plain || is_fast(Patience::Little)))
}

/// Whether the owner's first answers open what they are for, though strangers do what they can.
pub(super) fn gets_in_despite_strangers(world: &World, rules: &Rules) -> bool {
    world.failed || !a_stranger_acts(world) || (0..SIGN_INS).all(|number| first_answer_opens(world, number, rules))
}

/// Whether a stranger has begun a sign-in.
pub(super) fn a_stranger_acts(world: &World) -> bool {
    world.sign_ins.iter().any(|sign_in| !sign_in.owners && sign_in.phase != Phase::NotBegun)
}

/// How many actions of the owner's a fault may cost.
pub(super) fn allowed(fault: Fault, patience: Patience, rules: &Rules) -> u8 {
    // A parameter round has to be answered as well.
    let rounds = u8::from(rules.has_parameter_round());
    match (fault, patience) {
        // A begin was counted and ended in an error before its mail: whoever begins again 4 to 15 s later is taken for Cognito's
        // repeat and gets no mail either, and has to ask for one. Nobody could be sure to take the count back: the table is silent.
        (Fault::StoreSilent, Patience::Little) => 3 + rounds,
        _ => 2 + rounds,
    }
}

/// Whether the owner begins again at once, or once everything is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Much,
    Little,
}

/// How many actions the owner needs to get in: answers, wishes for another mail, new sign-ins. At most 9.
pub(super) fn actions(world: &World, rules: &Rules, patience: Patience) -> u8 {
    let world = settled(*world, rules);
    let goes_on = finish(acted(world, rules, patience), rules, patience);
    let begins_anew = finish(begun(world, rules, patience), rules, patience);
    if is_in(&world) { 0 } else { goes_on.min(begins_anew) + 1 }
}

/// How many more actions it takes, if the owner goes on as the newest mail suggests.
fn finish(world: World, rules: &Rules, patience: Patience) -> u8 {
    let mut world = settled(world, rules);
    let mut actions = 0;
    while !is_in(&world) && actions < 8 {
        world = settled(acted(world, rules, patience), rules);
        actions += 1;
    }
    actions
}

fn is_in(world: &World) -> bool {
    world.sign_ins.iter().any(|sign_in| sign_in.owners && sign_in.phase == Phase::SignedIn)
}

/// The world once Cognito has called what was to be called.
fn settled(world: World, rules: &Rules) -> World {
    let mut world = world;
    // Four sign-ins, each with three triggers that are called three times at most, and a wait between.
    for _ in 0..SIGN_INS * 3 * 3 * 2 {
        let calls = |lost: bool| {
            world.sign_ins.iter().position(|sign_in| matches!(sign_in.phase, Phase::Calls(call) if call.lost == lost))
        };
        let action = match (calls(false), calls(true)) {
            (Some(number), _) => Action::Call(number as u8, Fate::Well),
            (None, Some(_)) => Action::Pause(Pause::UntilCalledAgain),
            (None, None) => return world,
        };
        world = after(world, action, rules);
    }
    world
}

/// The world after the owner's next action: the code of the newest mail if it is for the challenge at hand, or another mail,
/// or another sign-in.
fn acted(world: World, rules: &Rules, patience: Patience) -> World {
    let asked = (0..).zip(&world.sign_ins).filter(|(_, sign_in)| sign_in.owners && sign_in.phase == Phase::Asks);
    let asked = asked.filter_map(|(number, sign_in)| {
        let state: ChallengeState = rules.sessions.borrow().get(sign_in.session).challenge?;
        Some((number, nonce_of(&state)))
    });
    let live = |challenge: u8| u64::from(world.challenges[usize::from(challenge)].age) < VALIDITY;
    let asked = asked.filter(|(_, challenge)| live(*challenge)).collect::<Vec<(u8, u8)>>();
    if let Some((number, challenge)) = asked.iter().rev().find(|(_, challenge)| world.newest_mail == Some(*challenge)) {
        return after(world, Action::Say(*number, Said::Code(*challenge)), rules);
    }
    if let Some((number, challenge)) = asked.last() {
        let waited = after(world, Action::Pause(Pause::UntilResend), rules);
        if u64::from(waited.challenges[usize::from(*challenge)].age) < VALIDITY {
            return after(waited, Action::Say(*number, Said::Resend), rules);
        }
    }
    begun(world, rules, patience)
}

/// The world after the owner has begun another sign-in: as soon as patience and the limits of the account let.
fn begun(world: World, rules: &Rules, patience: Patience) -> World {
    let mut world = world;
    // The owner looks at no other page any more.
    for sign_in in world.sign_ins.iter_mut().filter(|sign_in| sign_in.owners) {
        *sign_in = SignIn { phase: Phase::Failed, session: 0, ..*sign_in };
    }
    let place = world.sign_ins.iter().position(|sign_in| !matches!(sign_in.phase, Phase::Asks | Phase::Calls(_)));
    let Some(number) = place else { return world };
    let begun_after = |pause| {
        let begin = Action::Begin { number: number as u8, owners: true };
        settled(after(after(world, Action::Pause(pause), rules), begin, rules), rules)
    };
    let pauses = match patience {
        Patience::Little => &[Pause::UntilCalledAgain, Pause::UntilOver][..],
        Patience::Much => &[Pause::UntilOver],
    };
    let is_begun = |world: &World| world.sign_ins[number].phase == Phase::Asks;
    let soonest = pauses.iter().map(|pause| begun_after(*pause)).find(is_begun);
    soonest.unwrap_or_else(|| begun_after(Pause::Day))
}

fn after(world: World, action: Action, rules: &Rules) -> World {
    world.next(action, rules).map_or(world, |(world, _)| world)
}

/// Whether the owner's first answer to a live challenge of the owner's own opens it, whatever a stranger did. One that a
/// stranger began first is the stranger's; and no answer is judged after as many in a row as the settings allow at all.
fn first_answer_opens(world: &World, number: usize, rules: &Rules) -> bool {
    let sign_in = world.sign_ins[number];
    if !sign_in.owners || sign_in.phase != Phase::Asks {
        return true;
    }
    let session = rules.sessions.borrow().get(sign_in.session);
    let Some(state) = session.challenge.filter(|state| !state.repeated && session.rounds.is_empty()) else {
        return true;
    };
    let made = world.challenges[usize::from(nonce_of(&state))];
    let latched = world.accounts.iter().any(|account| rules.view(*account).failures >= rules.latch_after());
    if !made.arrived || made.signed_in.is_some() || made.seen || u64::from(made.age) >= VALIDITY || latched {
        return true;
    }
    let mut world = *world;
    let number = number as u8;
    let actions = [
        Action::Say(number, Said::Code(nonce_of(&state))),
        Action::Call(number, Fate::Well),
        Action::Call(number, Fate::Well),
    ];
    for action in actions {
        let Some((next, _)) = world.next(action, rules) else { return false };
        world = next;
    }
    world.sign_ins[usize::from(number)].phase == Phase::SignedIn
}
