//! Whether the owner gets in from here, if nothing else goes wrong and nobody else does anything.

use auth_challenge::challenge::ChallengeState;

use super::kept::VALIDITY;
use super::rules::{Rules, nonce_of};
use super::world::{Action, Fate, Fault, Pause, Phase, SIGN_INS, Said, World};

/// Whether the owner gets in, as far as it was promised.
pub(super) fn gets_in(before: &World, after: &World, is_new: bool, rules: &Rules) -> bool {
    let a_stranger_acts = a_stranger_acts(after);
    match after.fault {
        Some(fault) if before.fault.is_none() && !a_stranger_acts => [Patience::Much, Patience::Little]
            .into_iter()
            .all(|patience| actions(after, rules, patience) <= allowed(fault)),
        None if is_new && a_stranger_acts => (0..SIGN_INS).all(|number| first_answer_opens(after, number, rules)),
        None | Some(_) => true,
    }
}

/// Whether a stranger has begun a sign-in.
pub(super) fn a_stranger_acts(world: &World) -> bool {
    world.sign_ins.iter().any(|sign_in| !sign_in.owners && sign_in.phase != Phase::NotBegun)
}

/// How many actions of the owner's a fault may cost.
pub(super) fn allowed(fault: Fault) -> u8 {
    match fault {
        // The sign-in at hand is lost, and only an answer tells: an answer in vain, another sign-in, its answer. Whoever changes
        // keys is told to keep the one before for as long as its codes live.
        Fault::KeyGone => 3,
        _ => 2,
    }
}

/// Whether the owner begins again at once, or once everything is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Much,
    Little,
}

/// How many actions it takes the owner to get in: answers, wishes for another mail, new sign-ins. At most 9.
pub(super) fn actions(world: &World, rules: &Rules, patience: Patience) -> u8 {
    let mut world = *world;
    if world.sign_ins.iter().any(|sign_in| sign_in.owners && sign_in.phase == Phase::SignedIn) {
        return 0;
    }
    for actions in 0..9 {
        world = settled(world, rules);
        if world.sign_ins.iter().any(|sign_in| sign_in.owners && sign_in.phase == Phase::SignedIn) {
            return actions;
        }
        world = acted(world, rules, patience);
    }
    9
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
        world = world.next(action, rules).map_or(world, |(world, _)| world);
    }
    world
}

/// The world after the owner's next action: the code of the newest mail if it is for the challenge at hand, or another mail,
/// or another sign-in.
fn acted(world: World, rules: &Rules, patience: Patience) -> World {
    let do_ = |world: World, action| world.next(action, rules).map_or(world, |(world, _)| world);
    let asked = (0..).zip(&world.sign_ins).filter(|(_, sign_in)| sign_in.owners && sign_in.phase == Phase::Asks);
    let asked = asked.filter_map(|(number, sign_in)| {
        let state: ChallengeState = rules.sessions.borrow().get(sign_in.session).challenge?;
        Some((number, nonce_of(&state)))
    });
    let live = |challenge: u8| u64::from(world.challenges[usize::from(challenge)].age) < VALIDITY;
    let asked = asked.filter(|(_, challenge)| live(*challenge)).collect::<Vec<(u8, u8)>>();
    if let Some((number, challenge)) = asked.iter().rev().find(|(_, challenge)| world.newest_mail == Some(*challenge)) {
        return do_(world, Action::Say(*number, Said::Code(*challenge)));
    }
    if let Some((number, challenge)) = asked.last() {
        let waited = do_(world, Action::Pause(Pause::UntilResend));
        if u64::from(waited.challenges[usize::from(*challenge)].age) < VALIDITY {
            return do_(waited, Action::Say(*number, Said::Resend));
        }
    }
    let pause = if patience == Patience::Much { Pause::UntilOver } else { Pause::UntilCalledAgain };
    let waited = do_(world, Action::Pause(pause));
    let place = waited.sign_ins.iter().position(|sign_in| !matches!(sign_in.phase, Phase::Asks | Phase::Calls(_)));
    place.map_or(waited, |number| do_(waited, Action::Begin { number: number as u8, owners: true }))
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
