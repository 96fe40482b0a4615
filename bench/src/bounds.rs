//! Upper bounds of instruction counts. They hold on any machine, however busy it is, where times do not.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::measure::Instructions;
use crate::report::Row;
use crate::subjects::Build;

/// The bounds of one file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    #[serde(default)]
    release: BTreeMap<String, Bound>,
    #[serde(default, rename = "static")]
    static_: BTreeMap<String, Bound>,
    #[serde(default)]
    given: BTreeMap<String, Bound>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    cold: u64,
    warm: u64,
}

impl Bounds {
    pub(crate) fn read(file: &Path) -> Result<Bounds, Box<dyn Error>> {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// What is not as these bounds have it, a sentence each.
    pub(crate) fn excesses(&self, rows: &[Row]) -> Vec<String> {
        let bounded = rows.iter().filter(|row| row.is_bounded());
        bounded.flat_map(|row| self.excesses_of(row.build, &row.name, row.instructions)).collect()
    }

    fn excesses_of(&self, build: Build, name: &str, counted: Option<Instructions>) -> Vec<String> {
        let (section, bounds) = match build {
            Build::Release => ("release", &self.release),
            Build::Static => ("static", &self.static_),
            Build::Given => ("given", &self.given),
        };
        let name = name.trim_end_matches(", static");
        let Some(bound) = bounds.get(name) else {
            return vec![format!("there are no bounds for {name} in [{section}]")];
        };
        let Some(counted) = counted else {
            return vec![format!("the instructions of {name} were not counted")];
        };
        [("cold", counted.cold, bound.cold), ("warm", counted.warm, bound.warm)]
            .into_iter()
            .filter(|(_, counted, bound)| counted > bound)
            .map(|(what, counted, bound)| {
                format!("{name} takes {counted} instructions {what}, and [{section}] allows {bound}")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        toml::from_str("[release.\"verify with table\"]\ncold = 100\nwarm = 10\n").unwrap()
    }

    fn excesses(name: &str, cold: u64, warm: u64) -> Vec<String> {
        bounds().excesses_of(Build::Release, name, Some(Instructions { cold, warm }))
    }

    #[test]
    fn what_is_at_its_bounds_is_within_them() {
        assert_eq!(excesses("verify with table", 100, 10), Vec::<String>::new());
    }

    #[test]
    fn each_excess_is_named() {
        let cold = "verify with table takes 101 instructions cold, and [release] allows 100";
        let warm = "verify with table takes 11 instructions warm, and [release] allows 10";
        assert_eq!(excesses("verify with table", 101, 10), [cold]);
        assert_eq!(excesses("verify with table", 101, 11), [cold, warm]);
    }

    #[test]
    fn a_function_without_bounds_or_counts_does_not_pass() {
        assert_eq!(excesses("define", 1, 1), ["there are no bounds for define in [release]"]);
        assert_eq!(bounds().excesses_of(Build::Given, "verify with table", None).len(), 1);
        assert_eq!(bounds().excesses_of(Build::Release, "verify with table", None).len(), 1);
    }

    #[test]
    fn the_file_has_bounds_of_every_function_as_ci_builds_it() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
        let bounds = Bounds::read(&file).unwrap();
        for entry in fs::read_dir(file.parent().unwrap().join("../functions")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(bounds.given.contains_key(&name) && bounds.release.contains_key(&name), "{name}");
        }
    }
}
