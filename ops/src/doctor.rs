//! `doctor`: looks at everything that a sign-in needs, and says what is wrong and how to mend it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::account::{Account, PoolArn, Target};
use crate::attach::Which;
use crate::checks::{ConfigurationSet, Known, Seen, Ses, Snapshot, Status, check};
use crate::settings::Members;
use crate::triggers::{Arn, Trigger, lambda_config};
use auth_challenge::settings::{SES_CONFIGURATION_SET, SES_FROM_ADDRESS, SES_IDENTITY_ARN, SES_REGION};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// App client that people sign in with
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Print a list of {check, status, found, mend}
    #[arg(long)]
    json: bool,
}

/// Whether nothing is wrong.
pub(crate) async fn doctor(arguments: Arguments) -> Result<bool, String> {
    let findings = check(&look(&arguments).await?);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings).map_err(|error| error.to_string())?);
    } else {
        for finding in &findings {
            let mend = finding.mend.as_ref().map(|mend| format!(" -> {mend}")).unwrap_or_default();
            println!("{:<13}{:<40}{}{mend}", finding.status.name(), finding.check, finding.found);
        }
    }
    Ok(findings.iter().all(|finding| finding.status != Status::Wrong))
}

async fn look(arguments: &Arguments) -> Result<Snapshot, String> {
    let Arguments { target, client_id, which, .. } = arguments;
    let account = Account::connect(target).await;
    let (pool, ahead) = account.pool_and_clock(SystemTime::now).await?;
    let arn = PoolArn::of(&pool)?;
    let expected = which.functions(&account, &arn).await?;
    let client = match client_id {
        Some(id) => Some(account.client(id).await),
        None => None,
    };
    let config = lambda_config(&pool);
    let mut functions = BTreeMap::new();
    for trigger in Trigger::ALL {
        let Some(function) = trigger.function(&config) else { continue };
        let seen = match Arn::parse(function) {
            Ok(function) => Seen { facts: account.function(&function).await, policy: account.policy(&function).await },
            Err(why) => Seen { facts: Err(why.clone()), policy: Err(why) },
        };
        functions.insert(trigger, seen);
    }
    let ses = match functions.get(&Trigger::CreateAuthChallenge).map(Seen::variables) {
        None => Err("there is no function that mails".to_owned()),
        Some(Err(why)) => Err(why),
        Some(Ok(variables)) => {
            let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
            look_at_ses(&account, &arn, &variable).await
        }
    };
    Ok(Snapshot { pool, client, expected, functions, ses, ahead })
}

/// Looks at SES as the function that mails sees it.
async fn look_at_ses(account: &Account, pool: &PoolArn, variable: &dyn Fn(&str) -> Option<String>) -> Known<Ses> {
    let from = variable(SES_FROM_ADDRESS).ok_or_else(|| format!("create-auth-challenge has no {SES_FROM_ADDRESS}"))?;
    let from = address(&from).to_owned();
    let ses = account.ses(variable(SES_REGION).as_deref());
    let identity = match variable(SES_IDENTITY_ARN) {
        Some(arn) if arn.split(':').nth(4) != Some(pool.account()) => Err(format!("{arn} is in another account")),
        Some(arn) => one_of(&ses, vec![arn.rsplit('/').next().unwrap_or_default().to_owned()]).await,
        None => one_of(&ses, identities(&from)).await,
    };
    let named = variable(SES_CONFIGURATION_SET);
    let is_of_identity = named.is_none();
    let of_identity = || match &identity {
        Ok(Some((_, identity))) => identity.get("ConfigurationSetName")?.as_str().map(str::to_owned),
        Ok(None) | Err(_) => None,
    };
    let configuration_set = match named.or_else(of_identity) {
        Some(name) => {
            let described = ses.configuration_set(&name).await;
            Some(ConfigurationSet { name, is_of_identity, described })
        }
        None => None,
    };
    Ok(Ses { from, account: ses.account().await, identity, configuration_set })
}

/// The first of these identities that there is.
async fn one_of(ses: &crate::account::Ses, names: Vec<String>) -> Known<Option<(String, Members)>> {
    for name in names {
        if let Some(identity) = ses.identity(&name).await? {
            return Ok(Some((name, identity)));
        }
    }
    Ok(None)
}

/// The address in `Name <address>`.
fn address(from: &str) -> &str {
    from.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(from, |(address, _)| address).trim()
}

/// Which identities let mails come from an address: itself, its domain, and the domains above.
fn identities(address: &str) -> Vec<String> {
    let domain = address.rsplit('@').next().unwrap_or_default();
    let mut names = vec![address.to_owned()];
    let mut rest = domain;
    while rest.contains('.') {
        names.push(rest.to_owned());
        rest = rest.split_once('.').map_or("", |(_, above)| above);
    }
    names
}
