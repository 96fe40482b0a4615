//! F50 to F61: keys, clocks, the table, settings, the log, and events that are not for us.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_challenge::trigger::TriggerError;
use local_pool::trigger::Trigger;
use serde_json::{Value, json};

use super::cell::{Cell, KEY, NEXT_KEY, Outcome, Payload, Person, Round, Step, Typed, again, error};
use super::{SesDoes, TableDoes};

const CREATE: Trigger = Trigger::CreateAuthChallenge;
const VERIFY: Trigger = Trigger::VerifyAuthChallengeResponse;
const DEFINE: Trigger = Trigger::DefineAuthChallenge;

const MS: Duration = Duration::from_millis(1);
const TABLES: [(&str, bool); 2] = [("with a table", true), ("without a table", false)];

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    cells.extend(keys_that_change());
    cells.extend(clocks());
    cells.extend(a_table_that_fails_for_a_moment());
    cells.extend(a_table_that_fails());
    cells.extend(items_that_are_not_ours());
    cells.extend(items_that_should_be_gone());
    cells.extend(settings());
    cells.extend(logs());
    cells.extend(events_of_others());
    cells
}

fn right() -> Step {
    Step::Next(vec![Round::Ours { correct: true }])
}

fn internal() -> Outcome {
    error(TriggerError::Internal)
}

/// F50
fn keys_that_change() -> Vec<Cell> {
    let both = || Step::Deploy(vec![("CODE_KEY", NEXT_KEY), ("CODE_KEY_PREVIOUS", KEY)]);
    let gone = || Step::Deploy(vec![("CODE_KEY", NEXT_KEY)]);
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        let begun = |what: &str| {
            let cell = Cell::new("F50", format!("{what}, {table}")).with_table(has_table);
            cell.then(Step::Begin, Outcome::Challenge).mails(1)
        };
        cells.push(
            begun("before the answer")
                .but(both())
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .then(right(), Outcome::Tokens),
        );
        cells.push(
            begun("behind the right answer")
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .but(both())
                .then(right(), Outcome::Tokens),
        );
        cells.push(
            begun("before another mail, which has the same code")
                .but(both())
                .then(Step::Resend, Outcome::Challenge)
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .mails(2),
        );
        cells.push(begun("and the new one begins").but(both()).then(Step::Begin, Outcome::Challenge).mails(2));
        cells.push(
            begun("and the old one is gone")
                .but(gone())
                .then(Step::Answer(Typed::Mailed), Outcome::Wrong)
                .then(right(), Outcome::Fails),
        );
        cells.push(
            begun("and the old one comes back")
                .but(gone())
                .then(Step::Answer(Typed::Mailed), Outcome::Wrong)
                .but(Step::Deploy(vec![("CODE_KEY", KEY), ("CODE_KEY_PREVIOUS", NEXT_KEY)]))
                .then(Step::Answer(Typed::Mailed), Outcome::Right),
        );
    }
    cells
}

/// F53. Only the difference between two clocks is ever seen.
fn clocks() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        for (what, seconds_ago, verdict) in [
            ("a clock 20 s ahead", -20, true),
            ("a clock 5 minutes ahead", -300, false),
            ("a clock a year ahead", -31_536_000, false),
            ("a clock at the end of time", i64::MIN, false),
            ("almost too late", 590, true),
            ("too late", 600, false),
            ("a clock 5 minutes behind, in time", 300, true),
            ("a clock 15 minutes behind", 900, false),
            ("a clock at the beginning of time", i64::MAX, false),
        ] {
            let cell = |of: &str| {
                let cell = Cell::new("F53", format!("{what}, {of}, {table}")).with_table(has_table);
                cell.but(Step::Given(seconds_ago))
            };
            let (answered, next) =
                if verdict { (Outcome::Right, Outcome::Tokens) } else { (Outcome::Wrong, Outcome::Fails) };
            cells.push(cell("of an answer").then(Step::Answer(Typed::Derived), answered));
            cells.push(cell("of a round").then(right(), next));
        }
        // Seen from here the last mail is yet to be sent.
        let early =
            Cell::new("F53", format!("another mail, by a clock 5 minutes ahead, {table}")).with_table(has_table);
        cells.push(early.but(Step::Given(-300)).then(Step::Resend, again("RESEND_TOO_SOON")));
        let well = Cell::new("F53", format!("another mail, by a clock 20 s ahead, {table}")).with_table(has_table);
        cells.push(well.but(Step::Given(-20)).then(Step::Resend, Outcome::Challenge).mails(1));
    }
    cells
}

/// What is asked of the table, and for whom.
struct Operation {
    what: String,
    person: Person,
    is_known: bool,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Start,
    AnotherMail,
    /// The right answer, which is wrong of nobody.
    Code,
    Slip,
}

impl Operation {
    fn all() -> Vec<Operation> {
        let mut all = Vec::new();
        for (who, person) in
            [("known", Person::known()), ("unknown", Person::unknown()), ("unverified", Person::unverified())]
        {
            for (what, kind) in [
                ("a start", Kind::Start),
                ("another mail", Kind::AnotherMail),
                ("the code", Kind::Code),
                ("a wrong answer", Kind::Slip),
            ] {
                let (what, person) = (format!("of {what}, {who}"), person.clone());
                all.push(Operation { what, person, is_known: who == "known", kind });
            }
        }
        all
    }

    /// The operation, behind what has to be there before.
    fn done(&self, cell: Cell, outcome: Outcome) -> Cell {
        match self.kind {
            Kind::Start => cell.then(Step::Begin, outcome),
            Kind::AnotherMail => cell.but(Step::Given(60)).then(Step::Resend, outcome),
            Kind::Code => cell.but(Step::Given(10)).then(Step::Answer(Typed::Derived), outcome),
            Kind::Slip => cell.but(Step::Given(10)).then(Step::Answer(Typed::Wrong), outcome),
        }
    }
}

/// F54: what a second write mends.
fn a_table_that_fails_for_a_moment() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (what, fault) in [
        ("throttles once", TableDoes::Error(400, "ProvisionedThroughputExceededException")),
        ("throttles once, in other words", TableDoes::Error(400, "ThrottlingException")),
        ("fails once", TableDoes::Error(500, "InternalServerError")),
        ("is slow once", TableDoes::Slow(MS * 300)),
        ("does not tell that it was done", TableDoes::Lost),
        ("does not answer once", TableDoes::Ignored),
    ] {
        for operation in Operation::all() {
            let cell = Cell::new("F54", format!("it {what}, {}", operation.what)).with_table(true);
            let cell = cell.of(operation.person.clone()).but(Step::Table(vec![fault], None));
            cells.push(match (operation.kind, operation.is_known) {
                (Kind::Start | Kind::AnotherMail, is_known) => {
                    let mut cell = operation.done(cell, Outcome::Challenge).mails(usize::from(is_known));
                    cell.left.counted = Some(1);
                    cell
                }
                (Kind::Code, true) => operation.done(cell, Outcome::Right),
                (Kind::Code, false) | (Kind::Slip, _) => operation.done(cell, Outcome::Wrong).failures(1),
            });
        }
    }
    cells
}

/// F54 and F56: what nothing mends. Short codes are not judged and not sent, long ones are counted by the function alone.
fn a_table_that_fails() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (fault, what, does) in [
        ("F54", "throttles", Some(TableDoes::Error(400, "ThrottlingException"))),
        ("F54", "fails", Some(TableDoes::Error(500, "InternalServerError"))),
        ("F54", "is slow", Some(TableDoes::Slow(MS * 5_000))),
        ("F54", "never tells what it did", Some(TableDoes::Lost)),
        ("F54", "never answers", Some(TableDoes::Ignored)),
        ("F54", "is not there", None),
        ("F56", "is missing", Some(TableDoes::Error(400, "ResourceNotFoundException"))),
        ("F56", "may not be written", Some(TableDoes::Error(400, "AccessDeniedException"))),
        ("F56", "is of another kind", Some(TableDoes::Error(400, "ValidationException"))),
    ] {
        let failing = |cell: Cell| match does {
            Some(does) => cell.with_table(true).but(Step::Table(vec![], Some(does))),
            None => cell.with_table(true).set("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
        };
        // It has counted, and nobody was told.
        let counts = u64::from(matches!(does, Some(TableDoes::Slow(_) | TableDoes::Lost)));
        for operation in Operation::all() {
            let cell = |codes: &str| {
                let cell = Cell::new(fault, format!("it {what}, {}, {codes}", operation.what));
                failing(cell.of(operation.person.clone())).says("limits_unavailable")
            };
            let short = cell("short codes");
            let long = cell("long codes").set("CODE_ALPHABET", "letters").set("CODE_LENGTH", "12");
            cells.extend(match (operation.kind, operation.is_known) {
                (Kind::Start, is_known) => [
                    operation.done(short, internal()),
                    operation.done(long, Outcome::Challenge).mails(usize::from(is_known)),
                ],
                (Kind::AnotherMail, is_known) => [
                    operation.done(short, again("RESEND_LIMIT")),
                    operation.done(long, Outcome::Challenge).mails(usize::from(is_known)),
                ],
                (Kind::Code, true) => [operation.done(short, internal()), operation.done(long, Outcome::Right)],
                (Kind::Code, false) | (Kind::Slip, _) => [
                    operation.done(short, internal()).failures(counts),
                    operation.done(long, Outcome::Wrong).failures(counts),
                ],
            });
        }
        // Who looks for a proof finds none, and the sign-in goes on.
        let proof = Cell::new(fault, format!("it {what}, for a proof"));
        let proof = failing(proof.set("VERIFY_BY_CODE", "true").of(Person::unverified()));
        let asked = Step::Ask(Trigger::PostAuthentication, Payload::Event(Vec::new()));
        cells.push(proof.then(asked, Outcome::GoesOn).says("address_not_marked"));
    }
    // All that takes long, together.
    let slow = |ms, status: u16, body: &str| SesDoes::AnswerAfter(Duration::from_millis(ms), status, body.to_owned());
    for (what, ses, outcome, mails) in [
        ("refuses late, twice", vec![slow(1_300, 429, "")], error(TriggerError::CodeNotSent), 0),
        ("refuses late, then says nothing", vec![slow(1_300, 429, ""), SesDoes::Hang], Outcome::Challenge, 1),
        ("says nothing", vec![SesDoes::Hang], Outcome::Challenge, 1),
    ] {
        let mut cell = Cell::new("F54", format!("it is slow, and SES {what}"))
            .with_table(true)
            .ses(ses)
            .but(Step::Item(|_| ()))
            .but(Step::Table(vec![], Some(TableDoes::Slow(MS * 550))))
            .then(Step::Begin, outcome)
            .mails(mails);
        // A table that is so slow does not take back in time what was counted.
        cell.left.counted = Some(1);
        cells.push(cell);
    }
    cells
}

/// F55
fn items_that_are_not_ours() -> Vec<Cell> {
    type Change = fn(&mut Value);
    let items: [(&str, Change); 6] = [
        ("counts of nobody's", |item| item["counts"] = json!({"S": "{}"})),
        ("counts that are no JSON", |item| item["counts"] = json!({"S": "canary of the metadata"})),
        ("counts of another type", |item| item["counts"] = json!({"N": "7"})),
        ("no counts", |item| {
            item.as_object_mut().map(|item| item.remove("counts"));
        }),
        ("a version of another type", |item| item["version"] = json!({"N": "1"})),
        ("negative counts", |item| {
            item["counts"] = json!({"S": "{\"mails\":[],\"next_mail\":-1,\"failures\":-1,\"level\":0,\"last_failure\":0,\"challenges\":[]}"});
        }),
    ];
    let mut cells = Vec::new();
    for (what, change) in items {
        for operation in Operation::all() {
            let outcome = match operation.kind {
                Kind::AnotherMail => again("RESEND_LIMIT"),
                Kind::Start | Kind::Code | Kind::Slip => internal(),
            };
            let cell = Cell::new("F55", format!("{what}, {}", operation.what)).with_table(true);
            let cell = cell.of(operation.person.clone()).but(Step::Item(change)).says("item_not_understood");
            let mut cell = operation.done(cell, outcome);
            cell.left.item_stays = true;
            cells.push(cell);
        }
    }
    cells
}

/// Now, and so many seconds before.
fn ago(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() - seconds
}

/// An account that has had all its mails and a hundred slips, so long ago.
fn used_up(item: &mut Value, seconds_ago: u64) {
    let counts = json!({
        "mails": vec![ago(seconds_ago); 20], "next_mail": ago(seconds_ago) + 60, "failures": 100, "level": 20,
        "last_failure": ago(seconds_ago), "challenges": [],
    });
    item["counts"] = json!({"S": counts.to_string()});
    item["expires"] = json!({"N": ago(seconds_ago).to_string()});
}

/// F58
fn items_that_should_be_gone() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (who, person) in [("known", Person::known()), ("unknown", Person::unknown())] {
        let cell = |what: &str| Cell::new("F58", format!("{what}, {who}")).with_table(true).of(person.clone());
        let mails = usize::from(who == "known");
        let mut start = cell("two days late, of a start").but(Step::Item(|item| used_up(item, 2 * 86_400)));
        start = start.then(Step::Begin, Outcome::Challenge).mails(mails);
        start.left.counted = Some(1);
        cells.push(start);
        let verdict = if who == "known" { Outcome::Right } else { Outcome::Wrong };
        cells.push(
            cell("two days late, of an answer")
                .but(Step::Given(10))
                .but(Step::Item(|item| used_up(item, 2 * 86_400)))
                .then(Step::Answer(Typed::Derived), verdict)
                .failures(1 - mails as u64),
        );
        // The same is counted while it is of today.
        let mut today = cell("in time, of a start").but(Step::Item(|item| used_up(item, 600)));
        today.left.item_stays = true;
        cells.push(today.then(Step::Begin, error(TriggerError::TooManySignIns)));
    }
    cells
}

/// F52 and F59: which functions read a setting, and what it must not be.
fn settings() -> Vec<Cell> {
    use Trigger::{PostAuthentication, PreAuthentication, PreSignUp, PreTokenGeneration};

    let with_keys = [CREATE, VERIFY, DEFINE, PostAuthentication];
    let counting = [CREATE, VERIFY];
    let too_long = "x".repeat(257);
    #[rustfmt::skip]
    let settings: Vec<(&str, &'static str, &str, &[Trigger])> = vec![
        ("F52", "CODE_KEY",              "",                                                  &with_keys),
        ("F52", "CODE_KEY",              "a-canary-of-31-characters-xxxxx",                   &with_keys),
        ("F52", "CODE_KEY",              "a canary of a key with spaces in it, long enough",  &with_keys),
        ("F52", "CODE_KEY",              "a-cänary-of-a-key-with-enough-characters",          &with_keys),
        ("F52", "CODE_KEY",              &too_long,                                           &with_keys),
        ("F52", "CODE_KEY",              "example-key-of-the-event-fixtures-never-deploy-it", &with_keys),
        ("F52", "CODE_KEY",              "{{resolve:secretsmanager:canary-of-a-key}}",        &with_keys),
        ("F52", "CODE_KEY_PREVIOUS",     "a-canary-too-short",                                &with_keys),
        ("F59", "CODE_ALPHABET",         "canary-alphabet",                                   &[CREATE, VERIFY, DEFINE]),
        ("F59", "CODE_LENGTH",           "5",                                                 &[CREATE, VERIFY, DEFINE]),
        ("F59", "CODE_LENGTH",           "canary-length",                                     &[CREATE, VERIFY, DEFINE]),
        ("F59", "CODE_VALIDITY_SECONDS", "601",                                               &[CREATE, VERIFY, DEFINE]),
        ("F59", "MAX_ATTEMPTS",          "0",                                                 &[CREATE, VERIFY, DEFINE]),
        ("F59", "MAX_ATTEMPTS",          "",                                                  &[CREATE, VERIFY, DEFINE]),
        ("F59", "PASSWORD_FIRST",        "canary-yes",                                        &[DEFINE, PreTokenGeneration]),
        ("F59", "MAX_MAILS",             "6",                                                 &[CREATE]),
        ("F59", "RESEND_AFTER_SECONDS",  "-30",                                               &[CREATE]),
        ("F59", "PARAMETER_ROUND",       "TRUE",                                              &[CREATE]),
        ("F59", "SHOW_DESTINATION",      "canary-all",                                        &[CREATE]),
        ("F59", "SES_FROM_ADDRESS",      "",                                                  &[CREATE]),
        ("F59", "SES_FROM_ADDRESS",      "canary.sender",                                     &[CREATE]),
        ("F59", "SES_REPLY_TO_ADDRESS",  "canary.sender",                                     &[CREATE]),
        ("F59", "SES_REGION",            "Canary-Region",                                     &[CREATE]),
        ("F59", "SES_IDENTITY_ARN",      "arn:aws:ses:canary",                                &[CREATE]),
        ("F59", "APP_NAME",              "canary\nof a name",                                 &[CREATE]),
        ("F59", "DEFAULT_LOCALE",        "canary language",                                   &[CREATE]),
        ("F59", "TEMPLATE_DIR",          "/canary/of/a/folder",                               &[CREATE]),
        ("F59", "LIMITS_TABLE",          "canary of a table",                                 &[CREATE, VERIFY, PostAuthentication]),
        ("F59", "MAIL_BURST",            "canary-11",                                         &counting),
        ("F59", "MAILS_PER_DAY",         "0",                                                 &counting),
        ("F59", "LATCH_AFTER_FAILURES",  "1000",                                              &counting),
        ("F59", "ACCEPT_RISK",           "canary-risk",                                       &counting),
        ("F59", "MAINTENANCE",           "canary-on",                                         &[DEFINE, PreAuthentication, PreSignUp, PreTokenGeneration]),
        ("F59", "ALLOWED_CLIENT_IDS",    "canary client",                                     &[DEFINE, PreAuthentication, PreSignUp, PreTokenGeneration]),
        ("F59", "BLOCKED_EMAIL_DOMAINS", "canary_domain",                                     &[CREATE, VERIFY, DEFINE, PreAuthentication, PreSignUp]),
        ("F59", "REQUIRED_CLIENT_METADATA", "=canary",                                        &[PreAuthentication]),
        ("F59", "AUTO_CONFIRM",          "canary-yes",                                        &[PreSignUp]),
        ("F59", "ONLY_BY_CODE",          "canary-yes",                                        &[PreTokenGeneration]),
        ("F59", "SIGN_IN_CLAIMS",        "canary-yes",                                        &[PreTokenGeneration]),
        ("F59", "VERIFY_BY_CODE",        "canary-yes",                                        &[CREATE, VERIFY, DEFINE, PostAuthentication]),
        ("F59", "POWERTOOLS_SERVICE_NAME", "canary service",                                  &Trigger::ALL),
    ];
    let mut cells = Vec::new();
    for (fault, variable, value, functions) in settings {
        for trigger in functions {
            let what = format!("{variable} of {} is {value:.30?}", trigger.function());
            let step = Step::Ask(*trigger, Payload::Event(Vec::new()));
            cells.push(Cell::new(fault, what).set(variable, value).then(step, Outcome::DoesNotStart(variable)));
        }
    }
    // Each can be used, and together they cannot.
    for trigger in counting {
        let cell = Cell::new("F59", format!("six digits without a table, {}", trigger.function()));
        let cell = cell.set("CODE_ALPHABET", "digits").set("CODE_LENGTH", "6");
        let step = Step::Ask(trigger, Payload::Event(Vec::new()));
        cells.push(cell.then(step.clone(), Outcome::DoesNotStart("ACCEPT_RISK")));
        let cell = Cell::new("F59", format!("a proof without a table, {}", trigger.function()));
        cells.push(cell.set("VERIFY_BY_CODE", "true").then(step, Outcome::DoesNotStart("VERIFY_BY_CODE")));
    }
    cells
}

/// F60
fn logs() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (what, log) in [("is full", ">/dev/full 2>/dev/full"), ("is closed", ">&- 2>&-")] {
        for (table, has_table) in TABLES {
            let mut cell = Cell::new("F60", format!("the log {what}, {table}")).with_table(has_table);
            cell.setup.log = Some(log);
            cells.push(
                cell.clone()
                    .then(Step::Begin, Outcome::Challenge)
                    .then(Step::Answer(Typed::Mailed), Outcome::Right)
                    .then(right(), Outcome::Tokens)
                    .mails(1),
            );
            cell.what += ", while SES fails";
            cells.push(
                cell.ses([super::refuses(400, "SendingPausedException")])
                    .then(Step::Begin, error(TriggerError::CodeNotSent)),
            );
        }
        for trigger in Trigger::ALL {
            let mut cell = Cell::new("F60", format!("the log of {} {what}", trigger.function()));
            cell.setup.log = Some(log);
            let not_json = Step::Ask(trigger, Payload::Octets(b"7".to_vec()));
            cells.push(cell.then(not_json, error(TriggerError::MalformedEvent)));
        }
    }
    cells
}

/// F61. Lambda keeps strangers away; whoever came through would find that a code opens its own pool and app client only.
fn events_of_others() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        for (what, place, value) in [
            ("another pool", "/userPoolId", "eu-west-1_ANOTHER00"),
            ("another region's pool", "/userPoolId", "us-east-1_EXAMPLE"),
            ("another app client", "/callerContext/clientId", "2another34567890"),
            ("another user", "/userName", "another"),
        ] {
            let cell = |trigger: Trigger| {
                Cell::new("F61", format!("{what}, {}, {table}", trigger.function()))
                    .with_table(has_table)
                    .but(Step::Given(60))
            };
            let changed = Payload::Event(vec![(place, json!(value))]);
            cells.push(cell(VERIFY).then(Step::Ask(VERIFY, changed.clone()), Outcome::Wrong));
            cells.push(cell(DEFINE).then(Step::Ask(DEFINE, changed), Outcome::Fails));
        }
    }
    cells
}
