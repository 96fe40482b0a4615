//! What is measured: the programs, where they come from, what they are asked, and what is right to answer.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

use crate::services::Services;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How the variables begin that cargo sets for a program that it runs. Some build scripts look at them, and would run anew each time.
const OF_A_PACKAGE: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];
/// An event that is older than this is made anew, long before the challenge in it expires.
const FRESH: Duration = Duration::from_secs(30);
/// What a zip has beside the compressed octets of its one file, `bootstrap`: two headers with its name, and the end.
const ZIP_HEADERS: usize = 30 + 46 + 22 + 2 * "bootstrap".len();

/// A program in one of the ways that it is run.
pub(crate) struct Subject {
    pub(crate) definition: &'static Definition,
    pub(crate) build: Build,
    pub(crate) program: PathBuf,
    pub(crate) octets: usize,
    pub(crate) zipped_octets: usize,
}

/// What a program is, however it was built.
pub(crate) struct Definition {
    /// The package, but for the floor.
    package: &'static str,
    /// Whether there is a limits table.
    pub(crate) has_table: bool,
    /// Whether each event ends with a mail.
    pub(crate) mails: bool,
    /// A file of `events/`.
    event: &'static str,
    is_right: fn(event: &Value, response: &Value) -> bool,
}

/// How a program was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Build {
    /// By us, as a release is.
    Release,
    /// By us, with the C library in it.
    Static,
    /// By somebody else.
    Given,
}

pub(crate) const FLOOR: &str = "floor";
pub(crate) const NO_OP: &str = "no-op";

const DEFINITIONS: [Definition; 11] = [
    Definition::of(FLOOR, "define-auth-challenge/right-answer", is_echo),
    Definition::of(NO_OP, "define-auth-challenge/right-answer", is_echo),
    Definition::of("pre-authentication", "pre-authentication/plain", |_, response| response["response"] == json!({})),
    Definition::of("define-auth-challenge", "define-auth-challenge/right-answer", |_, response| {
        response["response"]["issueTokens"] == true
    }),
    Definition::of("verify-auth-challenge", "verify-auth-challenge/right-answer", is_right_answer),
    Definition::of("verify-auth-challenge", "verify-auth-challenge/right-answer", is_right_answer).with_table(),
    Definition::of("create-auth-challenge", "create-auth-challenge/first-round", is_challenge).which_mails(),
    Definition::of("create-auth-challenge", "create-auth-challenge/first-round", is_challenge)
        .which_mails()
        .with_table(),
    Definition::of("pre-sign-up", "pre-sign-up/plain", |_, response| response["response"]["autoVerifyEmail"] == false),
    Definition::of("pre-token-generation", "pre-token-generation/sign-in", |_, response| {
        response["response"].get("claimsOverrideDetails") == Some(&Value::Null)
    }),
    Definition::of("post-authentication", "post-authentication/plain", |_, response| response["response"] == json!({})),
];

fn is_echo(event: &Value, response: &Value) -> bool {
    event == response
}

fn is_right_answer(_: &Value, response: &Value) -> bool {
    response["response"]["answerCorrect"] == true
}

fn is_challenge(_: &Value, response: &Value) -> bool {
    let response = &response["response"];
    response["challengeMetadata"].is_string() && response["publicChallengeParameters"].get("errorCode").is_none()
}

impl Definition {
    const fn of(package: &'static str, event: &'static str, is_right: fn(&Value, &Value) -> bool) -> Definition {
        Definition { package, has_table: false, mails: false, event, is_right }
    }

    const fn with_table(self) -> Definition {
        Definition { has_table: true, ..self }
    }

    const fn which_mails(self) -> Definition {
        Definition { mails: true, ..self }
    }

    /// What the tables call it.
    pub(crate) fn name(&self) -> String {
        if self.has_table { format!("{} with table", self.package) } else { self.package.to_owned() }
    }

    /// Whether it is one of the functions, and not there to compare them with.
    pub(crate) fn is_function(&self) -> bool {
        ![FLOOR, NO_OP].contains(&self.package)
    }

    /// # Errors
    ///
    /// The response is not right.
    pub(crate) fn judge(&self, event: &[u8], response: &[u8]) -> Result<()> {
        let is_right = (self.is_right)(&serde_json::from_slice(event)?, &serde_json::from_slice(response)?);
        let said = || format!("answers {} wrongly: {}", self.event, String::from_utf8_lossy(response));
        is_right.then_some(()).ok_or_else(|| said().into())
    }

    /// What Lambda sets, and the settings.
    pub(crate) fn variables(&self, services: &Services) -> BTreeMap<String, String> {
        let lambda = [
            ("AWS_LAMBDA_FUNCTION_NAME", self.package),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/measured"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            ("_HANDLER", "bootstrap"),
            ("TZ", ":UTC"),
        ];
        let settings = [
            // Published with the events, which are sealed with it.
            ("CODE_KEY", "example-key-of-the-event-fixtures-never-deploy-it"),
            ("AWS_SAM_LOCAL", "true"),
            ("CODE_ALPHABET", "digits"),
            ("CODE_LENGTH", "8"),
            ("ACCEPT_RISK", "1"),
            ("SES_FROM_ADDRESS", "sign-in@example.com"),
            ("AWS_ENDPOINT_URL_SESV2", &services.ses.url),
            ("AWS_ENDPOINT_URL_DYNAMODB", &services.table.url),
        ];
        let mut variables: BTreeMap<String, String> =
            lambda.into_iter().chain(settings).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        variables.insert("AWS_CA_BUNDLE".to_owned(), services.ca_bundle.display().to_string());
        if self.has_table {
            variables.insert("LIMITS_TABLE".to_owned(), "limits".to_owned());
        }
        variables
    }
}

impl Subject {
    fn new(definition: &'static Definition, build: Build, program: PathBuf) -> Result<Subject> {
        let content = fs::read(&program).map_err(|error| format!("cannot read {}: {error}", program.display()))?;
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&content)?;
        let zipped_octets = packed.finish()?.len() + ZIP_HEADERS;
        Ok(Subject { definition, build, program, octets: content.len(), zipped_octets })
    }

    pub(crate) fn name(&self) -> String {
        match self.build {
            Build::Static => format!("{}, static", self.definition.name()),
            Build::Release | Build::Given => self.definition.name(),
        }
    }
}

/// The sources, and the folder for what is built of them.
pub(crate) struct Workshop {
    root: PathBuf,
    target: PathBuf,
}

impl Workshop {
    pub(crate) fn new() -> Workshop {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Workshop { root, target }
    }

    /// A folder of our own.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let folder = self.target.join("cold-start");
        fs::create_dir_all(&folder)?;
        // Programs do not start in the folder that a relative path means.
        Ok(folder.canonicalize()?)
    }

    /// Builds all subjects whose names contain one of `only`, or all. Functions that are built already are taken from `given`.
    pub(crate) fn subjects(
        &self,
        only: &[String],
        given: Option<&Path>,
        static_too: bool,
        say: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        let builds = if static_too { vec![Build::Release, Build::Static] } else { vec![Build::Release] };
        for build in builds {
            let mut built: BTreeMap<&str, PathBuf> = BTreeMap::new();
            for definition in &DEFINITIONS {
                let package = definition.package;
                let is_wanted = only.is_empty() || only.iter().any(|part| definition.name().contains(part));
                if !is_wanted || (package == FLOOR && build == Build::Static) {
                    continue;
                }
                let given = given.filter(|_| definition.is_function());
                let program = match (given, built.get(package)) {
                    (_, Some(program)) => program.clone(),
                    (Some(folder), None) => find(folder, package)?,
                    (None, None) => {
                        say(&format!("Building {package}."))?;
                        if package == FLOOR { self.floor()? } else { self.program(package, build)? }
                    }
                };
                built.insert(package, program.clone());
                let build = if given.is_some() { Build::Given } else { build };
                subjects.push(Subject::new(definition, build, program)?);
            }
        }
        Ok(subjects)
    }

    /// The program that makes events of `events/` as if they happened now.
    pub(crate) fn events(&self) -> Result<Events> {
        // Its features are those of the whole workspace, so that the one that is there already can serve.
        let program = self.cargo("custom-auth", &["--workspace", "--bin"], None)?;
        Ok(Events { root: self.root.clone(), program, made: BTreeMap::new() })
    }

    fn floor(&self) -> Result<PathBuf> {
        self.compiled("floor.c", FLOOR, &["-static"])
    }

    /// The clock that goes as slowly as what runs in valgrind.
    pub(crate) fn slow_clock(&self) -> Result<PathBuf> {
        self.compiled("slow-clock.c", "slow-clock.so", &["-shared", "-fPIC"])
    }

    /// Compiles one of the files of C in this package.
    fn compiled(&self, source: &str, to: &str, flags: &[&str]) -> Result<PathBuf> {
        let built = self.folder()?.join(to);
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(&compiler);
        command.arg("-O2").args(flags).arg("-o").arg(&built).arg(self.root.join("bench").join(source));
        match command.status() {
            Ok(status) if status.success() => Ok(built),
            Ok(status) => Err(format!("the C compiler failed on {source} ({status})").into()),
            Err(error) => Err(format!("there is no C compiler {}: {error}", compiler.display()).into()),
        }
    }

    /// Builds a package by itself: built together, the small functions take on what only the large one needs.
    fn program(&self, package: &str, build: Build) -> Result<PathBuf> {
        match build {
            Build::Release | Build::Given => self.cargo(package, &["--release", "-p"], None),
            Build::Static => {
                // Without a target the flag would be for build scripts, too.
                let host = self.host()?;
                let target = self.target.join("static");
                let arguments = ["--release", "--target", &host, "-p"];
                self.cargo(package, &arguments, Some(("-C target-feature=+crt-static", &target)))
            }
        }
    }

    fn cargo(&self, package: &str, arguments: &[&str], flags_and_target: Option<(&str, &Path)>) -> Result<PathBuf> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| OF_A_PACKAGE.iter().any(|prefix| name.starts_with(prefix))) {
                command.env_remove(name);
            }
        }
        if let Some((flags, target)) = flags_and_target {
            command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", target);
        }
        let output = command
            .current_dir(&self.root)
            .args(["build", "--message-format=json-render-diagnostics"])
            .args(arguments)
            .arg(package)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot run cargo: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo does not build {package}").into());
        }
        let messages =
            output.stdout.split(|octet| *octet == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let mut programs = messages.filter(|message| message["target"]["name"] == package);
        let program = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
        program.ok_or_else(|| format!("cargo built no program {package}").into())
    }

    /// What the compiler calls the kind of machine that this is.
    fn host(&self) -> Result<String> {
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .current_dir(&self.root)
            .arg("-vV")
            .output()
            .map_err(|error| format!("cannot run rustc: {error}"))?;
        let said = String::from_utf8(output.stdout)?;
        let host = said.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned).ok_or_else(|| "rustc does not tell its host".into())
    }
}

/// Finds a function's program in a folder as cargo-lambda, `sam build` or cargo leave it.
fn find(folder: &Path, package: &str) -> Result<PathBuf> {
    let candidates = [format!("{package}/bootstrap"), format!("{}/bootstrap", logical_id(package)), package.to_owned()];
    let found = candidates.iter().map(|path| folder.join(path)).find(|path| path.is_file());
    let program = found.ok_or_else(|| format!("there is no {} in {}", candidates.join(" or "), folder.display()))?;
    Ok(program.canonicalize()?)
}

/// What the template calls a function: `define-auth-challenge` is `DefineAuthChallengeFunction`.
fn logical_id(package: &str) -> String {
    let words = package.split('-').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        first.to_uppercase() + rest
    });
    words.collect::<String>() + "Function"
}

/// Events as if they happened now.
pub(crate) struct Events {
    root: PathBuf,
    program: PathBuf,
    made: BTreeMap<&'static str, (Instant, Vec<u8>)>,
}

impl Events {
    /// The event that a program is asked.
    pub(crate) fn of(&mut self, definition: &Definition) -> Result<Vec<u8>> {
        let name = definition.event;
        if let Some((_, event)) = self.made.get(name).filter(|(made_at, _)| made_at.elapsed() < FRESH) {
            return Ok(event.clone());
        }
        let file = self.root.join(format!("events/{name}.json"));
        let output = Command::new(&self.program).arg("event").arg(file).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("there is no event {name}").into());
        }
        // On one line, as Lambda hands it out.
        let event = serde_json::from_slice::<Value>(&output.stdout)?.to_string().into_bytes();
        self.made.insert(name, (Instant::now(), event.clone()));
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_of_the_template() {
        assert_eq!(logical_id("define-auth-challenge"), "DefineAuthChallengeFunction");
        let template = fs::read_to_string(Workshop::new().root.join("template.yaml")).unwrap();
        for definition in DEFINITIONS.iter().filter(|definition| definition.is_function()) {
            assert!(template.contains(&format!("\n  {}:\n", logical_id(definition.package))), "{}", definition.package);
        }
    }

    #[test]
    fn every_function_is_a_subject_and_every_event_is_there() {
        let root = Workshop::new().root;
        for entry in fs::read_dir(root.join("functions")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(DEFINITIONS.iter().any(|definition| definition.package == name), "{name}");
        }
        for definition in &DEFINITIONS {
            assert!(root.join(format!("events/{}.json", definition.event)).is_file(), "{}", definition.event);
        }
    }

    #[test]
    fn a_wrong_response_is_an_error() {
        let verify = DEFINITIONS.iter().find(|definition| definition.package == "verify-auth-challenge").unwrap();
        assert!(verify.judge(b"{}", br#"{"response": {"answerCorrect": true}}"#).is_ok());
        assert!(verify.judge(b"{}", br#"{"response": {"answerCorrect": false}}"#).is_err());
        assert!(verify.judge(b"{}", b"").is_err());
    }
}
