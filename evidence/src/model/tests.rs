use super::*;

#[test]
fn g1b_every_seeded_bug_is_found_and_breaks_its_invariant() {
    for bug in Bug::value_variants() {
        let found = find(*bug, u64::MAX).unwrap();
        let (invariant, story) = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        println!("{bug:?}: {story}");
        assert_eq!(invariant, bug.breaks(), "{bug:?}: {story}");
    }
}
