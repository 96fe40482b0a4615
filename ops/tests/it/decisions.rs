//! What is decided without an account.

use std::collections::BTreeSet;

use aws_sdk_cognitoidentityprovider::operation::update_user_pool::UpdateUserPoolInput;
use aws_sdk_cognitoidentityprovider::types::UserPoolType;
use custom_auth_ops::permission::{Grant, grant, widest};
use custom_auth_ops::settings::{NOT_SET, WRITTEN_BACK, differences, write_back};
use custom_auth_ops::triggers::Arn;
use serde_json::{Value, json};

/// Fails when the SDK gains a member. Then it is to be found out how it is written back.
#[test]
fn every_member_of_a_described_pool_is_known_to_be_written_back_or_not() {
    let update: BTreeSet<&str> =
        UpdateUserPoolInput::SCHEMA.members().iter().filter_map(|member| member.member_name()).collect();
    let written = WRITTEN_BACK.into_iter().chain(["UserPoolId", "PoolName"]);
    assert_eq!(update, written.collect());
    let pool: BTreeSet<&str> =
        UserPoolType::SCHEMA.members().iter().filter_map(|member| member.member_name()).collect();
    assert_eq!(pool, WRITTEN_BACK.into_iter().chain(NOT_SET).chain(["Name"]).collect());
}

#[test]
fn what_aws_tells_twice_and_takes_once_is_written_once() {
    let check = |pool: Value, expected: Value| {
        assert_eq!(Value::Object(write_back(pool.as_object().unwrap()).unwrap()), expected, "{pool}");
    };
    check(
        json!({"Id": "a", "Name": "b", "Arn": "c", "Status": null, "Unheard": null}),
        json!({"UserPoolId": "a", "PoolName": "b"}),
    );
    let admin = json!({"AllowAdminCreateUserOnly": true, "UnusedAccountValidityDays": 7});
    let policies = json!({"PasswordPolicy": {"TemporaryPasswordValidityDays": 7}});
    check(
        json!({"AdminCreateUserConfig": admin, "Policies": policies}),
        json!({"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": true}, "Policies": policies}),
    );
    // A pool that is so old that it has nothing else.
    check(json!({"AdminCreateUserConfig": admin}), json!({"AdminCreateUserConfig": admin}));
    let template = json!({"DefaultEmailOption": "CONFIRM_WITH_CODE", "EmailMessage": "a", "SmsMessage": "b"});
    check(
        json!({"EmailVerificationMessage": "a", "SmsVerificationMessage": "b", "VerificationMessageTemplate": template}),
        json!({"VerificationMessageTemplate": template}),
    );
    // Which of two is right, we cannot know; AWS may.
    let two = json!({"EmailVerificationMessage": "c", "EmailVerificationSubject": "d", "VerificationMessageTemplate": template});
    check(two.clone(), two);
}

#[test]
fn differences_are_named_by_path_whatever_their_order() {
    let check = |before: Value, after: Value, expected: &[&str]| {
        assert_eq!(differences(before.as_object().unwrap(), after.as_object().unwrap()), expected);
    };
    check(
        json!({"a": {"b": [1, 2]}, "LastModifiedDate": 1}),
        json!({"a": {"b": [2, 1]}, "EstimatedNumberOfUsers": 4}),
        &[],
    );
    check(json!({"a": {"b": 1, "c": null}}), json!({"a": {"b": 2}}), &["a.b: 1 -> 2"]);
    check(json!({"a": {"b": [1, 2]}}), json!({"a": {"b": [1, 3]}}), &["a.b: [1,2] -> [1,3]"]);
    check(json!({"a": 1}), json!({"b": [{"c": "d"}]}), &["a: 1 -> nothing", "b: nothing -> [{\"c\":\"d\"}]"]);
    let long = "x".repeat(5_000);
    let expected = format!("a: \"{}… -> \"\"", "x".repeat(59));
    check(json!({"a": long}), json!({"a": ""}), &[&expected]);
}

#[test]
fn a_functions_arn_is_one_with_or_without_an_alias() {
    let arn = Arn::parse("arn:aws-cn:lambda:cn-north-1:111122223333:function:define:live").unwrap();
    assert_eq!(arn.unqualified(), "arn:aws-cn:lambda:cn-north-1:111122223333:function:define");
    assert_eq!((arn.qualifier(), arn.region()), (Some("live"), "cn-north-1"));
    let arn = Arn::parse("arn:aws:lambda:eu-west-1:111122223333:function:define").unwrap();
    assert_eq!((arn.unqualified(), arn.qualifier()), (arn.as_str(), None));
    for wrong in [
        "",
        "define",
        "arn:aws:lambda:eu-west-1:111122223333:function",
        "arn:aws:lambda:eu-west-1:111122223333:function:",
        "arn:aws:lambda:eu-west-1:111122223333:layer:define",
        "arn:aws:sns:eu-west-1:111122223333:function:define",
        "arn:aws:lambda:eu-west-1:111122223333:function:define:",
        "arn:aws:lambda:eu-west-1:111122223333:function:define:live:more",
    ] {
        assert!(Arn::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn r48_a_policy_is_read_as_lambda_reads_it() {
    let pool = "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_a";
    let cognito = json!({"Service": "cognito-idp.amazonaws.com"});
    let statement = |condition: Value| json!({"Effect": "Allow", "Principal": cognito, "Action": "lambda:InvokeFunction", "Condition": condition});
    let check = |statement: Value, expected: Grant| {
        assert_eq!(grant(&json!({"Statement": [statement]}), pool), expected, "{statement}");
    };
    let arn = json!({"AWS:SourceArn": pool});
    let account = json!({"AWS:SourceAccount": "111122223333"});
    let both = statement(json!({"ArnLike": arn, "StringEquals": account}));
    check(both.clone(), Grant::ByArnAndAccount);
    check(statement(json!({"ArnLike": arn})), Grant::ByArn);
    check(
        statement(json!({"ArnLike": {"aws:SourceArn": "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/*"}})),
        Grant::ByArn,
    );
    check(statement(json!({"StringEquals": account})), Grant::ByAccount);
    check(statement(json!({})), Grant::Any);
    check(statement(json!({"ArnLike": {"AWS:SourceArn": format!("{pool}b")}})), Grant::None);
    check(statement(json!({"ArnLike": arn, "StringEquals": {"AWS:SourceAccount": "999"}})), Grant::None);
    check(statement(json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}})), Grant::None);
    check(statement(json!({"StringNotEquals": account})), Grant::None);
    for (member, value) in [
        ("Effect", json!("Deny")),
        ("Principal", json!({"Service": "apigateway.amazonaws.com"})),
        ("Principal", json!({"AWS": "arn:aws:iam::111122223333:root"})),
        ("Action", json!("lambda:GetFunction")),
    ] {
        let mut other = both.clone();
        other[member] = value;
        check(other, Grant::None);
    }
    let mut open = both.clone();
    open["Principal"] = json!("*");
    open["Action"] = json!(["lambda:GetFunction", "lambda:*"]);
    check(open, Grant::ByArnAndAccount);
    let mut denied = statement(json!({}));
    denied["Effect"] = json!("Deny");
    assert_eq!(grant(&json!({"Statement": [both, denied]}), pool), Grant::None);
    // The best of several, and a list of one without its brackets.
    let several = json!({"Statement": [statement(json!({})), both.clone()]});
    assert_eq!((grant(&several, pool), widest(&several, pool)), (Grant::ByArnAndAccount, Grant::Any));
    let of_others = json!({"Statement": [statement(json!({"ArnLike": {"AWS:SourceArn": "arn:x"}})), both.clone()]});
    assert_eq!(widest(&of_others, pool), Grant::ByArnAndAccount);
    assert_eq!(grant(&json!({"Statement": both}), pool), Grant::ByArnAndAccount);
    assert_eq!(grant(&json!({}), pool), Grant::None);
}
