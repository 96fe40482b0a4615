//! F34 to F49: what stands in events, from parts that are missing to people who are strange.

use auth_challenge::trigger::TriggerError;
use local_pool::trigger::Trigger;
use serde_json::{Value, json};

use super::cell::{Cell, Outcome, Payload, Person, Round, Step, Typed, error};

const CREATE: Trigger = Trigger::CreateAuthChallenge;
const VERIFY: Trigger = Trigger::VerifyAuthChallengeResponse;
const DEFINE: Trigger = Trigger::DefineAuthChallenge;

const TABLES: [(&str, bool); 2] = [("with a table", true), ("without a table", false)];

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    cells.extend(no_events());
    cells.extend(parts_that_are_missing());
    cells.extend(histories());
    cells.extend(fields_of_the_future());
    cells.extend(metadata());
    cells.extend(answers());
    cells.extend(floods());
    cells.extend(addresses());
    cells.extend(statuses());
    cells.extend(changes_in_the_middle());
    cells.extend(names());
    cells
}

fn malformed() -> Outcome {
    error(TriggerError::MalformedEvent)
}

/// What a function says of a good event at the beginning of a sign-in, and how many mails that makes.
fn good(trigger: Trigger) -> (Outcome, usize) {
    match trigger {
        CREATE => (Outcome::Challenge, 1),
        VERIFY => (Outcome::Wrong, 0),
        DEFINE => (Outcome::Presents, 0),
        Trigger::PreSignUp | Trigger::PreAuthentication | Trigger::PreTokenGeneration | Trigger::PostAuthentication => {
            (Outcome::GoesOn, 0)
        }
    }
}

fn ask(trigger: Trigger, changes: &[(&'static str, Value)]) -> Step {
    Step::Ask(trigger, Payload::Event(changes.to_vec()))
}

/// F34. The function lives on.
fn no_events() -> Vec<Cell> {
    let octets: [(&str, Vec<u8>); 9] = [
        ("nothing", Vec::new()),
        ("no JSON", b"canary of the metadata".to_vec()),
        ("null", b"null".to_vec()),
        ("an array", b"[]".to_vec()),
        ("a number", b"7".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("octets", vec![0xff, 0x00, 0xfe]),
        ("depth", "[".repeat(100_000).into_bytes()),
        ("a word of an event", br#"{"triggerSource": "canary.person@mail.example.com"}"#.to_vec()),
    ];
    let mut cells = Vec::new();
    for trigger in Trigger::ALL {
        let (outcome, mails) = good(trigger);
        let mut cell = |what: &str, payload| {
            let cell = Cell::new("F34", format!("{} is given {what}", trigger.function()));
            let step = Step::Ask(trigger, payload);
            cells.push(
                cell.then(step, malformed())
                    .then(ask(trigger, &[]), outcome.clone())
                    .mails(mails)
                    .says("malformed_event"),
            );
        };
        for (what, octets) in &octets {
            cell(what, Payload::Octets(octets.clone()));
        }
        cell("half an event", Payload::Cut(200));
        for (what, place, value) in [
            ("a request that is none", "/request", json!([])),
            ("a caller that is none", "/callerContext", json!("none")),
            ("attributes that are none", "/request/userAttributes", json!(["canary.person@mail.example.com"])),
            ("an attribute that is no text", "/request/userAttributes", json!({"email_verified": true})),
        ] {
            cell(what, Payload::Event(vec![(place, value)]));
        }
    }
    cells
}

/// F35
fn parts_that_are_missing() -> Vec<Cell> {
    let mut cells = Vec::new();
    let null = |place| vec![(place, Value::Null)];
    for trigger in Trigger::ALL {
        let (outcome, mails) = good(trigger);
        for place in [
            "/request/clientMetadata",
            "/request/validationData",
            "/request/session",
            "/request/userNotFound",
            "/request/privateChallengeParameters",
            "/request/challengeAnswer",
            "/request/challengeName",
            "/response",
        ] {
            let cell = Cell::new("F35", format!("{}: {place} is null", trigger.function()));
            cells.push(cell.then(ask(trigger, &null(place)), outcome.clone()).mails(mails));
        }
        // Who has no attributes has no address.
        let cell = Cell::new("F35", format!("{}: no attributes", trigger.function()));
        cells.push(cell.then(ask(trigger, &null("/request/userAttributes")), outcome.clone()));
        let cell = Cell::new("F35", format!("{}: nothing in the request", trigger.function()));
        cells.push(cell.then(ask(trigger, &[("/request", json!({}))]), outcome.clone()));
    }
    for (table, has_table) in TABLES {
        // The code is there, and right.
        for (place, outcome, failures) in [
            ("/request/clientMetadata", Outcome::Right, 0),
            ("/request/userNotFound", Outcome::Right, 0),
            ("/request/privateChallengeParameters", Outcome::Wrong, 0),
            ("/request/challengeAnswer", Outcome::Wrong, 1),
        ] {
            cells.push(
                Cell::new("F35", format!("of an answer, {place} is null, {table}"))
                    .with_table(has_table)
                    .but(Step::Given(10))
                    .then(ask(VERIFY, &null(place)), outcome)
                    .failures(failures),
            );
        }
    }
    let right = |what, changes: &[(&'static str, Value)]| {
        let cell = Cell::new("F35", format!("after a right answer, {what}")).but(Step::Given(10));
        cell.then(ask(DEFINE, changes), Outcome::Fails)
    };
    cells.push(right("no attributes", &null("/request/userAttributes")));
    cells.push(right("no metadata of the challenge", &[("/request/session/0/challengeMetadata", Value::Null)]));
    cells.push(right("no name of the challenge", &[("/request/session/0/challengeName", Value::Null)]));
    cells
}

/// F36 and F40
fn histories() -> Vec<Cell> {
    let (ours, null) = (|correct| Round::Ours { correct }, || Round::This(Value::Null));
    let next = |fault, what: &str, rounds: Vec<Round>, outcome| {
        Cell::new(fault, format!("define-auth-challenge: {what}"))
            .but(Step::Given(10))
            .then(Step::Next(rounds), outcome)
    };
    let foreign = |name: &str, result| {
        Round::This(json!({"challengeName": name, "challengeResult": result, "challengeMetadata": null}))
    };
    let mut cells = vec![
        next("F36", "a null", vec![null()], Outcome::Fails),
        next("F36", "a null before the right answer", vec![null(), ours(true)], Outcome::Fails),
        next("F36", "a null behind it", vec![ours(true), null()], Outcome::Fails),
        next("F36", "a null between answers", vec![ours(false), null(), ours(true)], Outcome::Fails),
        next("F36", "a round of nobody's", vec![foreign("CUSTOM_CHALLENGE", true)], Outcome::Fails),
        next("F36", "a right SMS code", vec![foreign("SMS_MFA", true)], Outcome::Fails),
        next("F36", "a password, and nothing else", vec![foreign("PASSWORD_VERIFIER", true)], Outcome::Fails),
        next("F36", "two right answers", vec![ours(true), ours(true)], Outcome::Fails),
    ];
    for number in [13, 1_000] {
        cells.push(next("F40", &format!("{number} wrong answers"), vec![ours(false); number], Outcome::Fails));
        let rounds = [vec![ours(false); number], vec![ours(true)]].concat();
        cells.push(next("F40", &format!("{number} wrong answers and a right one"), rounds, Outcome::Fails));
        cells.push(next("F40", &format!("{number} nulls"), vec![null(); number], Outcome::Fails));
    }
    let round = json!({"challengeName": "CUSTOM_CHALLENGE", "challengeResult": false, "challengeMetadata": "1.code"});
    for (fault, what, session) in [
        ("F36", "a null", json!([null])),
        ("F36", "a round of nobody's", json!([round])),
        ("F40", "13 rounds", json!(vec![round.clone(); 13])),
        ("F40", "1000 rounds", json!(vec![round.clone(); 1_000])),
        ("F40", "1000 nulls", json!(vec![Value::Null; 1_000])),
    ] {
        for (table, has_table) in TABLES {
            cells.push(
                Cell::new(fault, format!("create-auth-challenge: {what}, {table}"))
                    .with_table(has_table)
                    .then(ask(CREATE, &[("/request/session", session.clone())]), error(TriggerError::Internal)),
            );
        }
    }
    cells
}

/// F37. That unknown fields come back is looked at in every cell.
fn fields_of_the_future() -> Vec<Cell> {
    let mut cells = Vec::new();
    for trigger in Trigger::ALL {
        let (outcome, mails) = good(trigger);
        let changes = [
            ("/added", json!({"by": ["Cognito", 1, null]})),
            ("/callerContext/added", json!(true)),
            ("/request/added", json!(METADATA)),
        ];
        cells.push(
            Cell::new("F37", format!("{}: fields that nobody knew", trigger.function()))
                .then(ask(trigger, &changes), outcome.clone())
                .mails(mails),
        );
        let source = |source: &str| ask(trigger, &[("/triggerSource", json!(source))]);
        let cell = |what: &str| Cell::new("F37", format!("{}: {what}", trigger.function()));
        cells.push(cell("a source that is none").then(source(METADATA), malformed()).says("malformed_event"));
        // Each version has an answer of its own only where tokens are concerned.
        let (outcome, mails) = if trigger == Trigger::PreTokenGeneration { (malformed(), 0) } else { good(trigger) };
        let version = ask(trigger, &[("/version", json!("9"))]);
        cells.push(cell("a version of tomorrow").then(version, outcome).mails(mails));
        let unheard = format!("{}_Tomorrow", trigger.name());
        if trigger != Trigger::PreTokenGeneration {
            cells.push(cell("a source that nobody has heard of").then(source(&unheard), malformed()));
        }
    }
    let tomorrow = ask(Trigger::PreTokenGeneration, &[("/triggerSource", json!("TokenGeneration_Tomorrow"))]);
    let tokens = |what: &str| Cell::new("F37", format!("pre-token-generation: a source of tomorrow, {what}"));
    cells.push(tokens("by any way").then(tomorrow.clone(), Outcome::GoesOn));
    let refused = error(TriggerError::SignInNotAllowed);
    cells.push(tokens("by codes only").set("ONLY_BY_CODE", "true").then(tomorrow, refused));
    cells
}

const METADATA: &str = super::cell::METADATA;

/// F38. What is too much is as if it was not there.
fn metadata() -> Vec<Cell> {
    let long = "x".repeat(131_072);
    let too_long = json!({
        "action": long, "locale": long, "signInMethod": long, "Amplify.Passwordless.signInMethod": long,
    });
    let many: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("key {n}"), json!(METADATA))).collect();
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        for (what, given) in [("values of 131,072 octets", too_long.clone()), ("1,000 keys", many.clone().into())] {
            let place = [("/request/clientMetadata", given.clone())];
            let cell = |trigger: Trigger| {
                Cell::new("F38", format!("{}: {what}, {table}", trigger.function())).with_table(has_table)
            };
            cells.push(
                cell(CREATE)
                    .then(ask(CREATE, &place), Outcome::Challenge)
                    .then(Step::Answer(Typed::Mailed), Outcome::Right)
                    .mails(1),
            );
            cells.push(cell(VERIFY).but(Step::Given(10)).then(ask(VERIFY, &place), Outcome::Right));
            cells.push(cell(DEFINE).but(Step::Given(10)).then(ask(DEFINE, &place), Outcome::Tokens));
            let validation = [("/request/validationData", given)];
            let trigger = Trigger::PreAuthentication;
            cells.push(cell(trigger).then(ask(trigger, &validation), Outcome::GoesOn));
        }
        for trigger in [CREATE, VERIFY, DEFINE] {
            let strange = json!({"action": ["RESEND", METADATA]});
            cells.push(
                Cell::new("F38", format!("{}: values that are no texts, {table}", trigger.function()))
                    .with_table(has_table)
                    .then(ask(trigger, &[("/request/clientMetadata", strange)]), malformed()),
            );
        }
    }
    cells
}

/// F39. Only the code is right, however people type it.
fn answers() -> Vec<Cell> {
    let mut cells = Vec::new();
    let this = |value: Value| Typed::This(value);
    let wrong: [(&str, Typed); 14] = [
        ("131,072 digits", this("7".repeat(131_072).into())),
        ("a NUL", this("4831\u{0}0937".into())),
        ("from right to left", Typed::Spelled(|code| format!("\u{202e}{code}x\u{202c}"))),
        ("emoji", this("🔑🔑🔑🔑🔑🔑🔑🔑".into())),
        ("an array with the code", this(json!(["4831 0937"]))),
        ("an object", this(json!({"code": "4831 0937"}))),
        ("a number", this(json!(48_310_937))),
        ("true", this(json!(true))),
        ("null", this(Value::Null)),
        ("nothing", this("".into())),
        ("spaces", this("        ".into())),
        ("the beginning of the code", Typed::Spelled(|code| code.chars().take(5).collect())),
        ("the code and more", Typed::Spelled(|code| format!("{code}{code}"))),
        ("words around the code", Typed::Spelled(|code| format!("code is {code}"))),
    ];
    let right: [(&str, Typed); 5] = [
        ("the code without spaces", Typed::Spelled(|code| code.replace(' ', ""))),
        ("the code with hyphens", Typed::Spelled(|code| code.replace(' ', "-"))),
        ("the code in small letters", Typed::Spelled(str::to_lowercase)),
        ("the code with spaces around", Typed::Spelled(|code| format!("  {code} "))),
        (
            "the code, symbol by symbol",
            Typed::Spelled(|code| code.chars().map(|symbol| format!("{symbol} ")).collect()),
        ),
    ];
    for (table, has_table) in TABLES {
        let cell = |what: &str, who: &str, person: Person| {
            let cell = Cell::new("F39", format!("{what}, {who}, {table}")).with_table(has_table);
            cell.of(person).but(Step::Given(10))
        };
        for (what, typed) in &wrong {
            for (who, person) in [("known", Person::known()), ("unknown", Person::unknown())] {
                let cell = cell(what, who, person).then(Step::Answer(typed.clone()), Outcome::Wrong);
                cells.push(cell.failures(1));
            }
        }
        for (what, typed) in &right {
            cells.push(cell(what, "known", Person::known()).then(Step::Answer(typed.clone()), Outcome::Right));
            let nobody = cell(what, "unknown", Person::unknown());
            cells.push(nobody.then(Step::Answer(typed.clone()), Outcome::Wrong).failures(1));
        }
    }
    let mut half_a_character = br#"{"version": "1", "request": {"challengeAnswer": ""#.to_vec();
    half_a_character.extend(b"\\ud800\"}}");
    cells.push(
        Cell::new("F39", "half a character").then(Step::Ask(VERIFY, Payload::Octets(half_a_character)), malformed()),
    );
    cells
}

/// F41. Three mails at once, then no more; who has a mail gets in.
fn floods() -> Vec<Cell> {
    let mut cells = Vec::new();
    let people = [("known", Person::known()), ("unknown", Person::unknown()), ("unverified", Person::unverified())];
    for (table, has_table) in TABLES {
        for (who, person) in people.clone() {
            let is_known = who == "known";
            let mut cell =
                Cell::new("F41", format!("ten sign-ins in a row, {who}, {table}")).with_table(has_table).of(person);
            let let_through = if has_table { 3 } else { 10 };
            for number in 0..10 {
                let limited = number >= let_through;
                let outcome = if limited { error(TriggerError::TooManySignIns) } else { Outcome::Challenge };
                cell = cell.then(Step::Begin, outcome);
            }
            cell.left.counted = has_table.then_some(let_through);
            cell.twins = Some(format!("F41 {table}"));
            if is_known {
                cell = cell.then(Step::Answer(Typed::Mailed), Outcome::Right).mails(let_through);
            }
            cells.push(cell);
        }
    }
    cells
}

/// F42 to F45. Whose address is none we would mail to is like somebody who does not exist.
fn addresses() -> Vec<Cell> {
    let long = format!("{}@mail.example.com", "x".repeat(2_048));
    let no_mail: [(&str, &str, &str); 25] = [
        ("F42", "empty", ""),
        ("F42", "spaces", "   "),
        ("F42", "2,048 characters", &long),
        ("F42", "no sign in it", "canary.person.mail.example.com"),
        ("F44", "a domain in umlauts", "canary.person@bücher.example"),
        ("F44", "a name in umlauts", "cänary.person@mail.example.com"),
        ("F44", "a wide sign", "canary.person＠mail.example.com"),
        ("F44", "a wide dot", "canary.person@mail。example.com"),
        ("F44", "a turn of direction", "canary\u{202e}.person@mail.example.com"),
        ("F45", "quotes", "\"canary person\"@mail.example.com"),
        ("F45", "quotes around another address", "\"eve@attacker.example\"@mail.example.com"),
        ("F45", "a comment", "canary.person(of a kind)@mail.example.com"),
        ("F45", "a list", "canary.person@mail.example.com,eve@attacker.example"),
        ("F45", "a list with a semicolon", "canary.person@mail.example.com;eve@attacker.example"),
        ("F45", "angle brackets", "<canary.person@mail.example.com>"),
        ("F45", "a name and angle brackets", "Canary <canary.person@mail.example.com>"),
        ("F45", "a route by percent", "canary.person%attacker.example@mail.example.com"),
        ("F45", "a route by exclamation mark", "attacker.example!canary.person@mail.example.com"),
        ("F45", "a source route", "@attacker.example:canary.person@mail.example.com"),
        ("F45", "two signs", "canary.person@attacker.example@mail.example.com"),
        ("F45", "a line break", "canary.person@mail.example.com\r\nBcc: eve@attacker.example"),
        ("F45", "a NUL", "canary.person@mail.example.com\u{0}"),
        ("F45", "an encoded word", "=?utf-8?q?canary?=@mail.example.com"),
        ("F45", "a number for a domain", "canary.person@[127.0.0.1]"),
        ("F45", "a domain of one label", "canary.person@localhost"),
    ];
    let mail: [(&str, &str, &str); 5] = [
        ("F44", "a domain in its A-label form", "canary.person@xn--bcher-kva.example"),
        ("F45", "a tag", "canary.person+tag@mail.example.com"),
        ("F45", "an apostrophe", "canary.o'person@mail.example.com"),
        ("F45", "capitals", "Canary.Person@Mail.Example.COM"),
        (
            "F45",
            "the longest name",
            "canary.person.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx@mail.example.com",
        ),
    ];
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        let cell = |fault, what: &str, person: Person| {
            Cell::new(fault, format!("{what}, {table}")).with_table(has_table).of(person)
        };
        // Nobody is told, nothing is mailed, and nothing is right.
        let nobody = |cell: Cell| {
            cell.then(Step::Begin, Outcome::Challenge).then(Step::Answer(Typed::Derived), Outcome::Wrong).failures(1)
        };
        for (fault, what, address) in no_mail {
            cells.push(nobody(cell(fault, what, Person::known().with("email", address))).says("mail_withheld"));
        }
        cells.push(nobody(cell("F42", "missing", Person::known().without("email"))));
        cells.push(nobody(cell("F42", "null", Person::known().with("email", Value::Null))));
        cells.push(cell("F42", "a number", Person::known().with("email", 7)).then(Step::Begin, malformed()));
        for (fault, what, address) in mail {
            cells.push(
                cell(fault, what, Person::known().with("email", address))
                    .then(Step::Begin, Outcome::Challenge)
                    .then(Step::Answer(Typed::Mailed), Outcome::Right)
                    .mails(1),
            );
        }
        for spelling in ["True", "TRUE", "1", "yes", "", " true", "true ", "false", "t"] {
            let person = Person::known().with("email_verified", spelling);
            cells.push(nobody(cell("F43", &format!("verified: {spelling:?}"), person)));
        }
        cells.push(nobody(cell("F43", "verified: not said", Person::known().without("email_verified"))));
        cells.push(
            cell("F43", "verified: no text", Person::known().with("email_verified", true))
                .then(Step::Begin, malformed()),
        );
    }
    cells
}

/// F46
fn statuses() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        for (status, is_known) in [
            ("CONFIRMED", true),
            ("FORCE_CHANGE_PASSWORD", true),
            ("RESET_REQUIRED", true),
            ("UNCONFIRMED", false),
            ("EXTERNAL_PROVIDER", false),
            ("ARCHIVED", false),
            ("COMPROMISED", false),
            ("UNKNOWN", false),
            ("TOMORROW", false),
            ("", false),
        ] {
            let mut cell = Cell::new("F46", format!("{status:?}, {table}"))
                .with_table(has_table)
                .of(Person::known().with("cognito:user_status", status))
                .then(Step::Begin, Outcome::Challenge);
            cell.twins = Some(format!("F46 {table}"));
            cells.push(if is_known {
                cell.then(Step::Answer(Typed::Mailed), Outcome::Right).mails(1)
            } else {
                cell.then(Step::Answer(Typed::Derived), Outcome::Wrong).failures(1)
            });
        }
    }
    cells
}

/// F47 and F48
fn changes_in_the_middle() -> Vec<Cell> {
    let mut cells = Vec::new();
    let right = || Step::Next(vec![Round::Ours { correct: true }]);
    let moved = |person: Person| person.with("email", "canary.moved@mail.example.com");
    for (table, has_table) in TABLES {
        let begun = |fault, what: &str, person: Person| {
            Cell::new(fault, format!("{what}, {table}"))
                .with_table(has_table)
                .of(person)
                .then(Step::Begin, Outcome::Challenge)
                .mails(1)
        };
        cells.push(
            begun("F47", "deleted before the answer", Person::known())
                .but(Step::Become(Person::unknown()))
                .then(Step::Answer(Typed::Mailed), Outcome::Wrong)
                .then(right(), Outcome::Fails)
                .failures(1),
        );
        cells.push(
            begun("F47", "deleted behind the right answer", Person::known())
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .but(Step::Become(Person::unknown()))
                .then(right(), Outcome::Fails),
        );
        cells.push(
            begun("F47", "deleted before another mail", Person::known())
                .but(Step::Become(Person::unknown()))
                .then(Step::Resend, Outcome::Challenge),
        );
        cells.push(
            begun("F48", "a code belongs to the account, not to the address", Person::known())
                .but(Step::Become(moved(Person::known())))
                .then(Step::Answer(Typed::Mailed), Outcome::Right)
                .then(right(), Outcome::Tokens),
        );
    }
    // Where a code is to prove an address, it proves the one that it was mailed to.
    let marked = Step::Ask(Trigger::PostAuthentication, Payload::Event(Vec::new()));
    let proves = |what: &str| {
        Cell::new("F48", format!("to prove an address, {what}"))
            .with_table(true)
            .set("VERIFY_BY_CODE", "true")
            .of(Person::unverified())
            .then(Step::Begin, Outcome::Challenge)
            .mails(1)
    };
    let mut stays = proves("which stays")
        .then(Step::Answer(Typed::Mailed), Outcome::Right)
        .then(right(), Outcome::Tokens)
        .then(marked.clone(), Outcome::GoesOn)
        .says("address_verified");
    stays.left.marked = 1;
    cells.push(stays);
    cells.push(
        proves("which changes before the answer")
            .but(Step::Become(moved(Person::unverified())))
            .then(Step::Answer(Typed::Mailed), Outcome::Wrong)
            .then(right(), Outcome::Fails)
            .then(marked.clone(), Outcome::GoesOn)
            .says("address_not_proved"),
    );
    cells.push(
        proves("which changes behind it")
            .then(Step::Answer(Typed::Mailed), Outcome::Right)
            .but(Step::Become(moved(Person::unverified())))
            .then(marked, Outcome::GoesOn)
            .says("address_not_proved"),
    );
    cells
}

/// F49
fn names() -> Vec<Cell> {
    let long = "n".repeat(128);
    let longest = "名".repeat(128);
    let mut cells = Vec::new();
    for (table, has_table) in TABLES {
        for (what, name) in [
            ("128 characters", long.as_str()),
            ("128 characters of three octets", longest.as_str()),
            ("emoji", "👩‍💻👩‍💻👩‍💻"),
            ("from right to left", "مستخدم\u{202e}admin"),
            ("a NUL and a line break", "canary\u{0}name\r\nof a user"),
            ("what looks like a path", "../../canary/of/a/name"),
            ("an address", "canary.name@mail.example.com"),
        ] {
            cells.push(
                Cell::new("F49", format!("{what}, {table}"))
                    .with_table(has_table)
                    .of(Person { name: name.to_owned(), ..Person::known() })
                    .then(Step::Begin, Outcome::Challenge)
                    .then(Step::Answer(Typed::Mailed), Outcome::Right)
                    .then(Step::Next(vec![Round::Ours { correct: true }]), Outcome::Tokens)
                    .mails(1),
            );
        }
    }
    cells
}
