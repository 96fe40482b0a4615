//! `custom-auth local`: the pool and the functions, until Ctrl-C.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use auth_challenge::settings::{CODE_KEY, LIMITS_TABLE, VARIABLES};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use clap::ValueEnum;
use clap::builder::{NonEmptyStringValueParser, RangedU64ValueParser};
use local_pool::build;
use local_pool::invocation::{InvocationOptions, LambdaEndpoint, function_name};
use local_pool::lambda::{LogSink, Program};
use local_pool::pool::{PoolOptions, UnknownUserAttributes};
use local_pool::server::{Addresses, Options, Server, bind};
use local_pool::trigger::Trigger;
use local_pool::users::Users;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use tokio::net::TcpListener;

/// Where the pool listens unless told otherwise: the port that stand-ins for Cognito use.
pub(crate) const DEFAULT_PORT: u16 = 9229;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Port on 127.0.0.1; 0 for a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// TOML file with the users; without it there is one, alice@example.com
    ///
    /// For each user it has a table like this; only the address is required:
    ///
    ///     [[user]]
    ///     email = "bob@example.com"
    ///     username = "bob"
    ///     password = "Correct horse 1"
    ///     status = "CONFIRMED"
    ///     email_verified = true
    ///     enabled = true
    ///     groups = ["staff"]
    ///     attributes = { "custom:tenant" = "acme" }
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    users: Option<PathBuf>,
    /// When ready, print one line of JSON that says where everything is
    #[arg(long)]
    json: bool,
    /// Keep users, settings and keys in this file; once it is there, options about users and the app client do not count
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Count mails and wrong answers for accounts in this DynamoDB, such as http://127.0.0.1:8000, where a table is made for it;
    /// without one there are no limits across sign-ins
    #[arg(long, value_name = "URL")]
    dynamodb_endpoint: Option<String>,
    /// Write each event of a trigger to this folder, with placeholders for what belongs to a person or a sign-in
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,

    /// Functions are not built and run here, but invoked there: `cargo lambda watch`, `sam local start-lambda`
    #[arg(long, value_name = "URL", help_heading = "Triggers")]
    lambda_endpoint: Option<String>,
    /// Name of a trigger's function, such as DefineAuthChallenge=DefineAuthChallengeFunction; none to detach it
    ///
    /// The usual names are those of this project's functions, of which PreSignUp=pre-sign-up, PostAuthentication=post-authentication
    /// and PreTokenGeneration=pre-token-generation are attached only so.
    #[arg(long, value_name = "TRIGGER=NAME", value_parser = of_trigger, help_heading = "Triggers")]
    function: Vec<(Trigger, String)>,
    /// Function of a trigger, as a shell command that speaks the Lambda Runtime API: a runtime interface client of any
    /// language, such as PreSignUp='python3 -m awslambdaric pre_sign_up.handler'
    #[arg(long, value_name = "TRIGGER=COMMAND", value_parser = of_trigger, help_heading = "Triggers")]
    command: Vec<(Trigger, String)>,
    /// Version of PreTokenGeneration's events
    #[arg(long, value_name = "VERSION", default_value = "V1_0", value_parser = ["V1_0", "V2_0"], help_heading = "Triggers")]
    pre_token_generation: String,
    /// How long to wait for a trigger, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=900_000), help_heading = "Triggers")]
    trigger_timeout: u64,
    /// How often to call a trigger that does not answer in time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10), help_heading = "Triggers")]
    trigger_tries: u32,
    /// How often to deliver each event, to see whether a trigger minds; the last answer counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3), help_heading = "Triggers")]
    deliveries: u32,

    /// Flows that the app client allows
    #[arg(long, value_name = "FLOW,…", value_delimiter = ',', value_parser = FLOWS, default_value = "ALLOW_CUSTOM_AUTH,ALLOW_REFRESH_TOKEN_AUTH",
        help_heading = "App client"
    )]
    explicit_auth_flows: Vec<String>,
    /// Give the app client a secret, so that calls need SECRET_HASH (the sign-in page has none)
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), help_heading = "App client")]
    client_secret: Option<String>,
    /// Life of a Session in minutes, 3 to 15
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=15), help_heading = "App client")]
    auth_session_validity: u64,
    /// Whether users who do not exist are imitated (ENABLED), or told to be missing (LEGACY)
    #[arg(long, value_name = "WORD", default_value = "ENABLED", value_parser = ["ENABLED", "LEGACY"], help_heading = "App client")]
    prevent_user_existence_errors: String,

    /// Run PreAuthentication also when a sign-in opens without a password; AWS is reported not to
    #[arg(long, help_heading = "What AWS leaves open")]
    pre_authentication_in_custom_flow: bool,
    /// What triggers find in userAttributes of somebody who does not exist: {}, null, or no such member
    #[arg(long, value_name = "WORD", value_enum, default_value_t = Attributes::Empty, help_heading = "What AWS leaves open")]
    unknown_user_attributes: Attributes,
    /// Tell USERNAME with every challenge, not only with the one that a sign-in begins with
    #[arg(long, help_heading = "What AWS leaves open")]
    username_in_later_challenges: bool,
    /// Let calls that answer a challenge at the same time all reach verify-auth-challenge, not only the first
    #[arg(long, help_heading = "What AWS leaves open")]
    concurrent_answers_to_session: bool,
    /// Longest Session that is taken back, in characters: the API's model says 2048, 8192 was observed
    #[arg(long, value_name = "N", default_value_t = 8_192, value_parser = RangedU64ValueParser::<usize>::new().range(1_000..=131_072), help_heading = "What AWS leaves open")]
    max_session_length: usize,
}

/// What can be allowed of what the pool emulates.
const FLOWS: [&str; 5] = [
    "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "ALLOW_CUSTOM_AUTH",
    "ALLOW_REFRESH_TOKEN_AUTH",
    "ALLOW_USER_PASSWORD_AUTH",
    "ALLOW_USER_SRP_AUTH",
];

#[derive(Clone, Copy, ValueEnum)]
enum Attributes {
    Empty,
    Null,
    Absent,
}

/// Reads `TRIGGER=…`.
fn of_trigger(text: &str) -> Result<(Trigger, String), String> {
    let names = || Trigger::ALL.map(Trigger::name).join(", ");
    let (name, value) = text.split_once('=').ok_or("there is no = behind the trigger's name")?;
    let trigger = Trigger::named(name).ok_or_else(|| format!("{name:?} is none of {}", names()))?;
    Ok((trigger, value.to_owned()))
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let logs: LogSink = Arc::new(|function, line| eprintln!("[{function}] {line}"));
    let (as_json, elsewhere) = (arguments.json, arguments.lambda_endpoint.clone());
    let dynamodb = arguments.dynamodb_endpoint.clone();
    // Before the build, which takes a while.
    let listener = bind(arguments.port).await?;
    let mut options = arguments.options(listener, logs)?;
    if let Some(url) = &dynamodb {
        let named = std::env::var(LIMITS_TABLE).ok().filter(|table| !table.is_empty());
        let table = named.unwrap_or_else(|| LIMITS_TABLE_NAME.to_owned());
        make_limits_table(url, &table).await?;
        options.variables.insert(LIMITS_TABLE.to_owned(), table);
        options.variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url.clone());
    }
    let mut stop = pin!(stop_signal()?);
    let server = tokio::select! {
        server = start(options) => server?,
        () = &mut stop => return Ok(()),
    };
    if as_json {
        println!("{}", server.addresses().to_json());
    } else {
        print(&server, elsewhere.as_deref(), dynamodb.as_deref());
    }
    server.serve(stop).await?;
    Ok(())
}

impl Arguments {
    fn options(self, listener: TcpListener, logs: LogSink) -> Result<Options, Box<dyn Error>> {
        let mut options = Options::new(listener, logs);
        options.pool = PoolOptions {
            pre_authentication_in_custom_flow: self.pre_authentication_in_custom_flow,
            unknown_user_attributes: match self.unknown_user_attributes {
                Attributes::Empty => UnknownUserAttributes::Empty,
                Attributes::Null => UnknownUserAttributes::Null,
                Attributes::Absent => UnknownUserAttributes::Absent,
            },
            username_in_later_challenges: self.username_in_later_challenges,
            max_session_length: self.max_session_length,
            concurrent_answers_to_session: self.concurrent_answers_to_session,
            ..options.pool
        };
        if let Some(path) = &self.users {
            let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            options.users = Users::from_toml(&text, &options.pool.user_pool_id, &mut UnwrapErr(SysRng))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        for (name, value) in [
            ("AuthSessionValidity", json!(self.auth_session_validity)),
            ("ExplicitAuthFlows", json!(self.explicit_auth_flows)),
            ("PreventUserExistenceErrors", json!(self.prevent_user_existence_errors)),
        ] {
            options.client_settings.insert(name.to_owned(), value);
        }
        options.client_secret = self.client_secret;
        options.triggers = ours();
        let detached: Vec<Trigger> =
            self.function.iter().filter(|(_, name)| name.is_empty()).map(|(trigger, _)| *trigger).collect();
        options.triggers.extend(self.function);
        options.triggers.retain(|_, name| !name.is_empty());
        for (trigger, command) in &self.command {
            let name = trigger.name();
            if command.trim().is_empty() {
                return Err(format!("--command {name}= needs a command").into());
            }
            if detached.contains(trigger) {
                return Err(format!("--command {name}=… and --function {name}= contradict each other").into());
            }
            // It may have been given a name of its own.
            let function = options.triggers.entry(*trigger).or_insert_with(|| trigger.function().to_owned());
            options.programs.insert(function_name(function).to_owned(), Program::from_command(command));
        }
        if options.triggers.contains_key(&Trigger::PreTokenGeneration) {
            let config = json!({"PreTokenGenerationConfig": {"LambdaVersion": self.pre_token_generation}});
            options.pool_settings.insert("LambdaConfig".to_owned(), config);
        }
        options.lambda_endpoint = self.lambda_endpoint.as_deref().map(LambdaEndpoint::new).transpose()?;
        options.invocation = InvocationOptions {
            timeout: Duration::from_millis(self.trigger_timeout),
            tries: self.trigger_tries,
            deliveries: self.deliveries,
        };
        options.record = self.record;
        options.state = self.state;
        Ok(options)
    }
}

/// This project's functions, with the triggers that they serve.
pub(crate) fn ours() -> BTreeMap<Trigger, String> {
    Trigger::OURS.map(|trigger| (trigger, trigger.function().to_owned())).into()
}

/// The table that local functions count in, unless our own environment names one.
const LIMITS_TABLE_NAME: &str = "sign-in-limits";

/// Makes the table that `template.yaml` makes, unless it is there.
async fn make_limits_table(url: &str, table: &str) -> Result<(), Box<dyn Error>> {
    let attribute = AttributeDefinition::builder().attribute_name("account").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("account").key_type(KeyType::Hash);
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version_latest()
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url);
    let made = aws_sdk_dynamodb::Client::from_conf(config.build())
        .create_table()
        .table_name(table)
        .attribute_definitions(attribute.build()?)
        .key_schema(key.build()?)
        .billing_mode(BillingMode::PayPerRequest)
        .send();
    match tokio::time::timeout(Duration::from_secs(5), Box::pin(made)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => Ok(()),
        Ok(Err(error)) => {
            let cause = error.as_service_error().and_then(|error| error.message().map(str::to_owned));
            Err(format!("no table can be made in DynamoDB at {url}: {}", cause.unwrap_or_else(|| error.to_string()))
                .into())
        }
        Err(_) => Err(format!("no answer from DynamoDB at {url}").into()),
    }
}

fn print(server: &Server, elsewhere: Option<&str>, dynamodb: Option<&str>) {
    let addresses @ Addresses { endpoint, region, user_pool_id, client_id } = server.addresses();
    println!(
        "\n\
         Sign-in page    {endpoint}/  (the mailbox is beside it)\n\
         User pool API   {endpoint}  (region {region}, user pool {user_pool_id}, client {client_id})\n\
         Mails           {mailbox}\n\
         Public keys     {jwks}",
        mailbox = addresses.mailbox(),
        jwks = addresses.jwks_uri(),
    );
    if !server.functions().is_empty() {
        println!("Lambda Invoke   {endpoint}  (functions {})", server.functions().join(", "));
    }
    if let Some(url) = elsewhere {
        println!("Other functions {url}");
    }
    match dynamodb {
        Some(url) => println!("Limits          counted across sign-ins at {url}"),
        None => println!("Limits          off across sign-ins (--dynamodb-endpoint)"),
    }
    println!("\nCtrl-C ends it. Below are the functions' logs.\n");
}

/// Ready when somebody wants us to end.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    #[cfg(unix)]
    let (mut terminate, mut hang_up) = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Builds those of this project's functions that are wanted here, and starts all of them behind a pool.
pub(crate) async fn start(mut options: Options) -> Result<Server, Box<dyn Error>> {
    let wanted = |name: &str| options.triggers.values().any(|function| function == name);
    let is_ours = |trigger: &Trigger| wanted(trigger.function()) && !options.programs.contains_key(trigger.function());
    let ours: Vec<Trigger> = Trigger::ALL.into_iter().filter(is_ours).collect();
    if options.lambda_endpoint.is_none() && !ours.is_empty() {
        eprintln!("Building the functions.");
        let programs = build::functions(workspace(), "dev", &ours).await?;
        options.programs.extend(programs.into_iter().map(|(name, path)| (name.to_owned(), Program::new(path))));
    }
    // Settings of the functions are taken from our own environment, as `CODE_LENGTH=6 cargo run`.
    let given = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    options.variables.insert(CODE_KEY.to_owned(), random_key());
    // Without a DynamoDB of this machine there is no table for them to count in.
    let settings = VARIABLES.iter().filter(|name| **name != LIMITS_TABLE);
    options.variables.extend(settings.filter_map(|name| given(name)));
    options.variables.extend(given("AWS_LAMBDA_LOG_LEVEL"));
    Ok(Server::start(options).await?)
}

/// The folder that this program was built from.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn random_key() -> String {
    let mut rng = UnwrapErr(SysRng);
    (0..64).map(|_| char::from(b'a' + rng.random_range(0..26))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    async fn options(line: &[&str]) -> Options {
        let line = Line::parse_from([&["local"], line].concat());
        line.arguments.options(bind(0).await.unwrap(), Arc::new(|_: &str, _: &str| {})).unwrap()
    }

    #[tokio::test]
    async fn what_aws_leaves_open_is_as_the_options_say() {
        let all = [
            "--pre-authentication-in-custom-flow",
            "--unknown-user-attributes=absent",
            "--username-in-later-challenges",
            "--max-session-length=2048",
            "--concurrent-answers-to-session",
        ];
        let chosen = PoolOptions {
            pre_authentication_in_custom_flow: true,
            unknown_user_attributes: UnknownUserAttributes::Absent,
            username_in_later_challenges: true,
            max_session_length: 2_048,
            concurrent_answers_to_session: true,
            ..PoolOptions::default()
        };
        for (line, expected) in [(&all[..], chosen), (&[], PoolOptions::default())] {
            assert_eq!(format!("{:?}", options(line).await.pool), format!("{expected:?}"));
        }
        let null = options(&["--unknown-user-attributes=null"]).await.pool;
        assert_eq!(null.unknown_user_attributes, UnknownUserAttributes::Null);
    }

    #[tokio::test]
    async fn triggers_and_the_client_are_as_the_options_say() {
        let Options { client_settings, client_secret, invocation, record, state, pool_settings, .. } = options(&[
            "--trigger-timeout=700",
            "--trigger-tries=2",
            "--deliveries=3",
            "--auth-session-validity=3",
            "--explicit-auth-flows=ALLOW_CUSTOM_AUTH,ALLOW_USER_SRP_AUTH",
            "--prevent-user-existence-errors=LEGACY",
            "--client-secret=secret",
            "--record=events",
            "--state=pool.json",
            "--function=PreTokenGeneration=pre-token-generation",
            "--pre-token-generation=V2_0",
        ])
        .await;
        assert_eq!(invocation, InvocationOptions { timeout: Duration::from_millis(700), tries: 2, deliveries: 3 });
        let expected = json!({
            "AuthSessionValidity": 3, "ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH", "ALLOW_USER_SRP_AUTH"],
            "PreventUserExistenceErrors": "LEGACY",
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&client_settings[name], value, "{name}");
        }
        assert_eq!(client_secret.as_deref(), Some("secret"));
        assert_eq!((record, state), (Some("events".into()), Some("pool.json".into())));
        assert_eq!(pool_settings["LambdaConfig"]["PreTokenGenerationConfig"]["LambdaVersion"], "V2_0");
    }

    #[test]
    fn each_pool_has_a_key_of_its_own() {
        let [one, other] = [random_key(), random_key()];
        assert!(one.len() == 64 && one.bytes().all(|b| b.is_ascii_lowercase()) && one != other, "{one} {other}");
    }

    #[tokio::test]
    async fn a_command_serves_a_function_by_whatever_it_is_called() {
        for (called, name) in [
            ("mine", "mine"),
            ("mine:live", "mine"),
            ("arn:aws:lambda:eu-west-1:111122223333:function:mine:live", "mine"),
        ] {
            let options = options(&["--function", &format!("PreSignUp={called}"), "--command", "PreSignUp=run"]).await;
            assert_eq!(options.triggers[&Trigger::PreSignUp], called);
            assert!(options.programs.contains_key(name), "{called}");
        }
    }
}
