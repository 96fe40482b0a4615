//! What sending a mail was like lately, so that a user who gets none waits just as long and is told the same.

use std::collections::VecDeque;
use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::time::Instant;

/// How many sends are remembered.
const REMEMBERED: usize = 64;
/// With fewer sends than this the table serves.
const ENOUGH: usize = 4;
/// Sixteenths of a lognormal distribution around 80 ms (σ 0.4), in milliseconds: what sends are like in an environment that
/// has not sent yet.
const USUAL_MS: [u64; 16] = [38, 47, 53, 59, 63, 68, 73, 78, 83, 88, 94, 101, 109, 120, 136, 169];

/// A sleep that ends later than this says nothing of how late they usually end.
const LATE_AT_MOST: Duration = Duration::from_millis(20);

/// The last sends of this function's environment.
#[derive(Default)]
pub(crate) struct ObservedSends {
    /// How long they lasted, the newest first.
    durations: VecDeque<Duration>,
    /// How long the last send lasted and when its failure ceases to count, if it failed.
    failure: Option<(Duration, Instant)>,
    /// How late sleeps end on average, the newer ones counting for more.
    late: Duration,
}

impl ObservedSends {
    /// Remembers a send that is over. `fails_until`: it failed, and so would every other send until then.
    pub(crate) fn record(&mut self, lasted: Duration, fails_until: Option<Instant>) {
        self.failure = fails_until.map(|until| (lasted, until));
        // Failures do not take as long as successes.
        if self.failure.is_none() {
            self.durations.truncate(REMEMBERED - 1);
            self.durations.push_front(lasted);
        }
    }

    /// Remembers that a sleep has ended so much too late.
    pub(crate) fn woke(&mut self, late: Duration) {
        self.late = (self.late * 7 + late.min(LATE_AT_MOST)) / 8;
    }

    /// How long to sleep from `now` on, to wait as long as a send lasts, and whether it would fail. A sleep ends at the timer's next
    /// millisecond, or when the machine finds time, which in a send is a part of how long it lasted: so it is meant to end earlier.
    pub(crate) fn imitate(&self, now: Instant, chance: &mut impl Rng) -> (Duration, bool) {
        let (lasted, fails) = match self.failure {
            Some((lasted, until)) if now < until => (lasted, true),
            _ if self.durations.len() < ENOUGH => {
                (Duration::from_millis(USUAL_MS[chance.random_range(0..USUAL_MS.len())]), false)
            }
            _ => (self.durations[chance.random_range(0..self.durations.len())], false),
        };
        (lasted.saturating_sub(self.late), fails)
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

    fn successes(durations: impl IntoIterator<Item = u32>) -> BTreeSet<(Duration, bool)> {
        durations.into_iter().map(|ms| (MS * ms, false)).collect()
    }

    #[tokio::test]
    async fn t26_unknown_users_wait_as_long_as_somebody_did() {
        let now = Instant::now();
        let mut observed = ObservedSends::default();
        let table = successes(USUAL_MS.map(|ms| ms as u32));
        assert_eq!(imitated(&observed, now), table);
        for n in 0..3 {
            observed.record(MS * (300 + n), None);
        }
        assert_eq!(imitated(&observed, now), table);
        // From the fourth send on, nothing but what was seen here.
        for n in 3..64 {
            observed.record(MS * (300 + n), None);
            assert!(imitated(&observed, now).is_subset(&successes(300..=300 + n)));
        }
        assert_eq!(imitated(&observed, now), successes(300..364));
        // The oldest is forgotten first.
        observed.record(MS * 999, None);
        assert_eq!(imitated(&observed, now), successes((301..364).chain([999])));
    }

    #[tokio::test]
    async fn t26_r31_who_gets_no_mail_does_not_wait_longer_for_sleeps_that_end_late() {
        let now = Instant::now();
        let mut observed = ObservedSends::default();
        for _ in 0..ENOUGH {
            observed.record(MS * 60, None);
        }
        for _ in 0..64 {
            observed.woke(MS * 2);
        }
        let all = imitated(&observed, now);
        assert!(all.iter().all(|(lasts, _)| lasts.abs_diff(MS * 58) < MS / 10), "{all:?}");
        // One that was very late is an accident.
        observed.woke(MS * 3_000);
        let all = imitated(&observed, now);
        assert!(all.iter().all(|(lasts, _)| *lasts > MS * 55), "{all:?}");
    }

    #[tokio::test]
    async fn t29_a_failure_is_imitated_until_its_end_or_a_success() {
        let now = Instant::now();
        let mut observed = ObservedSends::default();
        observed.record(MS * 7, Some(now + MS * 100));
        assert_eq!(imitated(&observed, now + MS * 99), [(MS * 7, true)].into());
        assert!(imitated(&observed, now + MS * 100).iter().all(|(lasted, failed)| !failed && *lasted != MS * 7));
        observed.record(MS * 50, None);
        assert!(imitated(&observed, now).iter().all(|(_, failed)| !failed));
    }
}
