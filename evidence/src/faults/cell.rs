//! What a cell of the matrix is made of: what is deployed, what happens, and what must come of it. Only words; what they mean is done
//! in [`super::world`].

use std::ops::RangeInclusive;
use std::time::Duration;

use auth_challenge::trigger::TriggerError;
use local_pool::trigger::Trigger;
use serde_json::{Map, Value, json};

use super::tls::Certificate;
use super::{SesDoes, TableDoes};

/// One run of the functions.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// `F14`.
    pub(crate) fault: &'static str,
    pub(crate) what: String,
    pub(crate) setup: Setup,
    /// Who signs in.
    pub(crate) person: Person,
    /// What happens, and what must come of it.
    pub(crate) steps: Vec<(Step, Outcome)>,
    /// What must be left behind.
    pub(crate) left: Left,
    /// Cells of the same group whose last outcome is the same must look the same, to the last key and length.
    pub(crate) twins: Option<String>,
}

/// What is deployed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) ses: Ses,
    /// Whether accounts are counted across sign-ins.
    pub(crate) has_table: bool,
    /// Settings beside those that everything needs.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Where the functions write their log, if not to us: what a shell understands behind the name of a program.
    pub(crate) log: Option<&'static str>,
}

/// How SES is found.
#[derive(Clone, Debug)]
pub(crate) enum Ses {
    /// It answers so, one after the other, the last again and again.
    Does(Vec<SesDoes>),
    /// The same, but the function wants to speak TLS.
    DoesNotSpeakTls(Vec<SesDoes>),
    /// It speaks TLS, shows this certificate, and takes every mail.
    SpeaksTls(Certificate),
    NobodyListens,
    HasNoAddress,
}

impl Default for Ses {
    fn default() -> Ses {
        Ses::Does(vec![super::taken()])
    }
}

/// Somebody, as Cognito describes them.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) not_found: bool,
    pub(crate) attributes: Map<String, Value>,
}

/// Texts that must stand nowhere but where they were put.
pub(crate) const ADDRESS: &str = "canary.person@mail.example.com";
pub(crate) const NAME: &str = "0b9e7a34-c4a8-4e1d-9f27-5d1c3e7a90bb";
pub(crate) const ATTRIBUTE: &str = "canary of an attribute";
pub(crate) const METADATA: &str = "canary of the metadata";
pub(crate) const SESSION: &str = "AYABcanary0of0a0Session";
pub(crate) const KEY: &str = "a-canary-of-a-key-with-enough-characters";
pub(crate) const NEXT_KEY: &str = "another-canary-of-a-key-with-enough-characters";
/// Where those get their mail who sign in beside the one whom a cell is about.
pub(crate) const OTHERS: &str = "@others.example.com";

impl Person {
    pub(crate) fn known() -> Person {
        let attributes = json!({
            "sub": NAME, "cognito:user_status": "CONFIRMED", "email_verified": "true", "email": ADDRESS,
            "custom:note": ATTRIBUTE,
        });
        Person { name: NAME.to_owned(), not_found: false, attributes: map(attributes) }
    }

    pub(crate) fn unknown() -> Person {
        Person { name: NAME.to_owned(), not_found: true, attributes: Map::new() }
    }

    pub(crate) fn unverified() -> Person {
        Person::known().with("email_verified", "false")
    }

    /// Another one who is known.
    pub(crate) fn other(number: usize) -> Person {
        Person { name: format!("other-{number}"), ..Person::known() }
            .with("sub", format!("other-{number}"))
            .with("email", format!("other-{number}{OTHERS}"))
    }

    pub(crate) fn with(mut self, attribute: &str, value: impl Into<Value>) -> Person {
        self.attributes.insert(attribute.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, attribute: &str) -> Person {
        self.attributes.remove(attribute);
        self
    }
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// create-auth-challenge is asked for the first challenge of a sign-in.
    Begin,
    /// The same, for somebody else.
    BeginBy(Person),
    /// create-auth-challenge is asked for another mail, when it may be had.
    Resend,
    /// verify-auth-challenge is asked about an answer to the last challenge.
    Answer(Typed),
    /// define-auth-challenge is asked what comes next.
    Next(Vec<Round>),
    /// A function is asked anything.
    Ask(Trigger, Payload),
    /// The function that was asked last is asked the same again, as Cognito does.
    Again,
    /// There is a challenge that was made so many seconds ago, or will be.
    Given(i64),
    /// Cognito has something else to say of the person.
    Become(Person),
    /// The functions are deployed anew, with these settings beside or instead of those that there were.
    Deploy(Vec<(&'static str, &'static str)>),
    /// What SES does from now on.
    Ses(Ses),
    /// What the table does: these, and then always the last.
    Table(Vec<TableDoes>, Option<TableDoes>),
    /// What stands in the table for the person.
    Item(fn(&mut Value)),
    Wait(Duration),
    /// Lambda freezes what waits for an event.
    Freeze(Duration),
    /// Lambda stops the function after so long.
    Stopped(Duration, Box<Step>),
    /// So many at the same moment.
    Together(usize, Box<Step>),
    /// Each challenge that was made is opened by one mail's code and by no other's.
    EachHasItsCode,
}

/// What somebody types.
#[derive(Clone, Debug)]
pub(crate) enum Typed {
    /// The code of the newest mail.
    Mailed,
    /// The code of the newest mail to somebody else.
    MailedToOthers,
    /// The code of the challenge, which nobody but we can know where it was not mailed.
    Derived,
    /// The code in other characters.
    Spelled(fn(&str) -> String),
    /// What is certainly not the code.
    Wrong,
    /// Whatever a client may send.
    This(Value),
}

/// A finished round, as Cognito tells it.
#[derive(Clone, Debug)]
pub(crate) enum Round {
    /// Of the last challenge.
    Ours {
        correct: bool,
    },
    This(Value),
}

/// What a function is given.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// What Cognito would send, but for these places.
    Event(Vec<(&'static str, Value)>),
    /// The event of another trigger.
    EventOf(Trigger),
    /// The first so many octets of an event.
    Cut(usize),
    Octets(Vec<u8>),
}

/// What must come of a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Of steps that nobody is told about.
    Nothing,
    /// A challenge, as if all was well.
    Challenge,
    /// The challenge again, with this `errorCode`.
    Again(String),
    Right,
    Wrong,
    Tokens,
    Presents,
    Fails,
    /// A trigger that has nothing to say lets go on.
    GoesOn,
    /// One of our fixed texts, by its name.
    Error(String),
    /// Lambda stopped it.
    Stopped,
    /// The function does not come to its first event, and says so of this variable.
    DoesNotStart(&'static str),
    /// Of those that came together, in any order.
    Each(Vec<Outcome>),
    /// What no function of ours says.
    Foreign(String),
}

pub(crate) fn error(error: TriggerError) -> Outcome {
    Outcome::Error(format!("{error:?}"))
}

pub(crate) fn again(code: &str) -> Outcome {
    Outcome::Again(code.to_owned())
}

/// What must be left behind.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    /// Mails that may be on their way to the person.
    pub(crate) mails: RangeInclusive<usize>,
    /// How often SES was asked, if that is more.
    pub(crate) requests: Option<usize>,
    /// Wrong answers that the table has counted. An honest person has none.
    pub(crate) failures: u64,
    /// Mails that the table has counted.
    pub(crate) counted: Option<usize>,
    /// Addresses that Cognito was told to mark.
    pub(crate) marked: usize,
    /// Whether the table has what it had when [`Step::Item`] was done.
    pub(crate) item_stays: bool,
    /// A word that the log must say.
    pub(crate) says: Option<&'static str>,
}

impl Default for Left {
    fn default() -> Left {
        Left { mails: 0..=0, requests: None, failures: 0, counted: None, marked: 0, item_stays: false, says: None }
    }
}

impl Cell {
    /// A cell without a step, for somebody who is known, without a table, on a good day.
    pub(crate) fn new(fault: &'static str, what: impl Into<String>) -> Cell {
        let (setup, left) = (Setup::default(), Left::default());
        Cell { fault, what: what.into(), setup, person: Person::known(), steps: Vec::new(), left, twins: None }
    }

    /// And then this happens, and comes to that.
    pub(crate) fn then(mut self, step: Step, outcome: Outcome) -> Cell {
        self.steps.push((step, outcome));
        self
    }

    /// And then this happens, which nobody is told about.
    pub(crate) fn but(self, step: Step) -> Cell {
        self.then(step, Outcome::Nothing)
    }

    pub(crate) fn with_table(mut self, has_table: bool) -> Cell {
        self.setup.has_table = has_table;
        self
    }

    pub(crate) fn ses(mut self, does: impl Into<Vec<SesDoes>>) -> Cell {
        self.setup.ses = Ses::Does(does.into());
        self
    }

    pub(crate) fn set(mut self, variable: &'static str, value: impl Into<String>) -> Cell {
        self.setup.variables.push((variable, value.into()));
        self
    }

    pub(crate) fn of(mut self, person: Person) -> Cell {
        self.person = person;
        self
    }

    pub(crate) fn mails(mut self, mails: usize) -> Cell {
        self.left.mails = mails..=mails;
        self
    }

    /// How many wrong answers are counted, where there is a table.
    pub(crate) fn failures(mut self, failures: u64) -> Cell {
        self.left.failures = if self.setup.has_table { failures } else { 0 };
        self
    }

    pub(crate) fn says(mut self, word: &'static str) -> Cell {
        self.left.says = Some(word);
        self
    }

    /// Its name in reports.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.fault, self.what)
    }
}
