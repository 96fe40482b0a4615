//! Settings: any text in any variable.

use auth_challenge::settings::{ChallengeSettings, CreateSettings, LimitsSettings, VARIABLES};
use proptest::prelude::*;

use crate::example::settings;
use crate::settings::{NUMBERS, read};

/// Whether create starts with this.
fn starts(variable: &str, text: &str) -> bool {
    let given = [("ACCEPT_RISK", "1"), (variable, text)];
    settings(CreateSettings::from_vars, &given).is_ok() && settings(LimitsSettings::from_vars, &given).is_ok()
}

/// The variables that take nothing of two lines, as a path and the keys of metadata may be.
fn of_one_line() -> impl Strategy<Value = &'static str> {
    let names = VARIABLES.into_iter().filter(|name| !["TEMPLATE_DIR", "REQUIRED_CLIENT_METADATA"].contains(name));
    prop::sample::select(names.collect::<Vec<_>>())
}

proptest! {
    /// G23: any text in any two variables is taken, or refused in one line that names a variable and repeats no value.
    #[test]
    fn g23_errors_name_the_variable_and_never_the_value(
        (one, other) in (0..VARIABLES.len(), 0..VARIABLES.len()),
        value in "[a-zA-Z0-9=*.,@{} \u{e9}]{9,40}", other_value in "\\PC{0,40}",
    ) {
        let given = [(VARIABLES[other], &*other_value), (VARIABLES[one], &*value)];
        if let Err(error) = read(&given) {
            let text = error.to_string();
            let names_it = given.iter().any(|(variable, _)| text.starts_with(&format!("{variable} must be ")));
            prop_assert!(names_it, "{}", text);
            prop_assert!(!text.contains(&value) && !text.contains('\n'));
        }
    }

    /// G23: of two wrong values one is told, whichever variables they are in.
    #[test]
    fn g23_two_wrong_values_are_refused(
        (one, other) in (of_one_line(), of_one_line()),
        value in "[a-zA-Z0-9=*.,@{} \u{e9}]{4,20}\n[a-zA-Z0-9=*.,@{} \u{e9}]{4,20}", other_value in "\\PC{4,20}\n\\PC{4,20}",
    ) {
        let given = [(other, &*other_value), (one, &*value)];
        let text = read(&given).unwrap_err().to_string();
        let names_it = given.iter().any(|(variable, _)| text.starts_with(&format!("{variable} must be ")));
        prop_assert!(names_it && !text.contains('\n'), "{}", text);
        let lines = [&value, &other_value].into_iter().flat_map(|value| value.lines());
        prop_assert!(lines.filter(|line| line.len() > 8).all(|line| !text.contains(line)), "{}", text);
    }

    #[test]
    fn g23_a_number_is_taken_within_its_bounds_and_no_further(
        (variable, from, to) in prop::sample::select(&NUMBERS[..]), number in 0..5_000_u64, near: bool,
    ) {
        // Half of them around the bounds.
        let number = if near { [from.saturating_sub(1), from, to, to + 1][number as usize % 4] } else { number };
        prop_assert_eq!(starts(variable, &number.to_string()), (from..=to).contains(&number), "{} = {}", variable, number);
    }

    #[test]
    fn g23_what_is_no_number_is_none(
        (variable, ..) in prop::sample::select(&NUMBERS[..]), text in "[-0-9]{1,3}[ .,eE_x][0-9]{0,3}|\\PC{0,8}",
    ) {
        prop_assume!(text.parse::<u64>().is_err());
        prop_assert!(!starts(variable, &text), "{} = {:?}", variable, text);
    }

    #[test]
    fn f52_a_key_has_32_to_256_printable_characters(key in "[!-~]{1,300}|[ -~]{32,40}|\\PC{32,40}", previous: bool) {
        let variable = if previous { "CODE_KEY_PREVIOUS" } else { "CODE_KEY" };
        let fits = (32..=256).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        let read = settings(ChallengeSettings::from_vars, &[(variable, &key)]);
        prop_assert_eq!(read.is_ok(), fits, "{:?}", key);
        if let Err(error) = read {
            let text = error.to_string();
            let names_it = text.starts_with(&format!("{variable} must be "));
            // A short one may be a word of ours.
            prop_assert!(names_it && (key.len() < 9 || !text.contains(&key)));
        }
    }
}
