//! What the environment may say.

use std::fmt::Debug;

use auth_challenge::code::Alphabet;
use auth_challenge::settings::{
    AdmissionSettings, AwsSettings, ChallengeSettings, CreateSettings, DefineSettings, EXAMPLE_CODE_KEY, EmailDomains,
    LimitsSettings, LogSettings, Lookup, MailSettings, PostAuthenticationSettings, PreAuthenticationSettings,
    PreSignUpSettings, PreTokenGenerationSettings, SesSettings, SettingsError, VerifySettings,
};

use crate::example::settings;

/// Reads all that the four functions read.
pub(crate) fn read(given: &[(&str, &str)]) -> Result<(), SettingsError> {
    fn one<T: Debug>(
        from_vars: impl Fn(Lookup<'_>) -> Result<T, SettingsError>,
        given: &[(&str, &str)],
    ) -> Result<(), SettingsError> {
        settings(from_vars, given).map(drop)
    }
    one(PreAuthenticationSettings::from_vars, given)?;
    one(PreSignUpSettings::from_vars, given)?;
    one(PreTokenGenerationSettings::from_vars, given)?;
    one(PostAuthenticationSettings::from_vars, given)?;
    one(LogSettings::from_vars, given)?;
    one(DefineSettings::from_vars, given)?;
    one(CreateSettings::from_vars, given)?;
    one(VerifySettings::from_vars, given)?;
    one(MailSettings::from_vars, given)?;
    one(SesSettings::from_vars, given)?;
    // Of each setting by itself, whatever it comes to with the others.
    let accepted: Vec<_> = given.iter().copied().chain([("ACCEPT_RISK", "1")]).collect();
    one(LimitsSettings::from_vars, if given.iter().any(|(name, _)| *name == "ACCEPT_RISK") { given } else { &accepted })
}

fn check(given: &[(&str, &str)], expected: &str) {
    let error = read(given).expect_err(expected);
    assert_eq!(error.to_string(), expected, "{given:?}");
    assert_eq!(format!("{error:?}"), expected);
}

#[test]
fn the_defaults() {
    let challenge = settings(ChallengeSettings::from_vars, &[]).unwrap();
    assert_eq!((challenge.format.alphabet, challenge.format.length()), (Alphabet::Digits, 8));
    assert_eq!((challenge.validity.as_secs(), challenge.max_attempts), (600, 3));
    let create = settings(CreateSettings::from_vars, &[]).unwrap();
    assert_eq!((create.max_mails, create.resend_after.as_secs(), create.parameter_round), (3, 30, false));
    let admission = settings(AdmissionSettings::from_vars, &[]).unwrap();
    assert!(!admission.maintenance && admission.allowed_client_ids.is_empty());
    assert!(settings(EmailDomains::from_vars, &[]).unwrap().admit("example.com"));
    let mail = settings(MailSettings::from_vars, &[]).unwrap();
    assert_eq!((&*mail.app_name, mail.default_locale.as_str()), ("example.com", "en"));
    assert!(mail.app_domain.is_none() && mail.template_dir.is_none() && !mail.code_in_subject);
    assert_eq!(create.greeting_attribute, None);
}

/// The bounds of the numbers.
pub(crate) const NUMBERS: [(&str, u64, u64); 10] = [
    ("CODE_LENGTH", 6, 16),
    ("CODE_VALIDITY_SECONDS", 60, 600),
    ("MAX_ATTEMPTS", 1, 5),
    ("MAX_MAILS", 1, 5),
    ("RESEND_AFTER_SECONDS", 10, 300),
    ("MAIL_BURST", 1, 10),
    ("MAIL_INTERVAL_SECONDS", 10, 3_600),
    ("MAILS_PER_DAY", 1, 200),
    ("SLOW_DOWN_AFTER_FAILURES", 3, 50),
    ("LATCH_AFTER_FAILURES", 10, 100),
];

#[test]
fn f59_numbers_have_bounds() {
    for (variable, from, to) in NUMBERS {
        let expected = format!("{variable} must be a whole number from {from} to {to}");
        for good in [from, to] {
            assert_eq!(read(&[(variable, &good.to_string())]), Ok(()));
        }
        let (below, above) = ((from - 1).to_string(), (to + 1).to_string());
        for bad in [&below, &above, "", " ", "-8", "8.0", "8 ", "eight", "0x8", "18446744073709551616", "٨"] {
            check(&[(variable, bad)], &expected);
        }
    }
}

#[test]
fn f59_words_are_taken_literally() {
    for (variable, good, expected) in [
        ("CODE_ALPHABET", &["digits", "letters"], "digits or letters"),
        ("SHOW_DESTINATION", &["none", "masked"], "none or masked"),
        ("PARAMETER_ROUND", &["true", "false"], "false or true"),
        ("PASSWORD_FIRST", &["true", "false"], "false or true"),
        ("MAINTENANCE", &["true", "false"], "false or true"),
        ("CODE_IN_SUBJECT", &["true", "false"], "false or true"),
    ] {
        for word in good {
            assert_eq!(read(&[(variable, word)]), Ok(()));
        }
        for bad in ["", " ", "1", "yes", "TRUE", "Digits", "true "] {
            check(&[(variable, bad)], &format!("{variable} must be {expected}"));
        }
    }
}

#[test]
fn f59_lists_are_read_entry_by_entry() {
    for (variable, good, bad, expected) in [
        ("ALLOWED_CLIENT_IDS", "1example23456789, another", "a b", "app client ids with commas between"),
        (
            "ALLOWED_EMAIL_DOMAINS",
            "example.com,*.example.org",
            "alice@example.com",
            "domains such as example.com or *.example.com with commas between",
        ),
        (
            "BLOCKED_EMAIL_DOMAINS",
            " Example.COM ",
            "*",
            "domains such as example.com or *.example.com with commas between",
        ),
        (
            "REQUIRED_CLIENT_METADATA",
            "tenant=custom:tenant, termsAccepted",
            "=custom:tenant",
            "keys, or keys and attributes such as tenant=custom:tenant, with commas between",
        ),
    ] {
        for good in [good, "", "  "] {
            assert_eq!(read(&[(variable, good)]), Ok(()), "{variable}");
        }
        for bad in [bad, ",", "example.com,", &format!("{good},,")] {
            check(&[(variable, bad)], &format!("{variable} must be {expected}"));
        }
    }
}

#[test]
fn f52_a_key_is_a_long_secret_of_your_own() {
    let expected = "CODE_KEY must be a secret of 32 to 256 printable ASCII characters without spaces";
    let short = "x".repeat(31);
    let long = "x".repeat(257);
    let spaced = "x ".repeat(32);
    let reference = "{{resolve:secretsmanager:arn:aws:secretsmanager:eu-west-1:111122223333:secret:CodeKey}}";
    for bad in ["", &short, &long, &spaced, "schlüssel-schlüssel-schlüssel-schlüssel", reference] {
        check(&[("CODE_KEY", bad)], expected);
    }
    check(&[("CODE_KEY_PREVIOUS", &short)], &expected.replace("KEY", "KEY_PREVIOUS"));
    for good in [&"x".repeat(32), &"~".repeat(256)] {
        assert_eq!(read(&[("CODE_KEY", good)]), Ok(()));
    }
    assert_eq!(read(&[("CODE_KEY_PREVIOUS", "")]), Ok(()));

    let published = "CODE_KEY must be a secret of your own: this one is published with the event fixtures";
    check(&[("CODE_KEY", EXAMPLE_CODE_KEY)], published);
    check(&[("CODE_KEY", EXAMPLE_CODE_KEY), ("AWS_SAM_LOCAL", "false")], published);
    assert_eq!(read(&[("CODE_KEY", EXAMPLE_CODE_KEY), ("AWS_SAM_LOCAL", "true")]), Ok(()));
}

#[test]
fn f59_the_mail_needs_a_sender() {
    let expected = "an e-mail address that SES may send from, or a name and one: Acme <sign-in@example.com>";
    for bad in ["", "sign-in", "<sign-in>", "a@example.com,b@example.com", "A\r\nBcc: eve@evil.example <a@example.com>"]
    {
        check(&[("SES_FROM_ADDRESS", bad)], &format!("SES_FROM_ADDRESS must be {expected}"));
    }
    assert_eq!(read(&[("SES_FROM_ADDRESS", "ログイン <sign-in@example.com>")]), Ok(()));
}

#[test]
fn what_people_sign_in_to_is_named_or_called_like_the_sender() {
    let long = "x".repeat(65);
    for bad in ["Acme\nBcc: eve@evil.example", "Ac\u{2028}me", "\u{202e}Acme", "   ", &long] {
        check(&[("APP_NAME", bad)], "APP_NAME must be 1 to 64 characters without line breaks");
    }
    let name = |given: &[(&str, &str)]| settings(MailSettings::from_vars, given).unwrap().app_name;
    let sender = ("SES_FROM_ADDRESS", "Acme <sign-in@mail.example.com>");
    assert_eq!(name(&[sender, ("APP_NAME", "Ächme & Söhne 株式会社")]), "Ächme & Söhne 株式会社");
    assert_eq!(name(&[sender, ("APP_NAME", "")]), "Acme");
    assert_eq!(name(&[("SES_FROM_ADDRESS", "sign-in@mail.example.com")]), "mail.example.com");
}

#[test]
fn f59_what_may_be_left_out_is_checked_when_it_is_there() {
    for (variable, good, bad, expected) in [
        ("SES_REPLY_TO_ADDRESS", "help@example.com", "Help <help@example.com>", "an e-mail address"),
        (
            "SES_CONFIGURATION_SET",
            "sign-in_codes",
            "sign in",
            "the name of a configuration set: 1 to 64 letters, digits, hyphens and underscores",
        ),
        (
            "SES_IDENTITY_ARN",
            "arn:aws:ses:eu-west-1:111122223333:identity/example.com",
            "arn:aws:sns:eu-west-1:111122223333:identity/example.com",
            "the ARN of an SES identity in the region that sends: arn:aws:ses:<region>:<account>:identity/<domain or address>",
        ),
        (
            "LIMITS_TABLE",
            "my.limits_table-1",
            "my limits",
            "the name of a DynamoDB table: 3 to 255 letters, digits, dots, hyphens and underscores",
        ),
        ("SES_REGION", "us-gov-west-1", "Ireland", "a region such as eu-west-1"),
        ("APP_DOMAIN", "example.com", "https://example.com", "a domain such as example.com"),
        ("DEFAULT_LOCALE", "pt_BR", "português", "a language tag such as en or pt-BR"),
        ("GREETING_ATTRIBUTE", "custom:first-name", "given name", "the name of a user attribute"),
    ] {
        for good in [good, ""] {
            assert_eq!(read(&[(variable, good)]), Ok(()), "{variable}");
        }
        let long = format!("{good}{}", "x".repeat(300));
        let long = if variable == "SES_IDENTITY_ARN" { " " } else { &long };
        for bad in [bad, long, "a\nb", "{{resolve:ssm:name}}"] {
            check(&[(variable, bad)], &format!("{variable} must be {expected}"));
        }
    }
    assert_eq!(read(&[("TEMPLATE_DIR", "mail-templates")]), Ok(()));
    for bad in [
        "arn:aws:ses:::identity/a.b",
        "arn:aws:ses:eu-west-1:1:identity/example.com",
        "arn:AWS:ses:eu-west-1:111122223333:identity/example.com",
        "arn:aws2:ses:eu-west-1:111122223333:identity/example.com",
        "arn:-aws:ses:eu-west-1:111122223333:identity/example.com",
        "*",
    ] {
        assert!(read(&[("SES_IDENTITY_ARN", bad)]).is_err(), "{bad}");
    }
    for good in [
        "arn:aws-us-gov:ses:us-gov-west-1:111122223333:identity/example.com",
        "arn:aws:ses:eu-west-1:111122223333:identity/sign-in@example.com",
    ] {
        assert_eq!(read(&[("SES_IDENTITY_ARN", good)]), Ok(()), "{good}");
    }
    let arn = ("SES_IDENTITY_ARN", "arn:aws:ses:eu-west-1:111122223333:identity/example.com");
    for (region, fits) in [("AWS_REGION", true), ("SES_REGION", true)] {
        assert_eq!(read(&[arn, (region, "eu-west-1")]).is_ok(), fits);
        assert_eq!(read(&[arn, (region, "eu-central-1")]).is_ok(), !fits);
    }
    assert_eq!(read(&[arn, ("AWS_REGION", "us-east-1"), ("SES_REGION", "eu-west-1")]), Ok(()));
}

#[test]
fn f59_what_lines_of_the_log_are_told_apart_by_is_short_and_plain() {
    for (variable, longest) in [("POWERTOOLS_SERVICE_NAME", 128), ("POWERTOOLS_METRICS_NAMESPACE", 255)] {
        let read = |name: &str| settings(LogSettings::from_vars, &[(variable, name)]).map(drop);
        for good in ["", "my-stack", "a.b-c_d/e#f:1", &"x".repeat(longest)] {
            assert_eq!(read(good), Ok(()), "{good}");
        }
        for bad in ["my stack", "a\nb", "\"", "é", "{{resolve:ssm:name}}", &"x".repeat(longest + 1)] {
            let error = read(bad).unwrap_err().to_string();
            assert_eq!(error, format!("{variable} must be 1 to {longest} letters, digits or . - _ / # :"), "{bad}");
        }
    }
}

#[test]
fn f59_lambdas_own_variables_have_to_be_there() {
    let read = |given: &[(&str, &str)]| {
        let mut vars = std::collections::BTreeMap::from([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]);
        vars.extend(given.iter().copied());
        AwsSettings::from_vars(&|name| vars.get(name).map(|value| (*value).to_owned()))
    };
    let error = |given: &[(&str, &str)]| read(given).err().unwrap().to_string();
    for variable in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert_eq!(error(&[(variable, "")]), format!("{variable} must be set, as Lambda sets it"));
    }
    let endpoint = |given: &[(&str, &str)]| read(given).ok().unwrap().ses_endpoint_url;
    let (ses, all) = (("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:1"), ("AWS_ENDPOINT_URL", "https://aws.example"));
    assert_eq!(endpoint(&[]), None);
    assert_eq!(endpoint(&[("AWS_ENDPOINT_URL_SESV2", "")]), None);
    assert_eq!(endpoint(&[all]), Some("https://aws.example".to_owned()));
    assert_eq!(endpoint(&[all, ses]), Some("http://127.0.0.1:1".to_owned()));
    for variable in
        ["AWS_ENDPOINT_URL_SESV2", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"]
    {
        for bad in ["127.0.0.1:9229", "ftp://127.0.0.1"] {
            assert_eq!(error(&[(variable, bad)]), format!("{variable} must be an http or https URL"));
        }
    }
    let token = |given: &[(&str, &str)]| read(given).ok().unwrap().session_token.map(|token| token.to_string());
    assert_eq!(token(&[("AWS_SESSION_TOKEN", "")]), None);
    assert_eq!(token(&[("AWS_SESSION_TOKEN", "t")]), Some("t".to_owned()));
    let version = |given: &[(&str, &str)]| read(given).ok().unwrap().function_version;
    assert_eq!(version(&[("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")]), Some("$LATEST".to_owned()));
}

/// Whatever a function reads and cannot use stops it, also where another function would have said so, too.
#[test]
fn f59_g23_each_function_refuses_every_variable_that_it_reads_and_cannot_use_alone_and_in_pairs() {
    fn check<T: Debug>(from_vars: impl Fn(Lookup<'_>) -> Result<T, SettingsError>, variables: &[&str]) {
        assert!(settings(&from_vars, &[]).is_ok());
        for variable in variables {
            let error = settings(&from_vars, &[(variable, ",\n,")]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{variable} must be ")), "{error}");
            for other in variables {
                let error = settings(&from_vars, &[(variable, ",\n,"), (other, ",\n,")]).unwrap_err().to_string();
                assert!([variable, other].iter().any(|name| error.starts_with(&format!("{name} must be "))), "{error}");
            }
        }
    }
    let challenge = ["CODE_ALPHABET", "CODE_LENGTH", "CODE_KEY", "CODE_VALIDITY_SECONDS", "MAX_ATTEMPTS"];
    let rules = ["MAINTENANCE", "ALLOWED_CLIENT_IDS"];
    let domains = ["ALLOWED_EMAIL_DOMAINS", "BLOCKED_EMAIL_DOMAINS"];
    let recipients = [&domains[..], &["VERIFY_BY_CODE"]].concat();
    check(ChallengeSettings::from_vars, &challenge);
    check(PreAuthenticationSettings::from_vars, &[&rules[..], &domains, &["REQUIRED_CLIENT_METADATA"]].concat());
    check(PreSignUpSettings::from_vars, &[&rules[..], &domains, &["AUTO_CONFIRM"]].concat());
    let issuing = ["PASSWORD_FIRST", "ONLY_BY_CODE", "SIGN_IN_CLAIMS"];
    check(PreTokenGenerationSettings::from_vars, &[&rules[..], &recipients, &issuing].concat());
    check(PostAuthenticationSettings::from_vars, &[&recipients[..], &["CODE_KEY", "LIMITS_TABLE"]].concat());
    check(DefineSettings::from_vars, &[&challenge[..], &rules, &recipients, &["PASSWORD_FIRST"]].concat());
    check(VerifySettings::from_vars, &[&challenge[..], &recipients].concat());
    let making = ["MAX_MAILS", "RESEND_AFTER_SECONDS", "PARAMETER_ROUND", "SHOW_DESTINATION", "GREETING_ATTRIBUTE"];
    check(CreateSettings::from_vars, &[&challenge[..], &recipients, &making].concat());
    check(
        MailSettings::from_vars,
        &["SES_FROM_ADDRESS", "APP_NAME", "APP_DOMAIN", "DEFAULT_LOCALE", "CODE_IN_SUBJECT"],
    );
    check(SesSettings::from_vars, &["SES_FROM_ADDRESS", "SES_REPLY_TO_ADDRESS", "SES_CONFIGURATION_SET", "SES_REGION"]);
    let mails = ["LIMITS_TABLE", "MAIL_BURST", "MAIL_INTERVAL_SECONDS", "MAILS_PER_DAY"];
    let failures = ["SLOW_DOWN_AFTER_FAILURES", "LATCH_AFTER_FAILURES", "ACCEPT_RISK"];
    check(LimitsSettings::from_vars, &[&challenge[..], &mails, &failures].concat());
    let log = ["POWERTOOLS_LOG_LEVEL", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_DISABLED"];
    check(LogSettings::from_vars, &log);
    // Without a table this one is read for it.
    let without_table = [("LIMITS_TABLE", ""), ("VERIFY_BY_CODE", "perhaps")];
    let error = settings(LimitsSettings::from_vars, &without_table).unwrap_err().to_string();
    assert_eq!(error, "VERIFY_BY_CODE must be false or true");
}

#[test]
fn f59_what_is_required_is_missed() {
    let nothing = |_: &str| None;
    for error in [
        DefineSettings::from_vars(&nothing).unwrap_err(),
        CreateSettings::from_vars(&nothing).unwrap_err(),
        VerifySettings::from_vars(&nothing).unwrap_err(),
    ] {
        assert!(error.to_string().starts_with("CODE_KEY must be "));
    }
    assert!(MailSettings::from_vars(&nothing).unwrap_err().to_string().starts_with("SES_FROM_ADDRESS must be "));
    assert!(PreAuthenticationSettings::from_vars(&nothing).is_ok());
}
