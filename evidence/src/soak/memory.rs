//! Memory of this process and of the functions that it has started.

use std::collections::BTreeMap;
use std::fs;

/// Growth beyond this share is a leak.
const MAY_GROW: f64 = 0.05;

/// Memory at one moment, in KiB.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// How many sign-ins were over.
    pub(super) done: usize,
    /// Of this process: clients, pool, and all that functions talk to.
    pub(super) own: u64,
    /// Of each function's process, by its id.
    functions: BTreeMap<u32, u64>,
}

impl Sample {
    /// `None` where there is no `/proc`.
    pub(super) fn take(done: usize) -> Option<Sample> {
        let own = std::process::id();
        let resident = |id: u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let field = |name| status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next();
            Some((field("PPid:")?.parse().ok()?, field("VmRSS:")?.parse().ok()?))
        };
        let (_, own_kib): (u32, u64) = resident(own)?;
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let children = ids.filter_map(|id| resident(id).filter(|(parent, _)| *parent == own).map(|(_, kib)| (id, kib)));
        Some(Sample { done, own: own_kib, functions: children.collect() })
    }
}

/// How memory grew from after the warm-up to the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// This process, in MiB after the warm-up, and the share that it grew by.
    pub(super) own_mib: f64,
    pub(super) own: f64,
    /// The same for an average process of a function that was there all the time.
    pub(super) function_mib: f64,
    pub(super) functions: f64,
}

impl Growth {
    /// Compares the second fifth of a run with the last one. `None` if there is nothing to compare.
    pub(super) fn of(samples: &[Sample]) -> Option<Growth> {
        let all = samples.last()?.done;
        let between = |from: usize, to: usize| -> Vec<&Sample> {
            samples.iter().filter(|sample| (all * from / 5..=all * to / 5).contains(&sample.done)).collect()
        };
        let (after, end) = (between(1, 2), between(4, 5));
        let own = |samples: &[&Sample]| median(samples.iter().map(|sample| sample.own).collect());
        let lived = |id: &u32| after.iter().chain(&end).all(|sample| sample.functions.contains_key(id));
        let ids: Vec<u32> = after.first()?.functions.keys().copied().filter(lived).collect();
        let of_functions = |samples: &[&Sample]| -> Option<f64> {
            let sum = |sample: &&Sample| ids.iter().filter_map(|id| sample.functions.get(id)).sum();
            Some(median(samples.iter().map(sum).collect())? / ids.len().max(1) as f64)
        };
        let (own_before, functions_before) = (own(&after)?, of_functions(&after)?);
        let grew = |before: f64, now: f64| if before > 0.0 { now / before - 1.0 } else { 0.0 };
        Some(Growth {
            own_mib: own_before / 1_024.0,
            own: grew(own_before, own(&end)?),
            function_mib: functions_before / 1_024.0,
            functions: grew(functions_before, of_functions(&end)?),
        })
    }

    pub(super) fn is_leak(self) -> bool {
        self.own > MAY_GROW || self.functions > MAY_GROW
    }
}

fn median(mut values: Vec<u64>) -> Option<f64> {
    values.sort_unstable();
    values.get(values.len() / 2).map(|value| *value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(own: impl Fn(u64) -> u64, function: impl Fn(u64) -> u64) -> Option<Growth> {
        let sample = |second: u64| Sample {
            done: second as usize * 100,
            own: own(second),
            functions: [(7, function(second)), (second as u32 + 1_000, 1)].into(),
        };
        Growth::of(&(0..=200).map(sample).collect::<Vec<_>>())
    }

    #[test]
    fn g15_memory_that_grows_by_a_twentieth_is_a_leak_wherever_it_is() {
        assert!(!run(|_| 50_000, |_| 9_000).unwrap().is_leak());
        // It may grow at first, and waver.
        assert!(!run(|second| 50_000 + 500 * second.min(30) + second % 7 * 100, |_| 9_000).unwrap().is_leak());
        // A hundred octets for each sign-in.
        assert!(run(|second| 50_000 + 10 * second * 3, |_| 9_000).unwrap().is_leak());
        assert!(run(|_| 50_000, |second| 9_000 + 10 * second).unwrap().is_leak());
    }
}
