//! What sending a mail was like lately, so that a user who gets none waits just as long and is told the same.

use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::time::Instant;

/// How many sends are remembered.
const REMEMBERED: usize = 64;
/// How long a failure counts as lasting if no success followed.
const OUTAGE: Duration = Duration::from_secs(60);

/// Sixteenths of a lognormal distribution around 80 ms (σ 0.4), in milliseconds: what sends are like until enough have been seen.
const USUAL_MS: [u64; 16] = [38, 47, 53, 59, 63, 68, 73, 78, 83, 88, 94, 101, 109, 120, 136, 169];

/// The last sends of this function's environment.
pub(crate) struct ObservedSends {
    durations: [Duration; REMEMBERED],
    /// The one that the next send replaces.
    oldest: usize,
    /// When the last send failed and how long it took, unless one succeeded since.
    failure: Option<(Instant, Duration)>,
}

impl Default for ObservedSends {
    fn default() -> ObservedSends {
        let durations = std::array::from_fn(|n| Duration::from_millis(USUAL_MS[n % USUAL_MS.len()]));
        ObservedSends { durations, oldest: 0, failure: None }
    }
}

impl ObservedSends {
    /// Remembers a send that was over at `now`. Those that failed for everybody do not count among the durations of those
    /// that did not.
    pub(crate) fn record(&mut self, lasted: Duration, failed: bool, now: Instant) {
        if failed {
            self.failure = Some((now, lasted));
        } else {
            self.failure = None;
            self.durations[self.oldest] = lasted;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }

    /// How long a send that begins at `now` would last, and whether it would fail.
    pub(crate) fn imitate(&self, now: Instant, chance: &mut impl Rng) -> (Duration, bool) {
        match self.failure {
            Some((at, lasted)) if now.duration_since(at) < OUTAGE => (lasted, true),
            _ => (self.durations[chance.random_range(0..REMEMBERED)], false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rand_core::UnwrapErr;
    use rand::rngs::SysRng;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn imitated(observed: &ObservedSends, now: Instant) -> BTreeSet<(Duration, bool)> {
        (0..2_000).map(|_| observed.imitate(now, &mut UnwrapErr(SysRng))).collect()
    }

    #[tokio::test]
    async fn t26_unknown_users_wait_as_long_as_somebody_did() {
        let now = Instant::now();
        let mut observed = ObservedSends::default();
        assert_eq!(imitated(&observed, now).len(), USUAL_MS.len());
        let real: BTreeSet<_> = (0..REMEMBERED as u32).map(|n| MS * (300 + n)).collect();
        for lasted in &real {
            observed.record(*lasted, false, now);
        }
        assert_eq!(imitated(&observed, now), real.iter().map(|lasted| (*lasted, false)).collect());
        // The oldest is forgotten first.
        observed.record(MS * 999, false, now);
        let imitated = imitated(&observed, now);
        assert!(imitated.contains(&(MS * 999, false)) && !imitated.contains(&(MS * 300, false)));
    }

    #[tokio::test]
    async fn t29_a_failure_is_imitated_until_a_success_or_a_minute_later() {
        let now = Instant::now();
        let mut observed = ObservedSends::default();
        observed.record(MS * 7, true, now);
        assert_eq!(imitated(&observed, now + OUTAGE - MS), [(MS * 7, true)].into());
        assert!(imitated(&observed, now + OUTAGE).iter().all(|(lasted, failed)| !failed && *lasted != MS * 7));
        observed.record(MS * 50, false, now);
        assert!(imitated(&observed, now).iter().all(|(_, failed)| !failed));
    }
}
