//! Whether two kinds of calls can be told apart by how long they last.

use std::f64::consts::PI;
use std::time::Duration;

/// As far from one half as the chance may always be that a call of one kind lasts longer than one of the other.
const AUC_ALWAYS: f64 = 0.02;
/// And as many standard errors: of a hundred such comparisons chance alone exceeds it in fewer than one in a thousand times.
const STANDARD_ERRORS: f64 = 4.5;
/// As large as the gap between two distributions may always be: calls may differ without one kind being the slower.
const GAP_ALWAYS: f64 = 0.05;
/// And so large as chance makes it once in a hundred thousand times, in units of the square root of the samples' harmonic size.
const GAP_BY_CHANCE: f64 = 2.47;

/// Two kinds of calls, compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    /// The chance that a call of the second kind lasts longer than one of the first (Mann and Whitney): 0.5 where the two cannot
    /// be told apart.
    pub(super) auc: f64,
    /// How far from 0.5 it may be for so many calls.
    pub(super) auc_bound: f64,
    /// The largest gap between the shares of calls that last no longer than any duration (Kolmogorov and Smirnov).
    pub(super) gap: f64,
    /// How large it may be for so many calls.
    pub(super) gap_bound: f64,
    /// The chance that it is as large between two samples of one kind.
    pub(super) ks_p: f64,
}

impl Compared {
    pub(super) fn of(one: &[Duration], other: &[Duration]) -> Compared {
        let [one, other] = [one, other].map(|sample| {
            let mut sample = sample.to_vec();
            sample.sort_unstable();
            sample
        });
        let (n, m) = (one.len() as f64, other.len() as f64);
        let standard_error = ((n + m + 1.0) / (12.0 * n * m)).sqrt();
        let (gap, size) = (gap(&one, &other), (n * m / (n + m)).sqrt());
        Compared {
            auc: auc(&one, &other),
            auc_bound: AUC_ALWAYS.max(STANDARD_ERRORS * standard_error),
            gap,
            gap_bound: GAP_ALWAYS.max(GAP_BY_CHANCE / size),
            ks_p: ks_p(gap, size),
        }
    }

    pub(super) fn are_told_apart(self) -> bool {
        // Also where there was nothing to compare.
        self.auc.is_nan() || (self.auc - 0.5).abs() > self.auc_bound || self.gap > self.gap_bound
    }
}

fn auc(one: &[Duration], other: &[Duration]) -> f64 {
    let shorter = |duration: &Duration| {
        let [below, up_to] = [one.partition_point(|d| d < duration), one.partition_point(|d| d <= duration)];
        (below + up_to) as f64 / 2.0
    };
    other.iter().map(shorter).sum::<f64>() / (one.len() * other.len()) as f64
}

fn gap(one: &[Duration], other: &[Duration]) -> f64 {
    let gap = |duration: &Duration| {
        let share = |sample: &[Duration]| sample.partition_point(|d| d <= duration) as f64 / sample.len() as f64;
        (share(one) - share(other)).abs()
    };
    one.iter().chain(other).map(gap).fold(0.0, f64::max)
}

/// The asymptotic one, with Stephens' correction for small samples. `size`: the square root of their harmonic size.
fn ks_p(gap: f64, size: f64) -> f64 {
    let lambda = (size + 0.12 + 0.11 / size) * gap;
    if lambda < 1.18 {
        // The series below converges slowly here; this one is the same function.
        let term = |k: i32| (-f64::from((2 * k - 1).pow(2)) * PI * PI / (8.0 * lambda * lambda)).exp();
        return 1.0 - (2.0 * PI).sqrt() / lambda * (1..=3).map(term).sum::<f64>();
    }
    let term = |k: i32| (-2.0 * f64::from(k * k) * lambda * lambda).exp() * if k % 2 == 1 { 2.0 } else { -2.0 };
    (1..=20).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(all: impl Iterator<Item = u64>) -> Vec<Duration> {
        all.map(Duration::from_millis).collect()
    }

    #[test]
    fn g10_the_same_cannot_be_told_apart_and_a_shift_can() {
        let [one, other] = [0, 1].map(|from| ms((from..2_000).step_by(2)));
        let same = Compared::of(&one, &other);
        assert!(!same.are_told_apart() && same.ks_p > 0.99, "{same:?}");
        let later = Compared::of(&one, &ms((200..2_200).step_by(2)));
        assert!((later.auc - 0.595).abs() < 0.001, "{later:?}");
        assert!(later.are_told_apart() && later.ks_p < 0.001, "{later:?}");
    }

    /// A table of the distribution: the chance to exceed 1.36 is one in twenty, and 0.83 one in two.
    #[test]
    fn the_chance_of_a_gap_is_that_of_the_tables() {
        let size = 500_f64.sqrt();
        let of = |lambda: f64| ks_p(lambda / (size + 0.12), size);
        assert!((of(1.36) - 0.05).abs() < 0.003);
        assert!((of(0.83) - 0.5).abs() < 0.02);
        assert!(of(0.2) > 0.999 && of(3.0) < 1e-6);
    }

    #[test]
    fn g10_what_differs_by_its_spread_alone_is_told_apart() {
        let wide = Compared::of(&ms((0..2_000).step_by(2)), &ms(500..1_500));
        assert!((wide.auc - 0.5).abs() < 0.001 && wide.are_told_apart(), "{wide:?}");
    }

    #[test]
    fn of_nothing_nothing_is_shown() {
        assert!(Compared::of(&[], &[]).are_told_apart());
    }
}
