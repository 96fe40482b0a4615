//! `attach` and `detach`: describe, show what changes, write all of it back, look whether nothing else has changed.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::account::{Account, PoolArn, Target};
use crate::permission::{Grant, grant, has_statement, statement_id};
use crate::saved::{Saved, default_path};
use crate::settings::{Members, differences, write_back};
use crate::triggers::{self, Arn, Change, Functions, Plan, Trigger, events_version, lambda_config};

/// How long to wait while somebody else is changing a function, before each further try to give it a permission.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    which: Which,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Take triggers from functions that have them now
    #[arg(long)]
    replace: bool,
    /// Version of PreTokenGeneration's events [default: the one that the pool has, or V1_0]
    #[arg(long, value_name = "VERSION", value_parser = ["V1_0", "V2_0"])]
    pre_token_generation: Option<String>,
    /// File to keep the pool's description in, for `detach` [default: custom-auth.<pool id>.json]
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct DetachArguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    which: Which,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// File that `attach` has kept the pool's description in [default: custom-auth.<pool id>.json]
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Which functions are ours.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// CloudFormation stack of template.yaml, whose functions these are
    #[arg(long, value_name = "NAME", conflicts_with = "function")]
    stack: Option<String>,
    /// Function of a trigger, or an alias of one; once for each
    #[arg(long, value_name = "TRIGGER=ARN", value_parser = of_trigger)]
    function: Vec<(Trigger, Arn)>,
}

/// Reads `TRIGGER=ARN`.
fn of_trigger(text: &str) -> Result<(Trigger, Arn), String> {
    let (name, arn) = text.split_once('=').ok_or("there is no = behind the trigger's name")?;
    let names = || Trigger::ALL.map(Trigger::name).join(", ");
    let trigger = Trigger::named(name).ok_or_else(|| format!("{name:?} is none of {}", names()))?;
    Ok((trigger, Arn::parse(arn)?))
}

pub(crate) async fn attach(arguments: Arguments) -> Result<(), String> {
    let Arguments { target, which, dry_run, replace, pre_token_generation: version, save } = arguments;
    let account = Account::connect(&target).await;
    let before = account.pool().await?;
    let pool = PoolArn::of(&before)?;
    let ours = which.functions(&account, &pool).await?;
    if ours.is_empty() {
        return Err("say which functions to attach: --stack NAME, or --function TRIGGER=ARN for each".to_owned());
    }
    if version.is_some() && !ours.contains_key(&Trigger::PreTokenGeneration) {
        return Err("--pre-token-generation is about a function that was not named: PreTokenGeneration".to_owned());
    }
    let plan = triggers::attach(&lambda_config(&before), &ours, version.as_deref());
    let update = with_triggers(&before, &plan);
    let write = write_back(&update)?;
    say_what_changes(&before, &pool, &plan, &write);

    let mut missing = Vec::new();
    for arn in once(ours.values()) {
        let policy = account.policy(arn).await?;
        match grant(&policy, pool.as_str()) {
            Grant::ByArnAndAccount => println!("  {:<28}{arn}: given already", "permission"),
            _ if has_statement(&policy, &statement_id(&target.user_pool_id)) => {
                let id = statement_id(&target.user_pool_id);
                return Err(format!(
                    "the policy of {arn} has a statement {id} that says something else than ours: remove it; nothing was changed"
                ));
            }
            Grant::None | Grant::Any | Grant::ByAccount | Grant::ByArn => {
                println!("  {:<28}{arn}: to invoke it, for this pool alone", "permission");
                missing.push(arn.clone());
            }
        }
    }
    let replaced: Vec<&Change> = plan.changes.iter().filter(|change| change.replaces()).collect();
    if !replaced.is_empty() && !replace {
        let names: Vec<&str> = replaced.iter().map(|change| change.trigger.name()).collect();
        let names = names.join(", ");
        return Err(format!("another function has {names}: --replace takes it away; nothing was changed"));
    }
    if dry_run {
        println!("Dry run: nothing was changed.");
        return Ok(());
    }

    let path = save.unwrap_or_else(|| default_path(&target.user_pool_id));
    let is_change = plan.config != lambda_config(&before);
    // Of MFA there is more than the description tells.
    let mfa = if is_change { Some(account.mfa().await) } else { None };
    if let Some(mfa) = &mfa {
        let earlier = Saved::read(&path, &target.user_pool_id)?;
        Saved::of(&target.user_pool_id, &before, mfa.as_ref().ok(), &ours, earlier)
            .write(&path)
            .map_err(|error| format!("{error}; nothing was changed"))?;
        println!("What there was is kept in {}, for `detach`.", path.display());
    }
    let mut granted = Vec::new();
    for arn in missing {
        match permit(&account, &arn, &pool).await {
            Ok(true) => granted.push(arn),
            Ok(false) => {}
            Err(error) => return Err(format!("{error}; the pool is as it was{}", undo(&account, &granted).await)),
        }
    }
    if let Some(mfa) = mfa {
        match update_pool(&account, &before, mfa, &update, &write).await {
            Ok(()) => {}
            Err(Failure::AsItWas(error)) => {
                return Err(format!("{error}; the pool is as it was{}", undo(&account, &granted).await));
            }
            Err(Failure::Otherwise(error)) => {
                return Err(format!("{error}; what it was like before is in {}", path.display()));
            }
        }
        println!("Attached. Read back: nothing else in the pool has changed.");
    } else if granted.is_empty() {
        println!("Nothing to do.");
    } else {
        println!("The permissions are given. The pool is as it was.");
    }
    Ok(())
}

pub(crate) async fn detach(arguments: DetachArguments) -> Result<(), String> {
    let DetachArguments { target, which, dry_run, save } = arguments;
    let path = save.clone().unwrap_or_else(|| default_path(&target.user_pool_id));
    let saved = Saved::read(&path, &target.user_pool_id)?;
    if let (Some(path), None) = (&save, &saved) {
        return Err(format!("there is no {}", path.display()));
    }
    let account = Account::connect(&target).await;
    let before = account.pool().await?;
    let pool = PoolArn::of(&before)?;
    let mut ours = which.functions(&account, &pool).await?;
    if ours.is_empty() {
        let saved = saved.as_ref().ok_or_else(|| {
            format!(
                "there is no {}: say which functions are ours, --stack NAME or --function TRIGGER=ARN",
                path.display()
            )
        })?;
        ours = saved.functions()?;
    }
    let earlier = saved.as_ref().map(Saved::lambda_config).unwrap_or_default();
    let plan = triggers::detach(&lambda_config(&before), &ours, &earlier);
    let update = with_triggers(&before, &plan);
    let write = write_back(&update)?;
    say_what_changes(&before, &pool, &plan, &write);
    if saved.is_none() && !plan.changes.is_empty() {
        println!("What was there before is not known: there is no {}.", path.display());
    }
    // A function that keeps another trigger of this pool needs the permission.
    let still_used = plan.config.to_string();
    let unused = once(ours.values().filter(|arn| !still_used.contains(&format!("\"{arn}\""))));
    if dry_run {
        for arn in unused {
            let becomes = match account.policy(arn).await {
                Ok(policy) if has_statement(&policy, &statement_id(&target.user_pool_id)) => "ours is taken away",
                Ok(_) => "none of ours",
                // Who may not read it may be able to take it away.
                Err(_) => "ours is taken away, if there is one",
            };
            println!("  {:<28}{arn}: {becomes}", "permission");
        }
        println!("Dry run: nothing was changed.");
        return Ok(());
    }
    let is_change = plan.changes.iter().any(Change::is_one);
    if is_change {
        let mfa = account.mfa().await;
        // The file of `attach` may be months old.
        let just_before = Saved::of(&target.user_pool_id, &before, mfa.as_ref().ok(), &Functions::new(), None);
        match update_pool(&account, &before, mfa, &update, &write).await {
            Ok(()) => {}
            Err(Failure::AsItWas(error)) => {
                return Err(format!("{error}; the pool and the permissions are as they were"));
            }
            Err(Failure::Otherwise(error)) => {
                let path = path.with_extension("before-detach.json");
                let kept = match just_before.write(&path) {
                    Ok(()) => format!("what the pool was like before is in {}", path.display()),
                    Err(error) => error,
                };
                return Err(format!("{error}; the permissions are as they were; {kept}"));
            }
        }
    }
    let mut failed = Vec::new();
    let mut revoked = 0;
    // Afterwards: until then the functions are invoked.
    for arn in unused {
        match account.revoke(arn).await {
            Ok(was_there) => revoked += usize::from(was_there),
            Err(error) => failed.push(error),
        }
    }
    if !failed.is_empty() {
        let is_so = if is_change { "the functions are detached" } else { "no function of ours was attached" };
        return Err(format!("{is_so}, but permissions of ours are left: {}", failed.join("; ")));
    }
    match (is_change, revoked) {
        (true, _) => {
            println!("Detached. Read back: nothing else in the pool has changed. Permissions taken away: {revoked}.")
        }
        (false, 0) => println!("Nothing to do."),
        (false, _) => println!("Permissions taken away: {revoked}. The pool is as it was."),
    }
    Ok(())
}

impl Which {
    /// The functions that were named, by ARN or by stack.
    pub(crate) async fn functions(&self, account: &Account, pool: &PoolArn) -> Result<Functions, String> {
        let mut functions = Functions::new();
        for (trigger, arn) in &self.function {
            if arn.region() != pool.region() {
                return Err(format!("{arn} is not in {}, the pool's region", pool.region()));
            }
            if functions.insert(*trigger, arn.clone()).is_some() {
                return Err(format!("{} has two functions", trigger.name()));
            }
        }
        if let Some(stack) = &self.stack {
            let found = account.stack(stack).await?;
            for trigger in Trigger::ALL {
                match found.get(trigger.logical_id()) {
                    Some(name) => _ = functions.insert(trigger, pool.function(name)?),
                    None if trigger.is_required() => {
                        return Err(format!("the stack {stack} has no function {}", trigger.logical_id()));
                    }
                    None => {}
                }
            }
        }
        Ok(functions)
    }
}

/// Each of them once, since a function can have several triggers.
fn once<'a>(functions: impl Iterator<Item = &'a Arn>) -> Vec<&'a Arn> {
    let mut all = Vec::new();
    for arn in functions {
        if !all.contains(&arn) {
            all.push(arn);
        }
    }
    all
}

/// The pool with other triggers.
fn with_triggers(pool: &Members, plan: &Plan) -> Members {
    let mut pool = pool.clone();
    pool.insert("LambdaConfig".to_owned(), plan.config.clone());
    pool
}

fn say_what_changes(before: &Members, pool: &PoolArn, plan: &Plan, write: &Members) {
    let name = before.get("Name").and_then(Value::as_str).unwrap_or_default();
    println!("User pool {name:?}, {}", pool.as_str());
    for change in &plan.changes {
        println!("  {change}");
    }
    let (config, becomes) = (lambda_config(before), events_version(&plan.config));
    if plan.changes.iter().any(|change| change.trigger == Trigger::PreTokenGeneration && change.to.is_some()) {
        match Trigger::PreTokenGeneration.function(&config).map(|_| events_version(&config)) {
            Some(is) if is != becomes => println!("  {:<28}{is} -> {becomes}", "its events"),
            _ => println!("  {:<28}{becomes}", "its events"),
        }
    }
    for Change { trigger, from, .. } in &plan.left_alone {
        match from {
            Some(function) => println!("  {:<28}{function}, which is not ours: left alone", trigger.name()),
            None => println!("  {:<28}nothing already", trigger.name()),
        }
    }
    let others = write.keys().filter(|name| !["UserPoolId", "LambdaConfig"].contains(&name.as_str())).count();
    println!("  {:<28}stays as it is: {others} settings are written back", "everything else");
}

/// Why a pool is not what it should be.
enum Failure {
    /// Nothing has happened to it.
    AsItWas(String),
    /// Something has, or may have.
    Otherwise(String),
}

/// Makes the described pool `before` the pool `update`, and looks what came of it.
async fn update_pool(
    account: &Account,
    before: &Members,
    mfa: Result<Members, String>,
    update: &Members,
    write: &Members,
) -> Result<(), Failure> {
    // What somebody has changed since then would be lost.
    let now = account.pool().await.map_err(Failure::AsItWas)?;
    let meanwhile = differences(before, &now);
    if !meanwhile.is_empty() {
        let list = meanwhile.join("; ");
        return Err(Failure::AsItWas(format!("somebody has changed the pool meanwhile ({list}): try again")));
    }
    let sent = account.update_pool(write).await;
    let is_now = account.pool().await;
    let expected = normal(update);
    match (sent, is_now) {
        (Err(error), Err(_)) => Err(Failure::Otherwise(format!(
            "{error}; the pool cannot be described either, so whether it has changed is not known: try again later"
        ))),
        (Ok(()), Err(error)) => {
            Err(Failure::Otherwise(format!("the pool was changed, but cannot be read back: {error}")))
        }
        (sent, Ok(is_now)) => {
            let different = differences(&expected, &normal(&is_now));
            match sent {
                _ if different.is_empty() => same_mfa(account, mfa).await,
                Err(error) if differences(before, &is_now).is_empty() => Err(Failure::AsItWas(error)),
                Err(error) => {
                    Err(Failure::Otherwise(format!("{error}; yet the pool has changed: {}", different.join("; "))))
                }
                Ok(()) => Err(Failure::Otherwise(format!(
                    "the pool was changed, and not only as it should be: {}",
                    different.join("; ")
                ))),
            }
        }
    }
}

/// Looks whether MFA is what it was.
async fn same_mfa(account: &Account, before: Result<Members, String>) -> Result<(), Failure> {
    let after = match &before {
        Ok(_) => account.mfa().await,
        Err(error) => Err(error.clone()),
    };
    match (before, after) {
        (Ok(before), Ok(after)) => {
            let different = differences(&before, &after);
            if different.is_empty() {
                return Ok(());
            }
            Err(Failure::Otherwise(format!(
                "the triggers are as they should be, but MFA has changed: {}",
                different.join("; ")
            )))
        }
        (_, Err(error)) | (Err(error), _) => {
            println!("  {:<28}factors and messages not compared: {error}", "MFA");
            Ok(())
        }
    }
}

/// A pool with the trigger before tokens written in both forms, of which AWS adds the one that was left out.
fn normal(pool: &Members) -> Members {
    let mut pool = pool.clone();
    let mut config = lambda_config(&pool);
    let arn = Trigger::PreTokenGeneration.function(&config).map(str::to_owned);
    if let Some(arn) = arn {
        config["PreTokenGeneration"] = json!(arn);
        if config["PreTokenGenerationConfig"].is_null() {
            config["PreTokenGenerationConfig"] = json!({"LambdaArn": arn, "LambdaVersion": "V1_0"});
        }
    }
    pool.insert("LambdaConfig".to_owned(), config);
    pool
}

/// Takes the permissions away that this run has given; what came of it, for the end of a message.
async fn undo(account: &Account, granted: &[Arn]) -> String {
    let mut left = Vec::new();
    for arn in granted {
        if let Err(error) = account.revoke(arn).await {
            left.push(error);
        }
    }
    match left[..] {
        [] => ", and so are the permissions".to_owned(),
        _ => format!(", but permissions that were given just now are left: {}", left.join("; ")),
    }
}

/// Lets the pool invoke a function. `false` if somebody else has done so meanwhile.
async fn permit(account: &Account, function: &Arn, pool: &PoolArn) -> Result<bool, String> {
    for pause in PAUSES.map(Some).into_iter().chain([None]) {
        if account.grant(function, pool).await? {
            return Ok(true);
        }
        if grant(&account.policy(function).await?, pool.as_str()) == Grant::ByArnAndAccount {
            return Ok(false);
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    Err(format!("AddPermission to {function}: something else is changing the function: try again when that is done"))
}
