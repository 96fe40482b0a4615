//! Cognito's CreateAuthChallenge trigger: makes the challenge and mails the code. The rules are in
//! [`auth_challenge::create_auth_challenge`]; what happens in which order is in [`handler`], how a mail goes out in [`delivery`],
//! what it says in [`sign_in_mail`].

mod delivery;
mod handler;
mod observed_sends;

use std::time::SystemTime;

use auth_challenge::settings::{AwsSettings, CreateSettings, LimitsSettings, MailSettings, SesSettings};
use auth_challenge::trigger;
use aws_lambda_events::cognito::CognitoEventUserPoolsCreateAuthChallenge;
use limits_table::Counts;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sign_in_mail::Templates;

use crate::delivery::Delivery;
use crate::handler::Handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = |name: &str| std::env::var(name).ok();
    trigger::init(&env)?;
    let settings = CreateSettings::from_vars(&env)?;
    let templates = Templates::new(MailSettings::from_vars(&env)?)?;
    let format = settings.challenge.format;
    let counts = Counts::new(LimitsSettings::from_vars(&env)?, format, || AwsSettings::from_vars(&env))?;
    let delivery = Delivery::new(SesSettings::from_vars(&env)?, templates, AwsSettings::from_vars(&env)?)?;
    tokio::join!(delivery.rehearse(format), async {
        if let Some(counts) = &counts {
            counts.connect().await;
        }
    });
    let handler = Handler { settings, counts, delivery };
    trigger::serve(async |event: CognitoEventUserPoolsCreateAuthChallenge| {
        // Asked of the system each time: a generator in memory would be copied with a snapshot of the function.
        handler.handle(&event, SystemTime::now().into(), &mut UnwrapErr(SysRng)).await
    })
    .await
}
