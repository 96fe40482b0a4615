use super::*;

#[test]
fn g1b_f29_every_invariant_holds_and_everything_is_reached_that_should_be() {
    let found = search_all(settings(Size::Small), None, Size::Small.most()).unwrap();
    let sum = Sum { found, least: Size::Small.least(), bugs: Vec::new() };
    assert!(sum.holds(), "{}", sum.report(Duration::ZERO));
}

#[test]
fn g1b_every_seeded_bug_is_found_and_breaks_its_invariant() {
    for bug in Bug::value_variants() {
        let found = find(*bug).unwrap();
        let (invariant, story) = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        assert_eq!(invariant, bug.breaks(), "{bug:?}: {story}");
    }
}

#[test]
fn g1b_every_invariant_is_broken_by_a_seeded_bug() {
    let broken: Vec<Invariant> = Bug::value_variants().iter().map(|bug| bug.breaks()).collect();
    assert!(Invariant::ALL.iter().all(|invariant| broken.contains(invariant)));
}

#[test]
fn g1b_a_story_is_the_shortest_and_in_words() {
    let (_, story) = find(Bug::RepeatsMailAgain).unwrap().unwrap();
    assert_eq!(
        story,
        "the owner begins sign-in 1; Cognito calls create-auth-challenge for sign-in 1, and the reply is lost; 5 s pass; \
         Cognito calls create-auth-challenge for sign-in 1 again"
    );
}
