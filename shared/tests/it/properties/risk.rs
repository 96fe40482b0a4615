//! What guessing comes to.

use std::time::Duration;

use auth_challenge::code::{CodeFormat, MAX_LENGTH};
use auth_challenge::limits::Limits;
use auth_challenge::risk::risk;
use proptest::prelude::*;

use super::formats;
use crate::limits::LIMITS;

fn limits() -> impl Strategy<Value = Limits> {
    (1..=200_usize, 1..=5_u8, 10..=3_600_u64).prop_map(|(mails_per_day, max_attempts, seconds)| Limits {
        mails_per_day,
        max_attempts,
        mail_interval: Duration::from_secs(seconds),
        ..LIMITS
    })
}

proptest! {
    /// P20: of so many sign-ins, each with so many different guesses, none is right.
    #[test]
    fn p20_the_chance_is_that_of_so_many_sign_ins_one_by_one(format in formats(), limits in limits()) {
        let found = risk(format, &limits, true);
        let attempts = f64::from(limits.max_attempts.max(2));
        let none_in_one = 1.0 - attempts / found.codes;
        let sign_ins = limits.mails_per_day as f64 * 365.25;
        let none = (0..sign_ins as u32).fold(1.0, |none, _| none * none_in_one);
        // Multiplied so often, a number has lost some of its digits.
        prop_assert!(((1.0 - none) - found.chance).abs() < 1e-3 * found.chance + 1e-9, "{found:?}, {}", 1.0 - none);
        prop_assert!(found.chance > 0.0 && found.chance <= 1.0);
        prop_assert_eq!(found.guesses, sign_ins * attempts);
    }

    #[test]
    fn r01_longer_codes_are_safer_and_more_guesses_are_not(format in formats(), limits in limits(), counted: bool) {
        let of = |format: CodeFormat, limits: &Limits| risk(format, limits, counted);
        let here = of(format, &limits);
        if format.length() < MAX_LENGTH {
            let longer = of(CodeFormat::new(format.alphabet, format.length() + 1).unwrap(), &limits);
            prop_assert!(longer.chance <= here.chance && longer.accounts < here.accounts);
        }
        let more = of(format, &Limits { max_attempts: limits.max_attempts + 1, mails_per_day: limits.mails_per_day + 1, ..limits });
        prop_assert!(more.chance >= here.chance && more.accounts >= here.accounts);
        // A table is never worse than none.
        prop_assert!(risk(format, &limits, true).chance <= risk(format, &limits, false).chance);
    }
}
