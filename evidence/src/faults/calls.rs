//! F19 to F33: how Lambda runs the functions, and how Cognito calls them.

use std::time::Duration;

use auth_challenge::trigger::TriggerError;
use local_pool::trigger::Trigger;

use super::cell::{Cell, Outcome, Payload, Person, Round, Ses, Step, Typed, error};
use super::{SesDoes, TableDoes, taken};

const MS: Duration = Duration::from_millis(1);
/// Cognito calls again after this.
const AGAIN: Step = Step::Wait(Duration::from_secs(5));
/// When Lambda stops a function that takes longer. What it waits for takes twice as long.
const STOPS_AFTER: Duration = Duration::from_millis(400);
const SLOW: Duration = Duration::from_millis(800);

const TABLES: [(&str, bool); 2] = [("with a table", true), ("without a table", false)];

fn people() -> [(&'static str, Person); 2] {
    [("known", Person::known()), ("unknown", Person::unknown())]
}

fn stopped(step: Step) -> Step {
    Step::Stopped(STOPS_AFTER, Box::new(step))
}

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    cells.extend(stopped_before_the_mail());
    cells.extend(stopped_behind_the_mail());
    cells.extend(lost_answers());
    cells.extend(at_the_same_moment());
    cells.extend(lives_of_a_function());
    cells.extend(answers_stopped_and_repeated());
    cells.extend(define_asked_twice());
    cells.extend(wrong_triggers());
    cells
}

/// F19. With a table the repeat of a start that was counted mails nothing: the person asks for the mail.
fn stopped_before_the_mail() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (who, person) in people() {
        let cell =
            |what: &str, has_table| Cell::new("F19", format!("{what}, {who}")).with_table(has_table).of(person.clone());
        let mails = usize::from(who == "known");
        // Who has a mail gets in; who has none does not, whatever they type.
        let ends = |cell: Cell| match who {
            "known" => cell.then(Step::Answer(Typed::Mailed), Outcome::Right).mails(1),
            _ => cell.then(Step::Answer(Typed::Derived), Outcome::Wrong).failures(1),
        };
        cells.push(ends(
            cell("stopped before it is counted", true)
                .but(Step::Table(vec![TableDoes::Ignored], None))
                .then(stopped(Step::Begin), Outcome::Stopped)
                .but(AGAIN)
                .then(Step::Again, Outcome::Challenge),
        ));
        let mut counted = cell("stopped when it was counted", true)
            .but(Step::Table(vec![TableDoes::Slow(SLOW)], None))
            .then(stopped(Step::Begin), Outcome::Stopped)
            .but(AGAIN)
            .then(Step::Again, Outcome::Challenge);
        counted.left.counted = Some(1);
        cells.push(counted.clone().mails(0));
        counted.what = format!("stopped when it was counted, and then asked for the mail, {who}");
        counted.left.counted = Some(2);
        cells.push(ends(counted.then(Step::Resend, Outcome::Challenge)));
        for (table, has_table) in TABLES {
            let mut connecting = cell(&format!("stopped while it connects, {table}"), has_table);
            connecting.setup.ses = Ses::DoesNotSpeakTls(vec![SesDoes::Hang]);
            // Who is not known waits for less than that, and is not stopped.
            if mails == 0 {
                continue;
            }
            connecting = connecting
                .then(stopped(Step::Begin), Outcome::Stopped)
                .but(Step::Ses(Ses::default()))
                .but(AGAIN)
                .then(Step::Again, Outcome::Challenge);
            if has_table {
                connecting = connecting.then(Step::Resend, Outcome::Challenge);
            }
            cells.push(ends(connecting));
        }
    }
    cells
}

/// F20. With a table nobody gets a second mail. Without one they may, and the newest opens the newest challenge.
fn stopped_behind_the_mail() -> Vec<Cell> {
    let mut cells = Vec::new();
    let slow = || [SesDoes::AnswerAfter(SLOW, 200, r#"{"MessageId": "1"}"#.to_owned())];
    for (table, has_table) in TABLES {
        let cell = |what: &str| Cell::new("F20", format!("{what}, {table}")).with_table(has_table).ses(slow());
        let well = Step::Ses(Ses::default());
        let ends = |cell: Cell, mails_without: usize| {
            cell.then(Step::Answer(Typed::Mailed), Outcome::Right).mails(if has_table { 1 } else { mails_without })
        };
        cells.push(ends(
            cell("stopped while SES has the mail")
                .then(stopped(Step::Begin), Outcome::Stopped)
                .but(well.clone())
                .but(AGAIN)
                .then(Step::Again, Outcome::Challenge),
            2,
        ));
        cells.push(ends(
            cell("stopped, of a resend")
                .but(Step::Given(60))
                .then(stopped(Step::Resend), Outcome::Stopped)
                .but(well)
                .but(AGAIN)
                .then(Step::Again, Outcome::Challenge),
            2,
        ));
        // With a table the second call mails nothing, so it is over before it could be stopped.
        let second = if has_table { Outcome::Challenge } else { Outcome::Stopped };
        cells.push(ends(
            cell("stopped as often as Cognito calls, but for the last")
                .then(stopped(Step::Begin), Outcome::Stopped)
                .but(AGAIN)
                .then(stopped(Step::Again), second)
                .but(AGAIN)
                .then(Step::Again, Outcome::Challenge),
            3,
        ));
    }
    cells
}

/// F21
fn lost_answers() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        for (who, person) in people() {
            let cell = |what: &str| {
                Cell::new("F21", format!("{what}, {table}, {who}")).with_table(has_table).of(person.clone())
            };
            let twice = |what: &str, before: Option<Step>, step: Step, outcome: Outcome| {
                let mut cell = cell(what);
                if let Some(before) = before {
                    cell = cell.but(before);
                }
                cell.then(step, outcome.clone()).but(AGAIN).then(Step::Again, outcome)
            };
            let is_known = who == "known";
            let started = twice("a challenge is lost", None, Step::Begin, Outcome::Challenge);
            cells.push(match (is_known, has_table) {
                (true, true) => started.then(Step::Answer(Typed::Mailed), Outcome::Right).mails(1),
                (true, false) => started.then(Step::Answer(Typed::Mailed), Outcome::Right).mails(2),
                (false, _) => started,
            });
            let again = twice("another mail is lost", Some(Step::Given(60)), Step::Resend, Outcome::Challenge);
            cells.push(again.mails(if is_known { if has_table { 1 } else { 2 } } else { 0 }));
            let right = if is_known { Outcome::Right } else { Outcome::Wrong };
            let answered = |what, typed, outcome| twice(what, Some(Step::Given(10)), Step::Answer(typed), outcome);
            let honest = answered("the verdict on the code is lost", Typed::Derived, right);
            cells.push(honest.failures(if is_known { 0 } else { 1 }));
            cells.push(answered("the verdict on a wrong answer is lost", Typed::Wrong, Outcome::Wrong).failures(1));
        }
    }
    cells
}

/// F22. Two at one moment are two sign-ins. Of answers to one challenge a table lets one be right.
fn at_the_same_moment() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        for (who, person) in people() {
            let is_known = who == "known";
            let cell = |what: String| {
                Cell::new("F22", format!("{what}, {table}, {who}")).with_table(has_table).of(person.clone())
            };
            for number in [2, 3, 5] {
                // A table lets an account have three mails at once.
                let let_through = if has_table { number.min(3) } else { number };
                let mut each = vec![Outcome::Challenge; let_through];
                each.extend(vec![error(TriggerError::TooManySignIns); number - let_through]);
                let mut starts = cell(format!("{number} starts"))
                    .then(Step::Together(number, Box::new(Step::Begin)), Outcome::Each(each))
                    .mails(if is_known { let_through } else { 0 });
                if is_known {
                    starts = starts.but(Step::EachHasItsCode);
                }
                starts.left.counted = has_table.then_some(let_through);
                cells.push(starts);
            }
            for number in [2, 8] {
                let right = match (is_known, has_table) {
                    (true, true) => 1,
                    (true, false) => number,
                    (false, _) => 0,
                };
                let each = [vec![Outcome::Right; right], vec![Outcome::Wrong; number - right]].concat();
                let answers = |typed| Step::Together(number, Box::new(Step::Answer(typed)));
                cells.push(
                    cell(format!("{number} right answers"))
                        .but(Step::Given(10))
                        .then(answers(Typed::Derived), Outcome::Each(each))
                        .failures(if is_known { 0 } else { 1 }),
                );
                // The same answer is one, however often it is given.
                cells.push(
                    cell(format!("{number} wrong answers"))
                        .but(Step::Given(10))
                        .then(answers(Typed::Wrong), Outcome::Each(vec![Outcome::Wrong; number]))
                        .failures(1),
                );
            }
        }
    }
    cells
}

/// F23, F25 and F26: a function starts where nothing answers; is frozen; serves one after the other.
fn lives_of_a_function() -> Vec<Cell> {
    let mut cells = Vec::new();
    for trigger in Trigger::ALL {
        let outcome = match trigger {
            // Eight digits are not counted by memory alone.
            Trigger::CreateAuthChallenge => error(TriggerError::Internal),
            Trigger::VerifyAuthChallengeResponse => error(TriggerError::Internal),
            Trigger::DefineAuthChallenge => Outcome::Tokens,
            Trigger::PreSignUp
            | Trigger::PreAuthentication
            | Trigger::PreTokenGeneration
            | Trigger::PostAuthentication => Outcome::GoesOn,
        };
        let name = trigger.function();
        let mut cell = Cell::new("F23", format!("no service answers while {name} starts"))
            .with_table(true)
            .set("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
            .but(Step::Given(10))
            .then(Step::Ask(trigger, Payload::Event(Vec::new())), outcome);
        cell.setup.ses = Ses::NobodyListens;
        cells.push(cell);
    }

    let kept = || SesDoes::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let frozen = |what: &str, time, has_table| {
        Cell::new("F25", format!("{what}, {}", if has_table { "with a table" } else { "without a table" }))
            .with_table(has_table)
            .then(Step::BeginBy(Person::other(1)), Outcome::Challenge)
            .but(Step::Freeze(time))
    };
    for (_, has_table) in TABLES {
        cells.push(
            frozen("the connection is closed meanwhile", MS * 400, has_table)
                .ses([kept(), taken()])
                .then(Step::Begin, Outcome::Challenge)
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .mails(1),
        );
        cells.push(
            frozen("for longer than a connection is kept", MS * 10_500, has_table)
                .then(Step::Begin, Outcome::Challenge)
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .mails(1),
        );
        cells.push(
            Cell::new("F25", format!("between two answers, {}", if has_table { "table" } else { "no table" }))
                .with_table(has_table)
                .but(Step::Given(10))
                .then(Step::Answer(Typed::Wrong), Outcome::Wrong)
                .but(Step::Freeze(MS * 400))
                .then(Step::Answer(Typed::Derived), Outcome::Right),
        );
    }

    for (table, has_table) in TABLES {
        let mut served = Cell::new("F26", format!("people in turn, {table}")).with_table(has_table);
        for number in 0..4 {
            served = served.then(Step::BeginBy(Person::other(number)), Outcome::Challenge);
        }
        served =
            served.then(Step::BeginBy(Person { name: "nobody".to_owned(), ..Person::unknown() }), Outcome::Challenge);
        served = served.then(Step::Begin, Outcome::Challenge).then(Step::BeginBy(Person::other(5)), Outcome::Challenge);
        cells.push(
            served
                .clone()
                .but(Step::EachHasItsCode)
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .then(Step::Next(vec![Round::Ours { correct: true }]), Outcome::Tokens)
                .mails(1),
        );
        served.what = format!("with a code of somebody else, {table}");
        cells.push(
            served
                .then(Step::Answer(Typed::MailedToOthers), Outcome::Wrong)
                .then(Step::Next(vec![Round::Ours { correct: false }]), Outcome::Presents)
                .mails(1)
                .failures(1),
        );
    }
    cells
}

/// F27 and F28
fn answers_stopped_and_repeated() -> Vec<Cell> {
    let mut cells = Vec::new();
    let table = |faults: &[TableDoes]| Step::Table(faults.to_vec(), None);
    let at_once = TableDoes::Slow(Duration::ZERO);
    for (what, faults) in [
        ("before it is counted", vec![TableDoes::Ignored]),
        ("when it was counted", vec![TableDoes::Slow(SLOW)]),
        ("when it was looked up", vec![at_once, TableDoes::Ignored]),
        ("when it was looked up and counted", vec![at_once, TableDoes::Slow(SLOW)]),
    ] {
        for (who, person) in people() {
            let cell = |fault, kind: &str| {
                let cell = Cell::new(fault, format!("{kind} is stopped {what}, {who}")).with_table(true);
                let cell = cell.of(person.clone()).but(Step::Given(10));
                // Looked up is what is there.
                if faults.len() > 1 { cell.but(Step::Item(|_| ())) } else { cell }
            };
            let stops = |cell: Cell, typed: Typed, verdict: Outcome| {
                cell.but(table(&faults))
                    .then(stopped(Step::Answer(typed)), Outcome::Stopped)
                    .but(AGAIN)
                    .then(Step::Again, verdict)
            };
            let wrong = stops(cell("F27", "a wrong answer"), Typed::Wrong, Outcome::Wrong);
            cells.push(wrong.clone().failures(1));
            if who == "known" {
                let mut goes_on = wrong.then(Step::Answer(Typed::Derived), Outcome::Right);
                goes_on.what += ", and then the code";
                cells.push(goes_on.failures(0));
            }
            let (verdict, failures) = if who == "known" { (Outcome::Right, 0) } else { (Outcome::Wrong, 1) };
            cells.push(stops(cell("F28", "the code"), Typed::Derived, verdict.clone()).failures(failures));
            // Cognito calls three times at most.
            let twice = cell("F28", "the code, two times,").but(table(&faults));
            let twice = twice
                .then(stopped(Step::Answer(Typed::Derived)), Outcome::Stopped)
                .but(AGAIN)
                .but(table(&[TableDoes::Slow(SLOW)]))
                .then(stopped(Step::Again), Outcome::Stopped)
                .but(AGAIN)
                .then(Step::Again, verdict);
            cells.push(twice.failures(failures));
        }
    }
    for (table, has_table) in TABLES {
        // Nobody is called again within a second, so it is somebody else who has the code.
        let second = if has_table { Outcome::Wrong } else { Outcome::Right };
        cells.push(
            Cell::new("F28", format!("the code comes twice within a second, {table}"))
                .with_table(has_table)
                .but(Step::Given(10))
                .then(Step::Answer(Typed::Derived), Outcome::Right)
                .then(Step::Again, second),
        );
    }
    cells
}

/// F29
fn define_asked_twice() -> Vec<Cell> {
    let ours = |correct| vec![Round::Ours { correct }];
    let cell = |what: &str, person: Person, seconds_ago, rounds: Vec<Round>, outcome: Outcome| {
        Cell::new("F29", what)
            .of(person)
            .but(Step::Given(seconds_ago))
            .then(Step::Next(rounds), outcome.clone())
            .then(Step::Again, outcome.clone())
            .then(Step::Together(4, Box::new(Step::Again)), Outcome::Each(vec![outcome; 4]))
    };
    vec![
        cell("about the beginning", Person::known(), 10, vec![], Outcome::Presents),
        cell("about a right answer", Person::known(), 10, ours(true), Outcome::Tokens),
        cell("about a wrong answer", Person::known(), 10, ours(false), Outcome::Presents),
        cell("about what is too late", Person::known(), 601, ours(true), Outcome::Fails),
        cell("about nobody's right answer", Person::unknown(), 10, ours(true), Outcome::Fails),
        cell("about nobody's wrong answer", Person::unknown(), 10, ours(false), Outcome::Presents),
    ]
}

/// F33
fn wrong_triggers() -> Vec<Cell> {
    let pairs = Trigger::ALL.into_iter().flat_map(|ours| Trigger::ALL.map(|other| (ours, other)));
    pairs
        .filter(|(ours, other)| ours != other)
        .map(|(ours, other)| {
            let cell = Cell::new("F33", format!("{} is attached to {}", ours.function(), other.name()));
            cell.then(Step::Ask(ours, Payload::EventOf(other)), error(TriggerError::MalformedEvent))
                .says("malformed_event")
        })
        .collect()
}
