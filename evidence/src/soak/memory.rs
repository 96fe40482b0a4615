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
    /// Of each function's process, by its program and its id.
    functions: BTreeMap<(String, u32), u64>,
}

impl Sample {
    /// `None` where there is no `/proc`.
    pub(super) fn take(done: usize) -> Option<Sample> {
        let own = std::process::id();
        let (_, _, own_kib) = resident(own)?;
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let children = ids.filter_map(|id| {
            let (program, parent, kib) = resident(id)?;
            (parent == own).then_some(((program, id), kib))
        });
        Some(Sample { done, own: own_kib, functions: children.collect() })
    }
}

/// The program of a process, its parent, and its memory in KiB.
fn resident(id: u32) -> Option<(String, u32, u64)> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next();
    Some((field("Name:")?.to_owned(), field("PPid:")?.parse().ok()?, field("VmRSS:")?.parse().ok()?))
}

/// How memory grew from after the warm-up to the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// This process, in MiB after the warm-up, and the share that it grew by.
    pub(super) own_mib: f64,
    pub(super) own: f64,
    /// The same of the function that grew most, for an average process of those that were there all the time.
    pub(super) function_mib: f64,
    pub(super) function: f64,
}

impl Growth {
    /// Compares the second fifth of a run with the last one. `None` if there is nothing to compare.
    pub(super) fn of(samples: &[Sample]) -> Option<Growth> {
        let all = samples.last()?.done;
        let between = |from: usize, to: usize| -> Vec<&Sample> {
            samples.iter().filter(|sample| (all * from / 5..=all * to / 5).contains(&sample.done)).collect()
        };
        let (after, end) = (between(1, 2), between(4, 5));
        let lived =
            |process: &&(String, u32)| after.iter().chain(&end).all(|sample| sample.functions.contains_key(*process));
        let mut functions: BTreeMap<&str, Vec<&(String, u32)>> = BTreeMap::new();
        for process in after.first()?.functions.keys().filter(lived) {
            functions.entry(&process.0).or_default().push(process);
        }
        // In MiB after the warm-up, and the share that it grew by.
        let grew = |kib: &dyn Fn(&Sample) -> u64| {
            let of = |samples: &[&Sample]| median(samples.iter().map(|sample| kib(sample)).collect());
            let before = of(&after)?;
            Some((before / 1_024.0, if before > 0.0 { of(&end)? / before - 1.0 } else { 0.0 }))
        };
        let (own_mib, own) = grew(&|sample| sample.own)?;
        let mut most = (0.0, 0.0);
        for processes in functions.values() {
            let together =
                |sample: &Sample| processes.iter().filter_map(|process| sample.functions.get(process)).sum::<u64>();
            let (mib, share) = grew(&together)?;
            if most.0 == 0.0 || share > most.1 {
                most = (mib / processes.len() as f64, share);
            }
        }
        Some(Growth { own_mib, own, function_mib: most.0, function: most.1 })
    }

    pub(super) fn is_leak(self) -> bool {
        self.own > MAY_GROW || self.function > MAY_GROW
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
        let process = |program: &str, id, kib| ((program.to_owned(), id), kib);
        let sample = |second: u64| Sample {
            done: second as usize * 100,
            own: own(second),
            functions: [
                process("define", 6, 20_000),
                process("create", 7, function(second)),
                process("verify", 8, 20_000),
                // Was started anew each second.
                process("verify", second as u32 + 1_000, 1),
            ]
            .into(),
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
        // Those that do not grow do not hide the one that does.
        let growth = run(|_| 50_000, |second| 9_000 + 5 * second).unwrap();
        assert!(growth.is_leak() && growth.function > 0.06, "{growth:?}");
        assert_eq!(growth.function_mib, 9_300.0 / 1_024.0);
    }
}
