//! `custom-auth local`: the pool and the functions, until Ctrl-C.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use auth_challenge::settings::{CODE_KEY, VARIABLES};
use local_pool::build;
use local_pool::lambda::LogSink;
use local_pool::server::{Addresses, Options, Server, bind};
use local_pool::trigger::Trigger;
use local_pool::users::Users;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
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
    ///     email_verified = true
    ///     enabled = true
    ///     attributes = { "custom:tenant" = "acme" }
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    users: Option<PathBuf>,
    /// When ready, print one line of JSON that says where everything is
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let users = match &arguments.users {
        None => Users::default(),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Users::from_toml(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    let logs: LogSink = Arc::new(|function, line| eprintln!("[{function}] {line}"));
    // Before the build, which takes a while.
    let listener = bind(arguments.port).await?;
    let mut stop = pin!(stop_signal()?);
    let server = tokio::select! {
        server = start(listener, users, logs) => server?,
        () = &mut stop => return Ok(()),
    };
    if arguments.json {
        println!("{}", server.addresses().to_json());
    } else {
        print(server.addresses());
    }
    server.serve(stop).await?;
    Ok(())
}

fn print(addresses: &Addresses) {
    let Addresses { endpoint, region, user_pool_id, client_id } = addresses;
    println!(
        "\n\
         Sign-in page    {endpoint}/  (the mailbox is beside it)\n\
         User pool API   {endpoint}  (region {region}, user pool {user_pool_id}, client {client_id})\n\
         Mails           {mailbox}\n\
         Public keys     {jwks}\n\
         Lambda Invoke   {endpoint}  (functions {functions})\n\
         \n\
         Ctrl-C ends it. Below are the functions' logs.\n",
        mailbox = addresses.mailbox(),
        jwks = addresses.jwks_uri(),
        functions = Trigger::ALL.map(Trigger::function).join(", "),
    );
}

/// Ready when somebody wants us to end.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Builds the functions and starts them behind a pool.
pub(crate) async fn start(listener: TcpListener, users: Users, logs: LogSink) -> Result<Server, Box<dyn Error>> {
    eprintln!("Building the functions.");
    let programs = build::functions(workspace()).await?;
    // Settings of the functions are taken from our own environment, as `CODE_LENGTH=6 cargo run`.
    let given = VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let mut variables = BTreeMap::from([(CODE_KEY.to_owned(), random_key())]);
    variables.extend(given);
    variables
        .extend(std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().map(|level| ("AWS_LAMBDA_LOG_LEVEL".to_owned(), level)));
    Ok(Server::start(Options { listener, users, programs, variables, logs, observer: None }).await?)
}

/// The folder that this program was built from.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn random_key() -> String {
    let mut rng = UnwrapErr(SysRng);
    (0..64).map(|_| char::from(b'a' + rng.random_range(0..26))).collect()
}
