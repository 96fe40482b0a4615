//! One cell, done: the services that misbehave, the functions as processes of their own behind the Lambda Runtime API, and a look at
//! what is left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use auth_challenge::challenge::{ChallengeKind, ChallengeState, Nonce, PRIVATE_KEY, UnixSeconds};
use auth_challenge::code::Answer;
use auth_challenge::limits::AccountKey;
use auth_challenge::settings::{ChallengeSettings, RecipientSettings, SettingsError};
use auth_challenge::trigger::TriggerError;
use auth_challenge::user::{SignIn, User};
use local_pool::lambda::{Function, FunctionConfig, Invoked, Program, StartError};
use local_pool::trigger::Trigger;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::cell::{ADDRESS, ATTRIBUTE, KEY, METADATA, NAME, NEXT_KEY, OTHERS, SESSION};
use super::cell::{Cell, Outcome, Payload, Person, Round, Ses, Step, Typed};
use super::tls::{Certificates, Door};
use super::{DynamoDb, Service, spellings};

/// Cognito waits for 5 s; half a second is for what lies between it and the function.
pub(crate) const PATIENCE: Duration = Duration::from_millis(4_500);
/// What Lambda lets a function take.
const LAMBDAS_LIMIT: Duration = Duration::from_secs(6);
/// After this what a function has written has been read.
const LAST_WORDS: Duration = Duration::from_millis(30);
/// What SES and DynamoDB say beside their errors, and nobody may repeat.
const FOREIGN: [&str; 2] = ["eve@evil.example", "identities failed the check"];

const POOL: &str = "eu-west-1_EXAMPLE";
const CLIENT: &str = "1example23456789";
const TABLE: &str = "limits";

/// The functions' programs, and how many may start at a time: all at once they would be slow.
pub(crate) struct Programs {
    pub(crate) paths: BTreeMap<&'static str, PathBuf>,
    pub(crate) starting: Semaphore,
    pub(crate) certificates: Certificates,
}

/// What came of a cell.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// What is not as it must be.
    pub(crate) problems: Vec<String>,
    /// What stands where it must not.
    pub(crate) leaks: Vec<String>,
    /// What the longest call of a function took.
    pub(crate) slowest: Duration,
    /// How often functions were asked.
    pub(crate) calls: usize,
    /// Lines of the log that were searched.
    pub(crate) lines: usize,
    /// The last challenge or error, without what differs each time; and what it was.
    pub(crate) looks: Option<(Outcome, Value)>,
}

struct World<'a> {
    programs: &'a Programs,
    variables: BTreeMap<String, String>,
    log: Option<&'static str>,
    ses: Service,
    /// Before SES, where it speaks TLS.
    door: Option<Door>,
    cognito: Service,
    table: Option<DynamoDb>,
    /// What was last put into the table.
    item: Option<Value>,
    person: Person,
    functions: BTreeMap<(Trigger, Duration), Arc<Function>>,
    said: Arc<Mutex<Vec<String>>>,
    told: Vec<String>,
    typed: BTreeSet<String>,
    /// Sealed states, the newest last.
    challenges: Vec<String>,
    /// What was asked last.
    asked: Option<Question>,
    run: Run,
}

/// A function, and what it is asked.
#[derive(Clone)]
struct Question {
    trigger: Trigger,
    payload: Vec<u8>,
    /// Whether it is about the person of the cell.
    ours: bool,
}

pub(crate) async fn run(cell: &Cell, programs: &Programs, log_level: &str) -> Run {
    let mut world = World::new(cell, programs, log_level).await;
    for (number, (step, expected)) in cell.steps.iter().enumerate() {
        match world.perform(step).await {
            Ok(outcome) if outcome == *expected => {}
            Ok(outcome) => {
                world
                    .run
                    .problems
                    .push(format!("step {}, {step:.60?}: {outcome:?} instead of {expected:?}", number + 1));
                break;
            }
            Err(why) => {
                world.run.problems.push(format!("step {}, {step:.60?}: {why}", number + 1));
                break;
            }
        }
    }
    sleep(LAST_WORDS).await;
    world.look_at_what_is_left(cell);
    world.look_for_leaks(cell);
    world.run
}

impl<'a> World<'a> {
    async fn new(cell: &Cell, programs: &'a Programs, log_level: &str) -> World<'a> {
        let ses = Service::start([]).await;
        let door = match cell.setup.ses {
            Ses::SpeaksTls(_) => Door::open(&ses.url, &programs.certificates).await.ok(),
            Ses::Does(_) | Ses::DoesNotSpeakTls(_) | Ses::NobodyListens | Ses::HasNoAddress => None,
        };
        let cognito = Service::start([super::SesDoes::Answer(200, "{}".to_owned())]).await;
        let table = if cell.setup.has_table { Some(DynamoDb::start().await) } else { None };
        let mut variables = BTreeMap::from(
            [
                ("CODE_KEY", KEY),
                ("SES_FROM_ADDRESS", "sign-in@example.com"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "example"),
                ("AWS_LAMBDA_LOG_LEVEL", log_level),
                ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &cognito.url),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        if let Some(table) = &table {
            variables.insert("LIMITS_TABLE".to_owned(), TABLE.to_owned());
            variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), table.url.clone());
        }
        variables.extend(cell.setup.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let mut world = World {
            programs,
            variables,
            log: cell.setup.log,
            ses,
            door,
            cognito,
            table,
            item: None,
            person: cell.person.clone(),
            functions: BTreeMap::new(),
            said: Arc::default(),
            told: Vec::new(),
            typed: BTreeSet::new(),
            challenges: Vec::new(),
            asked: None,
            run: Run::default(),
        };
        world.turn_ses(&cell.setup.ses);
        world
    }

    fn turn_ses(&mut self, ses: &Ses) {
        let mut url = self.ses.url.clone();
        match ses {
            Ses::Does(deeds) => self.ses.does(deeds.clone()),
            Ses::DoesNotSpeakTls(deeds) => {
                self.ses.does(deeds.clone());
                url = url.replace("http:", "https:");
            }
            Ses::SpeaksTls(certificate) => {
                self.ses.does([super::taken()]);
                if let Some(door) = &self.door {
                    door.show(&self.programs.certificates, *certificate);
                    url.clone_from(&door.url);
                }
                let bundle = self.programs.certificates.bundle.display().to_string();
                self.variables.insert("AWS_CA_BUNDLE".to_owned(), bundle);
            }
            Ses::NobodyListens => self.ses.stop(),
            Ses::HasNoAddress => url = "http://ses.invalid".to_owned(),
        }
        self.variables.insert("AWS_ENDPOINT_URL_SESV2".to_owned(), url);
    }

    /// Does a step, and tells what came of it.
    ///
    /// # Errors
    ///
    /// In words, why the step could not be done.
    async fn perform(&mut self, step: &Step) -> Result<Outcome, String> {
        match step {
            Step::Begin
            | Step::BeginBy(_)
            | Step::Resend
            | Step::Answer(_)
            | Step::Next(_)
            | Step::Ask(..)
            | Step::Again => {
                let question = self.question(step)?;
                return self.ask(&question, LAMBDAS_LIMIT).await;
            }
            Step::Stopped(after, step) => {
                let question = self.question(step)?;
                return self.ask(&question, *after).await;
            }
            Step::Together(number, step) => return self.ask_together(*number, step).await,
            Step::EachHasItsCode => self.each_has_its_code()?,
            Step::Given(seconds_ago) => self.give_challenge(*seconds_ago)?,
            Step::Become(person) => self.person = person.clone(),
            Step::Deploy(variables) => {
                self.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
                self.functions.clear();
            }
            Step::Ses(ses) => self.turn_ses(ses),
            Step::Table(faults, always) => {
                let table = self.table.as_ref().ok_or("there is no table")?;
                let mut tables = table.tables.lock().unwrap_or_else(PoisonError::into_inner);
                (tables.faults, tables.always) = (faults.iter().copied().collect(), *always);
            }
            Step::Item(change) => self.put_item(*change)?,
            Step::Wait(time) => sleep(*time).await,
            Step::Freeze(time) => self.freeze(*time).await?,
        }
        Ok(Outcome::Nothing)
    }

    async fn ask(&mut self, question: &Question, limit: Duration) -> Result<Outcome, String> {
        let function = match self.function(question.trigger, limit).await {
            Ok(function) => function,
            Err(error) => return self.not_started(&error),
        };
        let begun = Instant::now();
        let invoked = function.invoke(question.payload.clone().into()).await;
        Ok(self.heard(question, &invoked, begun.elapsed(), limit))
    }

    async fn ask_together(&mut self, number: usize, step: &Step) -> Result<Outcome, String> {
        let question = self.question(step)?;
        let function =
            self.function(question.trigger, LAMBDAS_LIMIT).await.map_err(|error| format!("does not start: {error}"))?;
        let calls: Vec<_> = (0..number)
            .map(|_| {
                let (function, payload) = (Arc::clone(&function), question.payload.clone());
                tokio::spawn(async move {
                    let begun = Instant::now();
                    (function.invoke(payload.into()).await, begun.elapsed())
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for call in calls {
            let (invoked, lasted) = call.await.map_err(|error| error.to_string())?;
            outcomes.push(self.heard(&question, &invoked, lasted, LAMBDAS_LIMIT));
        }
        outcomes.sort();
        Ok(Outcome::Each(outcomes))
    }

    /// The function that has a trigger, started if need be.
    async fn function(&mut self, trigger: Trigger, limit: Duration) -> Result<Arc<Function>, StartError> {
        if let Some(function) = self.functions.get(&(trigger, limit)) {
            return Ok(Arc::clone(function));
        }
        let path = self.programs.paths.get(trigger.function()).cloned().unwrap_or_default();
        let program = match self.log {
            None => Program::new(path),
            Some(log) => Program::from_command(&format!("exec '{}' {log}", path.display())),
        };
        let config = FunctionConfig {
            name: trigger.function().to_owned(),
            program,
            variables: self.variables.clone(),
            timeout: limit,
            max_environments: 8,
            traced: true,
        };
        let said = Arc::clone(&self.said);
        let sink = Arc::new(move |_: &str, line: &str| {
            said.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        });
        let Ok(_turn) = self.programs.starting.acquire().await else {
            return Err(StartError::TimedOut(trigger.function().to_owned()));
        };
        let function = Function::start(config, sink).await?;
        self.functions.insert((trigger, limit), Arc::clone(&function));
        Ok(function)
    }

    /// What a function says that does not start. It names the setting, and never says what it was.
    fn not_started(&mut self, error: &StartError) -> Result<Outcome, String> {
        let said = error.to_string();
        self.told.push(said.clone());
        let is_named = |variable: &&&str| {
            ["must be ", "cannot be "].iter().any(|verb| said.contains(&format!("Error: {variable} {verb}")))
                || said.contains(&format!("Error: {variable}: cannot "))
        };
        let named = auth_challenge::settings::VARIABLES.iter().find(is_named);
        named.map(|variable| Outcome::DoesNotStart(variable)).ok_or(said)
    }

    fn heard(&mut self, question: &Question, invoked: &Invoked, lasted: Duration, limit: Duration) -> Outcome {
        self.run.calls += 1;
        let (outcome, looks) = match invoked {
            Invoked::Failed(error) => self.heard_error(error),
            Invoked::Returned(reply) => self.heard_reply(question, reply),
        };
        if outcome != Outcome::Stopped || limit == LAMBDAS_LIMIT {
            self.run.slowest = self.run.slowest.max(lasted);
            if lasted >= PATIENCE {
                let took = format!("{} took {} ms", question.trigger.function(), lasted.as_millis());
                self.run.problems.push(took);
            }
        }
        if question.trigger == Trigger::CreateAuthChallenge && question.ours {
            self.run.looks = Some((outcome.clone(), looks));
        }
        outcome
    }

    fn heard_error(&mut self, error: &[u8]) -> (Outcome, Value) {
        let error: Value = serde_json::from_slice(error).unwrap_or_default();
        self.told.push(error.to_string());
        if error["errorType"] == "Sandbox.Timedout" {
            return (Outcome::Stopped, error);
        }
        let is_it = |ours: &TriggerError| {
            error["errorType"] == format!("{ours:?}").as_str() && error["errorMessage"] == ours.to_string().as_str()
        };
        let outcome = match TriggerError::ALL.into_iter().find(is_it) {
            Some(ours) => super::cell::error(ours),
            None => Outcome::Foreign(error.to_string()),
        };
        (outcome, error)
    }

    fn heard_reply(&mut self, question: &Question, reply: &[u8]) -> (Outcome, Value) {
        let foreign = |why: &str| (Outcome::Foreign(why.to_owned()), Value::Null);
        let Ok(mut reply) = serde_json::from_slice::<Value>(reply) else { return foreign("a reply that is not JSON") };
        let response = reply["response"].take();
        self.told.push(response.to_string());
        let mut event: Value = serde_json::from_slice(&question.payload).unwrap_or_default();
        event["response"] = Value::Null;
        if reply != event {
            return foreign("the event did not come back as it came");
        }
        let outcome = match question.trigger {
            Trigger::CreateAuthChallenge => {
                let Some(sealed) = response["challengeMetadata"].as_str() else { return foreign("no state") };
                if question.ours {
                    self.challenges.push(sealed.to_owned());
                }
                match response["publicChallengeParameters"]["errorCode"].as_str() {
                    Some(code) => Outcome::Again(code.to_owned()),
                    None => Outcome::Challenge,
                }
            }
            Trigger::VerifyAuthChallengeResponse => match response["answerCorrect"].as_bool() {
                Some(true) => Outcome::Right,
                Some(false) => Outcome::Wrong,
                None => return foreign("no verdict"),
            },
            Trigger::DefineAuthChallenge => {
                let is = |member: &str| response[member] == true;
                match (is("issueTokens"), is("failAuthentication"), response["challengeName"].as_str()) {
                    (true, false, None) => Outcome::Tokens,
                    (false, true, None) => Outcome::Fails,
                    (false, false, Some("CUSTOM_CHALLENGE")) => Outcome::Presents,
                    _ => return foreign("more than one next step, or none"),
                }
            }
            Trigger::PreSignUp | Trigger::PreAuthentication | Trigger::PreTokenGeneration => Outcome::GoesOn,
            Trigger::PostAuthentication => Outcome::GoesOn,
        };
        (outcome, shape(&response))
    }

    /// What a step asks of which function.
    ///
    /// # Errors
    ///
    /// In words, what is missing for it.
    fn question(&mut self, step: &Step) -> Result<Question, String> {
        let question = if let Step::Again = step {
            self.asked.clone().ok_or("nothing was asked before")?
        } else {
            self.new_question(step)?
        };
        self.asked = Some(question.clone());
        Ok(question)
    }

    fn new_question(&mut self, step: &Step) -> Result<Question, String> {
        let (trigger, event, ours) = match step {
            Step::Begin => {
                (Trigger::CreateAuthChallenge, self.event(Trigger::CreateAuthChallenge, &self.person)?, true)
            }
            Step::BeginBy(other) => {
                (Trigger::CreateAuthChallenge, self.event(Trigger::CreateAuthChallenge, other)?, false)
            }
            Step::Resend => (Trigger::CreateAuthChallenge, self.resend()?, true),
            Step::Answer(typed) => {
                let mut event = self.event(Trigger::VerifyAuthChallengeResponse, &self.person)?;
                event["request"]["challengeAnswer"] = self.typed(typed)?;
                (Trigger::VerifyAuthChallengeResponse, event, true)
            }
            Step::Next(rounds) => {
                let mut event = self.event(Trigger::DefineAuthChallenge, &self.person)?;
                let rounds: Result<Vec<Value>, String> = rounds.iter().map(|round| self.round(round)).collect();
                event["request"]["session"] = rounds?.into();
                (Trigger::DefineAuthChallenge, event, true)
            }
            Step::Ask(trigger, payload) => return self.payload(*trigger, payload),
            Step::Again
            | Step::Given(_)
            | Step::Become(_)
            | Step::Deploy(_)
            | Step::Ses(_)
            | Step::Table(..)
            | Step::Item(_)
            | Step::Wait(_)
            | Step::Freeze(_)
            | Step::Stopped(..)
            | Step::Together(..)
            | Step::EachHasItsCode => return Err("nobody is asked anything".to_owned()),
        };
        Ok(Question { trigger, payload: event.to_string().into_bytes(), ours })
    }

    fn payload(&mut self, trigger: Trigger, payload: &Payload) -> Result<Question, String> {
        let octets = match payload {
            Payload::Octets(octets) => octets.clone(),
            Payload::EventOf(other) => self.event(*other, &self.person)?.to_string().into_bytes(),
            Payload::Cut(length) => {
                let event = self.event(trigger, &self.person)?.to_string().into_bytes();
                event[..event.len().min(*length)].to_vec()
            }
            Payload::Event(changes) => {
                let mut event = self.event(trigger, &self.person)?;
                for (pointer, value) in changes {
                    let (parent, member) = pointer.rsplit_once('/').ok_or("no place in an event")?;
                    event.pointer_mut(parent).ok_or("no such place in the event")?[member] = value.clone();
                }
                event.to_string().into_bytes()
            }
        };
        Ok(Question { trigger, payload: octets, ours: true })
    }

    /// What Cognito would ask: of verify-auth-challenge whether the right code is right, of define-auth-challenge what comes after it.
    fn event(&self, trigger: Trigger, person: &Person) -> Result<Value, String> {
        let metadata = json!({"note": METADATA});
        let newest = self.challenges.last();
        let mut request = json!({"userAttributes": person.attributes, "userNotFound": person.not_found});
        let members = match trigger {
            Trigger::PreSignUp => json!({"validationData": metadata, "clientMetadata": metadata}),
            Trigger::PreAuthentication => json!({"validationData": metadata}),
            Trigger::DefineAuthChallenge => {
                let rounds = newest.map(|_| self.round(&Round::Ours { correct: true })).transpose()?;
                json!({"session": rounds.into_iter().collect::<Vec<_>>(), "clientMetadata": metadata})
            }
            Trigger::CreateAuthChallenge => {
                json!({"session": [], "challengeName": "CUSTOM_CHALLENGE", "clientMetadata": metadata})
            }
            Trigger::VerifyAuthChallengeResponse => {
                let private = newest.map_or(json!({}), |sealed| json!({PRIVATE_KEY: sealed}));
                let answer = newest.map(|sealed| self.code_of(sealed)).transpose()?.unwrap_or_default();
                json!({"privateChallengeParameters": private, "challengeAnswer": answer, "clientMetadata": metadata})
            }
            Trigger::PreTokenGeneration => json!({"groupConfiguration": {}, "clientMetadata": metadata}),
            Trigger::PostAuthentication => json!({"newDeviceUsed": false, "clientMetadata": metadata}),
        };
        if let (Value::Object(request), Value::Object(members)) = (&mut request, members) {
            request.extend(members);
        }
        let source = match trigger {
            Trigger::PreSignUp => "PreSignUp_SignUp".to_owned(),
            Trigger::PreTokenGeneration => "TokenGeneration_Authentication".to_owned(),
            Trigger::PreAuthentication
            | Trigger::DefineAuthChallenge
            | Trigger::CreateAuthChallenge
            | Trigger::VerifyAuthChallengeResponse
            | Trigger::PostAuthentication => format!("{}_Authentication", trigger.name()),
        };
        Ok(json!({
            "version": "1", "region": "eu-west-1", "userPoolId": POOL, "userName": person.name,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": CLIENT},
            "triggerSource": source, "request": request, "response": {},
            // Something that Cognito may add one day.
            "session": SESSION,
        }))
    }

    fn resend(&mut self) -> Result<Value, String> {
        // Not the time of the challenge, which is in its code.
        let earlier = |state: ChallengeState| ChallengeState {
            last_sent: UnixSeconds(state.last_sent.0.saturating_sub(60)),
            ..state
        };
        let newest = self.challenges.last().ok_or("there is no challenge")?.clone();
        let state = self.open(&newest)?;
        let sealed = self.seal(&earlier(state))?;
        self.challenges.push(sealed);
        let round = self.round(&Round::Ours { correct: false })?;
        let mut event = self.event(Trigger::CreateAuthChallenge, &self.person)?;
        event["request"]["session"] = json!([round]);
        event["request"]["clientMetadata"]["action"] = "RESEND".into();
        Ok(event)
    }

    fn round(&self, round: &Round) -> Result<Value, String> {
        Ok(match round {
            Round::This(value) => value.clone(),
            Round::Ours { correct } => json!({
                "challengeName": "CUSTOM_CHALLENGE", "challengeResult": correct,
                "challengeMetadata": self.challenges.last().ok_or("there is no challenge")?,
            }),
        })
    }

    fn typed(&mut self, typed: &Typed) -> Result<Value, String> {
        let newest = self.challenges.last().ok_or("there is no challenge")?.clone();
        let text = match typed {
            Typed::This(value) => {
                self.typed.extend(value.as_str().map(str::to_owned));
                return Ok(value.clone());
            }
            Typed::Mailed => self.mails().last().map(code_in).ok_or("there is no mail")?,
            Typed::MailedToOthers => self.mails_to(true).last().map(code_in).ok_or("there is no mail")?,
            Typed::Derived => self.code_of(&newest)?,
            Typed::Spelled(spell) => spell(&self.code_of(&newest)?),
            Typed::Wrong => {
                let code = self.code_of(&newest)?;
                let turned = |symbol: char| match symbol {
                    '0'..='8' | 'B'..='C' => char::from(symbol as u8 + 1),
                    '9' => '0',
                    ' ' => ' ',
                    _ => 'B',
                };
                code.chars().map(turned).collect()
            }
        };
        self.typed.insert(text.clone());
        Ok(text.into())
    }

    /// The mails that may be on their way to the person, the newest last.
    fn mails(&self) -> Vec<Value> {
        self.mails_to(false)
    }

    fn mails_to(&self, others: bool) -> Vec<Value> {
        let mails = self.ses.mails().into_iter();
        mails.filter(|mail| mail["Destination"]["ToAddresses"].to_string().contains(OTHERS) == others).collect()
    }

    fn setting<T>(
        &self,
        read: impl Fn(&dyn Fn(&str) -> Option<String>) -> Result<T, SettingsError>,
    ) -> Result<T, String> {
        read(&|name| self.variables.get(name).cloned()).map_err(|error| error.to_string())
    }

    fn settings(&self) -> Result<ChallengeSettings, String> {
        self.setting(|vars| ChallengeSettings::from_vars(vars))
    }

    /// The person's sign-in, and who they are, as the functions read it.
    fn sign_in(&self) -> Result<(SignIn, User), String> {
        let recipients = self.setting(|vars| RecipientSettings::from_vars(vars))?;
        let attributes: HashMap<String, String> = self
            .person
            .attributes
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let user = User::read(self.person.not_found, &attributes, &recipients);
        let sign_in = SignIn {
            user_pool_id: POOL.to_owned(),
            client_id: CLIENT.to_owned(),
            user_name: self.person.name.clone(),
            unproved: None,
        };
        Ok((sign_in.of(&user), user))
    }

    fn open(&self, sealed: &str) -> Result<ChallengeState, String> {
        let opened = ChallengeState::open(sealed, &self.settings()?.keys, &self.sign_in()?.0);
        opened.ok_or_else(|| "the challenge is none of this person's".to_owned())
    }

    fn seal(&self, state: &ChallengeState) -> Result<String, String> {
        let sealed = state.seal(&self.settings()?.keys, &self.sign_in()?.0);
        sealed.ok_or_else(|| "the key is gone".to_owned())
    }

    /// The code of a challenge, as a mail writes it. Nothing, where this person does not open it.
    fn code_of(&self, sealed: &str) -> Result<String, String> {
        let (settings, (sign_in, _)) = (self.settings()?, self.sign_in()?);
        let state = ChallengeState::open(sealed, &settings.keys, &sign_in);
        let code = state.and_then(|state| state.code(&settings.keys, &sign_in, settings.format));
        Ok(code.map(|code| code.grouped().to_string()).unwrap_or_default())
    }

    fn give_challenge(&mut self, seconds_ago: i64) -> Result<(), String> {
        let now = UnixSeconds::from(SystemTime::now());
        let made = UnixSeconds(now.0.saturating_sub_signed(seconds_ago));
        let state = ChallengeState {
            kind: ChallengeKind::Code,
            key_id: self.settings()?.keys.current.id(),
            nonce: Nonce::from([0xc7; 16]),
            issued_at: made,
            attempts: 0,
            mails: 1,
            last_sent: made,
            repeated: false,
        };
        let sealed = self.seal(&state)?;
        self.challenges.push(sealed);
        Ok(())
    }

    fn each_has_its_code(&self) -> Result<(), String> {
        let (settings, (sign_in, _)) = (self.settings()?, self.sign_in()?);
        let codes: Vec<String> = self.mails().iter().map(code_in).collect();
        for sealed in self.challenges.iter().collect::<BTreeSet<_>>() {
            let state = self.open(sealed)?;
            let code = state.code(&settings.keys, &sign_in, settings.format).ok_or("the key is gone")?;
            let right =
                codes.iter().filter(|typed| code.is_answered_by(&Answer::read(typed, settings.format.alphabet)));
            match right.count() {
                1 => {}
                others => return Err(format!("{others} of {} mails open a challenge", codes.len())),
            }
        }
        Ok(())
    }

    /// The name of the person's account in the table.
    fn account(&self) -> Result<String, String> {
        let (sign_in, user) = self.sign_in()?;
        Ok(AccountKey::new(&self.settings()?.keys.current, &sign_in, &user).name)
    }

    fn put_item(&mut self, change: fn(&mut Value)) -> Result<(), String> {
        let key = self.account()?;
        let table = self.table.as_ref().ok_or("there is no table")?;
        let mut tables = table.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let item = tables.items.entry(key.clone()).or_insert_with(|| {
            json!({"account": {"S": key}, "version": {"S": "1"}, "expires": {"N": "1"}, "counts": {"S": json!({
                "mails": [], "next_mail": 0, "failures": 0, "level": 0, "last_failure": 0, "challenges": [],
            }).to_string()}})
        });
        change(item);
        self.item = Some(item.clone());
        Ok(())
    }

    async fn freeze(&self, time: Duration) -> Result<(), String> {
        let processes: Vec<u32> = self.functions.values().flat_map(|function| function.idle_processes()).collect();
        let signal = |signal| {
            for process in &processes {
                let id = Pid::from_raw(process.cast_signed()).ok_or("no process")?;
                kill_process(id, signal).map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        };
        if processes.is_empty() {
            return Err("there is nothing to freeze".to_owned());
        }
        signal(Signal::STOP)?;
        sleep(time).await;
        signal(Signal::CONT)
    }

    fn look_at_what_is_left(&mut self, cell: &Cell) {
        let left = &cell.left;
        let mut problems = Vec::new();
        let mails = self.mails().len();
        if !left.mails.contains(&mails) {
            problems.push(format!("{mails} mails instead of {:?}", left.mails));
        }
        let to_others = |(_, mail): &(String, Value)| mail["Destination"]["ToAddresses"].to_string().contains(OTHERS);
        let requests = self.ses.requests().iter().filter(|request| !to_others(request)).count();
        if left.requests.is_some_and(|expected| expected != requests) {
            problems.push(format!("SES was asked {requests} times instead of {:?}", left.requests));
        }
        if self.cognito.requests().len() != left.marked {
            problems.push(format!("{} addresses marked instead of {}", self.cognito.requests().len(), left.marked));
        }
        if let Some(table) = &self.table {
            let tables = table.tables.lock().unwrap_or_else(PoisonError::into_inner);
            let item = self.account().ok().and_then(|account| tables.items.get(&account));
            if left.item_stays {
                if item != self.item.as_ref() {
                    problems.push("what stood in the table does not stand there any more".to_owned());
                }
            } else {
                let counts = item.and_then(|item| serde_json::from_str::<Value>(item["counts"]["S"].as_str()?).ok());
                let counts = counts.unwrap_or_default();
                let failures = counts["failures"].as_u64().unwrap_or_default();
                let mails = counts["mails"].as_array().map_or(0, Vec::len);
                if failures != left.failures {
                    problems.push(format!("{failures} wrong answers counted instead of {}", left.failures));
                }
                if left.counted.is_some_and(|expected| expected != mails) {
                    problems.push(format!("{mails} mails counted instead of {:?}", left.counted));
                }
            }
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        self.run.lines = said.len();
        if left.says.is_some_and(|word| !said.iter().any(|line| line.contains(word))) {
            problems.push(format!("the log does not say {:?}", left.says));
        }
        if said.iter().any(|line| line.contains("panicked")) {
            problems.push("a function panicked".to_owned());
        }
        drop(said);
        self.run.problems.extend(problems);
    }

    /// Looks for what must not be read in what functions wrote and returned.
    fn look_for_leaks(&mut self, cell: &Cell) {
        let mut secrets: BTreeSet<String> =
            [ADDRESS, NAME, ATTRIBUTE, METADATA, SESSION, KEY, NEXT_KEY].map(str::to_owned).into();
        secrets.extend(FOREIGN.map(str::to_owned));
        secrets.insert(self.person.name.clone());
        secrets.extend(self.person.attributes.get("email").and_then(Value::as_str).map(str::to_owned));
        secrets.extend(self.ses.mails().iter().map(code_in));
        secrets.extend(self.challenges.iter().filter_map(|sealed| self.code_of(sealed).ok()));
        secrets.extend(self.typed.iter().cloned());
        // A setting that cannot be used is named, and not said.
        if let [(_, Outcome::DoesNotStart(_))] = cell.steps[..] {
            secrets.extend(cell.setup.variables.iter().map(|(_, value)| value.clone()));
        }
        let secrets: Vec<String> = secrets
            .into_iter()
            // What is so short can stand anywhere by chance.
            .filter(|secret| secret.trim().chars().count() >= 6)
            .map(|secret| secret.chars().take(80).collect())
            .collect();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        let told = self.told.join("\n");
        for secret in &secrets {
            for (place, text) in [("in the log", &said), ("in a reply", &told)] {
                if let Some(spelling) = spellings::find(secret, text) {
                    self.run.leaks.push(format!("{spelling:?} {place}"));
                }
            }
        }
        for sealed in &self.challenges {
            if said.contains(sealed.as_str()) {
                self.run.leaks.push("a state in the log".to_owned());
            }
        }
    }
}

/// The code in a mail, as people read it.
fn code_in(mail: &Value) -> String {
    let text = mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap_or_default();
    text.lines().nth(2).unwrap_or_default().replace('\u{a0}', " ").replace(['\u{2068}', '\u{2069}'], "")
}

/// A response with the lengths of its texts in their places.
fn shape(response: &Value) -> Value {
    match response {
        Value::String(text) => text.len().into(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(values) => values.iter().map(shape).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => response.clone(),
    }
}
