//! What guessing comes to.

use auth_challenge::client_metadata::ClientMetadata;
use auth_challenge::code::{Alphabet, CodeFormat};
use auth_challenge::risk::risk;
use auth_challenge::settings::LimitsSettings;

use crate::example::{NOW, alice, settings};
use crate::properties::sign_ins::{Seen, Simulation};

fn chance(alphabet: Alphabet, length: usize, given: &[(&str, &str)], counted: bool) -> f64 {
    let limits = settings(LimitsSettings::from_vars, given).unwrap().limits;
    risk(CodeFormat::new(alphabet, length).unwrap(), &limits, counted).chance
}

fn check(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 0.05, "{found:e} is not {expected:e}");
}

/// Numbers that were computed elsewhere.
#[test]
fn p20_the_chance_of_a_year_is_that_of_the_formula() {
    use Alphabet::{Digits, Letters};
    // 14 mails a second, nothing counted.
    check(chance(Digits, 8, &[], false), 1.0);
    check(chance(Digits, 9, &[], false), 0.73);
    check(chance(Digits, 10, &[], false), 0.124);
    check(chance(Letters, 8, &[], false), 0.0505);
    check(chance(Letters, 10, &[], false), 1.29e-4);
    // 20 sign-ins a day.
    check(chance(Digits, 6, &[], true), 2.17e-2);
    check(chance(Digits, 8, &[], true), 2.19e-4);
    check(chance(Letters, 8, &[], true), 8.56e-7);
    check(chance(Letters, 16, &[], true), 21_915.0 / 20_f64.powi(16));
    check(chance(Digits, 8, &[("MAILS_PER_DAY", "10"), ("MAX_ATTEMPTS", "2")], true), 7.3e-5);
    // Two sign-ins may share a code, and each has one answer at least.
    check(chance(Digits, 8, &[("MAILS_PER_DAY", "10"), ("MAX_ATTEMPTS", "1")], true), 7.3e-5);
}

#[test]
fn t03_a_sprayer_is_stopped_by_no_count() {
    let limits = settings(LimitsSettings::from_vars, &[]).unwrap().limits;
    for counted in [true, false] {
        let accounts = |alphabet, length| risk(CodeFormat::new(alphabet, length).unwrap(), &limits, counted).accounts;
        check(accounts(Alphabet::Digits, 8), 13.25);
        check(accounts(Alphabet::Letters, 10), 1.29e-4);
    }
}

#[test]
fn r01_t01_settings_that_are_guessed_too_easily_are_refused() {
    let read = |given: &[(&str, &str)]| settings(LimitsSettings::from_vars, given).map(drop);
    let without_table = ("LIMITS_TABLE", "");
    // The defaults, with and without a table.
    assert_eq!(read(&[]), Ok(()));
    assert_eq!(read(&[without_table]), Ok(()));
    for (given, chance) in [
        (&[without_table, ("CODE_ALPHABET", "digits")][..], "1"),
        (&[without_table, ("CODE_LENGTH", "9")], "0.0026"),
        (&[("CODE_LENGTH", "7")], "0.0022"),
        (&[("CODE_LENGTH", "6")], "0.0217"),
        (&[("MAILS_PER_DAY", "100")], "0.0011"),
    ] {
        let expected = format!(
            "ACCEPT_RISK must be {chance} or more, because a year of guessing opens an account with that chance: \
             better set LIMITS_TABLE, longer codes or fewer mails (docs/settings.md)"
        );
        assert_eq!(read(given).unwrap_err().to_string(), expected);
        let accepted = [given, &[("ACCEPT_RISK", chance)]].concat();
        assert_eq!(read(&accepted), Ok(()));
    }
    // What is certain to be guessed can be accepted, too, in so many words.
    assert_eq!(read(&[without_table, ("CODE_ALPHABET", "digits"), ("CODE_LENGTH", "6"), ("ACCEPT_RISK", "1")]), Ok(()));
    for bad in ["0", "-1", "1.1", "NaN", "inf", "a lot"] {
        assert_eq!(
            read(&[("ACCEPT_RISK", bad)]).unwrap_err().to_string(),
            "ACCEPT_RISK must be a number above 0 and up to 1"
        );
    }
}

/// G18: a robot that is told the last three digits has a thousand codes to choose from. It knows a generator's habits, guesses for
/// as long as it is asked, and no table counts.
#[test]
fn g18_t01_guesses_at_sign_ins_open_as_many_as_the_formula_says() {
    let given = [("CODE_ALPHABET", "digits"), ("CODE_LENGTH", "6"), ("LIMITS_TABLE", ""), ("ACCEPT_RISK", "1")];
    let (mut sign_in, answer) = (Simulation::new(alice(), &given), ClientMetadata::default());
    let (sign_ins, mut guesses, mut opened) = (200_000_u32, 0_u32, 0_u32);
    for _ in 0..sign_ins {
        let mut seen = sign_in.begin(NOW);
        for first in ["123", "000", "818", "777", "345"] {
            if let Seen::Challenge(_) = seen {
                let code = sign_in.code.replace(' ', "");
                seen = sign_in.answer(&format!("{first}{}", &code[3..]), &answer, NOW);
                guesses += 1;
            }
        }
        opened += u32::from(seen == Seen::Tokens);
    }
    let (expected, found) = (f64::from(sign_ins) * 3.0 / 1e3, f64::from(opened));
    println!(
        "{}",
        serde_json::json!({"gate": "G18", "sign_ins": sign_ins, "guesses": guesses, "opened": opened, "expected": expected})
    );
    assert!((found - expected).abs() < 3.0 * expected.sqrt(), "{found} instead of {expected}");
}
