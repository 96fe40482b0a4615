//! What AWS is asked, and how its answers are read.

use std::time::{Duration, SystemTime};

use clap::Parser as _;
use custom_auth_ops::account::{Account, FunctionFacts, PoolArn, Target};
use custom_auth_ops::permission::{self, Grant};
use custom_auth_ops::triggers::Arn;
use serde_json::{Value, json};

use crate::attach::arn;
use crate::running::{self, Fate, account};

#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    target: Target,
}

fn target(user_pool_id: &str, more: &[&str]) -> Option<Target> {
    let words = ["custom-auth", "--user-pool-id", user_pool_id].into_iter().chain(more.iter().copied());
    Words::try_parse_from(words).map(|words| words.target).ok()
}

async fn connect(account: &running::Account) -> Account {
    Account::connect(&target(&account.pool.user_pool_id, &["--endpoint-url", &account.endpoint]).unwrap()).await
}

#[test]
fn a_pool_is_where_its_id_says_unless_told_otherwise() {
    assert_eq!(target("eu-west-1_AbC9", &[]).unwrap().region(), "eu-west-1");
    assert_eq!(target("eu-west-1_AbC9", &["--region", "us-east-1"]).unwrap().region(), "us-east-1");
    for wrong in ["", "AbC", "_AbC", "eu-west-1_", "eu west_AbC", "eu-west-1_Ab-C", "eu-west-1_A_C", "eu-west-1_é"] {
        assert!(target(wrong, &[]).is_none(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f53_the_date_of_a_reply_tells_how_far_our_clock_is_ahead() {
    let account = account("account-clock").await;
    let calls = connect(&account).await;
    let two_hours = Duration::from_secs(7_200);
    for (now, expected) in [(SystemTime::now() - two_hours, -7_200), (SystemTime::now() + two_hours, 7_200)] {
        let ahead = calls.pool_and_clock(|| now).await.unwrap().1.unwrap();
        assert!((ahead - expected).abs() < 60, "{ahead}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_is_given_once_and_taken_away_once() {
    let account = account("account-permission").await;
    let calls = connect(&account).await;
    let pool = PoolArn::of(&calls.pool().await.unwrap()).unwrap();
    let function = Arn::parse(&arn("define")).unwrap();
    assert_eq!(calls.policy(&function).await, Ok(Value::Null));
    assert_eq!((calls.grant(&function, &pool).await, calls.grant(&function, &pool).await), (Ok(true), Ok(false)));
    let policy = calls.policy(&function).await.unwrap();
    assert_eq!(permission::grant(&policy, pool.as_str()), Grant::ByArnAndAccount);
    assert_eq!((calls.revoke(&function).await, calls.revoke(&function).await), (Ok(true), Ok(false)));
    account.fates(|_, _| Fate::Fail(403, "AccessDeniedException", "no"));
    for refused in [calls.grant(&function, &pool).await, calls.revoke(&function).await] {
        assert!(refused.unwrap_err().ends_with("AccessDeniedException: no"));
    }
}

#[test]
fn a_pools_arn_has_six_parts() {
    let of = |arn: &str| PoolArn::of(json!({"Arn": arn}).as_object().unwrap());
    let pool = of("arn:aws-cn:cognito-idp:cn-north-1:111122223333:userpool/cn-north-1_a").unwrap();
    assert_eq!((pool.region(), pool.account()), ("cn-north-1", "111122223333"));
    let function = pool.function("define").unwrap();
    assert_eq!(function.as_str(), "arn:aws-cn:lambda:cn-north-1:111122223333:function:define");
    assert!(pool.function("").is_err());
    for wrong in ["", "arn:aws:cognito-idp:eu-west-1:111122223333", "arn:aws:lambda:eu-west-1:1:function:define"] {
        assert_eq!(of(wrong).unwrap_err(), "DescribeUserPool: the pool has no ARN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lambda_tells_of_a_function_is_kept_as_it_is() {
    let account = account("account-function").await;
    account.fates(|_, before| match before {
        0 => {
            let environment = json!({"Variables": {"A": "b", "C": ""}});
            Fate::Replace(
                json!({"State": "Pending", "LastUpdateStatus": "InProgress", "Timeout": 7, "Environment": environment}),
            )
        }
        1 => Fate::Replace(json!({})),
        2 => {
            let error = json!({"ErrorCode": "AccessDeniedException", "Message": "kms"});
            Fate::Replace(json!({"Environment": {"Error": error}}))
        }
        _ => Fate::Fail(404, "ResourceNotFoundException", "Function not found"),
    });
    let calls = connect(&account).await;
    let function = Arn::parse(&arn("define")).unwrap();
    let told = |facts: Option<FunctionFacts>| {
        let facts = facts.unwrap();
        json!([facts.state, facts.last_update, facts.timeout, facts.variables.unwrap()])
    };
    let expected = json!(["Pending", "InProgress", 7, {"A": "b", "C": ""}]);
    assert_eq!(told(calls.function(&function).await.unwrap()), expected);
    assert_eq!(told(calls.function(&function).await.unwrap()), json!(["", "", 0, {}]));
    let untold = calls.function(&function).await.unwrap().unwrap().variables.unwrap_err();
    assert!(untold.ends_with(": the environment is not told: kms"), "{untold}");
    assert!(calls.function(&function).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ses_does_not_have_is_told_apart_from_what_it_does_not_tell() {
    let account = account("account-ses").await;
    account.fates(|_, _| Fate::Fail(404, "NotFoundException", "there is none"));
    let ses = connect(&account).await.ses(None);
    assert_eq!((ses.identity("example.com").await, ses.configuration_set("set").await), (Ok(None), Ok(None)));
    account.fates(|_, _| Fate::Fail(403, "AccessDeniedException", "no"));
    let refused = ses.identity("example.com").await.unwrap_err();
    assert_eq!(refused, "ses GetEmailIdentity of example.com: AccessDeniedException: no");
    let refused = ses.configuration_set("set").await.unwrap_err();
    assert_eq!(refused, "ses GetConfigurationSet of set: AccessDeniedException: no");
    let told = json!({"SendingOptions": {"SendingEnabled": false}});
    let reply = told.clone();
    account.fates(move |_, _| Fate::Replace(reply.clone()));
    let told = told.as_object().cloned();
    assert_eq!(ses.configuration_set("set").await, Ok(told.clone()));
    assert_eq!(ses.identity("example.com").await, Ok(told));
}

/// Only a pool on this machine is talked to without anybody's credentials, and only there are no stacks.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_elsewhere_wants_credentials_and_may_have_stacks() {
    let mut account = account("account-elsewhere").await;
    account.endpoint = account.endpoint.replace("127.0.0.1", "0.0.0.0");
    let nobody = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let ended = account.run_in(&["doctor"], &nobody);
    let words = "(sign in as for the AWS CLI: AWS_PROFILE, `aws sso login`, or AWS_ACCESS_KEY_ID and its like; after `aws login`: \
                 eval \"$(aws configure export-credentials --format env)\")";
    assert!(ended.error().starts_with("DescribeUserPool: ") && ended.error().ends_with(words), "{ended:?}");
    account.fates(|operation, _| match operation {
        "ListStackResources" => Fate::Replace(json!({"not": "CloudFormation's language"})),
        _ => Fate::Pass,
    });
    let somebody = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let ended = account.run_in(&["attach", "--stack", "sign-in"], &somebody);
    assert!(ended.error().starts_with("ListStackResources of sign-in: "), "{ended:?}");
    assert!(!ended.error().contains("a local pool"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_once_what_each_of_its_causes_says() {
    let mut account = account("account-nobody").await;
    account.endpoint = "http://127.0.0.1:1".to_owned();
    let ended = account.run(&["doctor"]);
    assert!(ended.error().starts_with("DescribeUserPool: dispatch failure: "), "{ended:?}");
    for words in ["dispatch failure", "io error", "Connection refused"] {
        assert_eq!(ended.error().matches(words).count(), 1, "{ended:?}");
    }
}
