//! A breadth-first search over worlds.
//!
//! Our own and not stateright's, because it is less code than what stateright would need from us: worlds share their accounts
//! and sessions under numbers that only this search knows, the invariants look at steps and not at states, a fault that came
//! to nothing is no step, and a state is only kept as 64 bits of a hash (as TLC and Spin do): of 10^7 states two have
//! the same with a chance of 3 in a million, and one would then not be looked at.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::invariants::{Invariant, broken};
use super::reached::Reached;
use super::rules::Rules;
use super::world::{Action, World};

/// What a search came to.
pub(super) struct Found {
    pub(super) states: u64,
    pub(super) transitions: u64,
    pub(super) depth: u32,
    /// Whether there are no more states.
    pub(super) complete: bool,
    pub(super) reached: Reached,
    pub(super) broken: Option<(Invariant, Vec<(World, Action)>)>,
}

/// Looks at every world that can come of the first, shortest ways first, until an invariant is broken or there are `most`.
pub(super) fn search(first: World, rules: &Rules, most: u64) -> Found {
    let mut known = HashSet::<u64, BuildHasherDefault<Taken>>::default();
    // For each world, in the order in which they were found: where it came from, by which of the actions there.
    let mut origins = vec![(0_u32, 0_u8)];
    let mut layer = vec![(0_u32, first)];
    let mut found =
        Found { states: 1, transitions: 0, depth: 0, complete: true, reached: Reached::default(), broken: None };
    known.insert(fingerprint(&first));
    while !layer.is_empty() {
        let mut next_layer = Vec::new();
        for (number, world) in &layer {
            for (index, action) in (0..).zip(world.actions(rules)) {
                let Some((next, seen)) = world.next(action, rules) else { continue };
                found.transitions += 1;
                let is_new = known.insert(fingerprint(&next));
                // Also where the state is known: the step may be a new one, and most invariants are about steps.
                if let Some(invariant) = broken(world, &next, &seen, is_new, rules) {
                    found.complete = false;
                    found.broken = Some((invariant, trace(first, &origins, *number, index, rules)));
                    return found;
                }
                found.reached.look(&next, &seen, rules);
                if !is_new {
                    continue;
                }
                if found.states >= most {
                    found.complete = false;
                    return found;
                }
                next_layer.push((origins.len() as u32, next));
                origins.push((*number, index));
                found.states += 1;
            }
        }
        found.depth += u32::from(!next_layer.is_empty());
        layer = next_layer;
    }
    found
}

/// The way to a world, and the action there.
fn trace(first: World, origins: &[(u32, u8)], mut number: u32, action: u8, rules: &Rules) -> Vec<(World, Action)> {
    let mut indices = vec![action];
    while number > 0 {
        let (origin, index) = origins[number as usize];
        indices.push(index);
        number = origin;
    }
    let mut world = first;
    let mut trace = Vec::new();
    for index in indices.into_iter().rev() {
        let Some(action) = world.actions(rules).get(usize::from(index)).copied() else { break };
        trace.push((world, action));
        world = world.next(action, rules).map_or(world, |(next, _)| next);
    }
    trace
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = Folded(0x9e37_79b9_7f4a_7c15);
    world.hash(&mut hasher);
    hasher.finish()
}

/// A hash by multiplication and folding, as in wyhash: worlds are a hundred small numbers, for which SipHash takes long.
struct Folded(u64);

impl Folded {
    fn fold(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * u128::from(0x2d35_8dcc_aa6c_78a5_u64);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        let mut last = Folded(self.0);
        last.fold(0xa076_1d64_78bd_642f);
        last.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.fold(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.fold(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.fold(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(number as u64);
    }

    // What `derive` writes for the variant of an enum.
    fn write_isize(&mut self, number: isize) {
        self.fold(number as u64);
    }
}

/// For numbers that are hashes already.
#[derive(Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
