//! README, ARCHITECTURE and template say what is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use auth_challenge::settings::{
    CreateSettings, DefineSettings, LimitsSettings, LogSettings, Lookup, MailSettings, PostAuthenticationSettings,
    PreAuthenticationSettings, PreSignUpSettings, PreTokenGenerationSettings, SesSettings, SettingsError, VARIABLES,
    VerifySettings,
};

use crate::running::workspace;

fn read(file: &str) -> String {
    fs::read_to_string(workspace().join(file)).unwrap()
}

/// What the functions make of these variables, beside the required ones.
fn settings(vars: &BTreeMap<String, String>) -> Result<String, SettingsError> {
    let vars: Lookup<'_> = &|name| match name {
        "CODE_KEY" => Some("x".repeat(32)),
        "SES_FROM_ADDRESS" => vars.get(name).cloned().or(Some("sign-in@example.com".to_owned())),
        // As the template has it, unless it is told not to.
        "LIMITS_TABLE" => vars.get(name).cloned().or(Some("limits".to_owned())),
        // Of bounds alone, which allow more than is wise.
        "ACCEPT_RISK" => vars.get(name).cloned().or(Some("1".to_owned())),
        _ => vars.get(name).cloned(),
    };
    Ok(format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        PreAuthenticationSettings::from_vars(vars)?,
        DefineSettings::from_vars(vars)?,
        CreateSettings::from_vars(vars)?,
        VerifySettings::from_vars(vars)?,
        MailSettings::from_vars(vars)?,
        SesSettings::from_vars(vars)?,
        LimitsSettings::from_vars(vars)?,
        LogSettings::from_vars(vars)?,
        PreSignUpSettings::from_vars(vars)?,
        PreTokenGenerationSettings::from_vars(vars)?,
        PostAuthenticationSettings::from_vars(vars)?,
    ))
}

/// The parameters of the template: name, then attribute and value. Good for this template, not for YAML at large.
fn template_parameters() -> BTreeMap<String, BTreeMap<String, String>> {
    let template = read("template.yaml");
    let (_, parameters) = template.split_once("\nParameters:\n").unwrap();
    let (parameters, _) = parameters.split_once("\nRules:\n").unwrap();
    let mut found = BTreeMap::<String, BTreeMap<String, String>>::new();
    let mut name = String::new();
    for line in parameters.lines().filter(|line| !line.is_empty()) {
        let (key, value) = line.trim().split_once(':').unwrap();
        if line.starts_with("    ") {
            let value = value.trim().trim_matches('"').to_owned();
            found.get_mut(&name).unwrap().insert(key.to_owned(), value);
        } else {
            name = key.to_owned();
            found.insert(name.clone(), BTreeMap::new());
        }
    }
    found
}

/// Which parameter each variable is set from.
fn template_variables() -> BTreeMap<String, String> {
    let template = read("template.yaml");
    let lines = template.lines().filter_map(|line| line.trim().split_once(": !Ref "));
    lines
        .filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .map(|(name, parameter)| (name.to_owned(), parameter.to_owned()))
        .collect()
}

#[test]
fn the_template_sets_every_variable() {
    let mut set: BTreeSet<String> = template_variables().into_keys().collect();
    // Those that are not one parameter each.
    for (variable, value) in [
        ("CODE_KEY", "!Sub \"{{resolve:secretsmanager:${CodeKey}}}\""),
        ("SES_FROM_ADDRESS", "!Sub \"${SESFromName} <${SESFromAddress}>\""),
        ("LIMITS_TABLE", "!If [CountsAcrossSignIns, !Ref LimitsTable, \"\"]"),
        ("POWERTOOLS_SERVICE_NAME", "!Sub \"${AWS::StackName}\""),
    ] {
        assert!(read("template.yaml").contains(&format!("{variable}: {value}\n")));
        set.insert(variable.to_owned());
    }
    assert_eq!(set, VARIABLES.map(str::to_owned).into());
}

#[test]
fn the_templates_defaults_are_ours() {
    let parameters = template_parameters();
    let defaults = template_variables()
        .into_iter()
        .filter_map(|(variable, parameter)| Some((variable, parameters[&parameter].get("Default")?.clone())))
        .collect();
    assert_eq!(settings(&defaults), settings(&BTreeMap::new()));
}

#[test]
fn the_templates_bounds_are_ours() {
    let parameters = template_parameters();
    let mut numbers = 0;
    for (variable, parameter) in template_variables() {
        let attributes = &parameters[&parameter];
        let takes = |value: String| settings(&BTreeMap::from([(variable.clone(), value)])).is_ok();
        if let (Some(min), Some(max)) = (attributes.get("MinValue"), attributes.get("MaxValue")) {
            let (min, max): (u64, u64) = (min.parse().unwrap(), max.parse().unwrap());
            let taken = [min - 1, min, max, max + 1].map(|value| takes(value.to_string()));
            assert_eq!(taken, [false, true, true, false], "{variable}");
            numbers += 1;
        }
        for word in
            attributes.get("AllowedValues").into_iter().flat_map(|list| list.trim_matches(['[', ']']).split(", "))
        {
            assert!(takes(word.trim_matches('"').to_owned()), "{variable}: {word}");
        }
    }
    assert_eq!(numbers, 10);
}

/// T44: what a parameter lets through goes into policies and into functions that would stop at their start.
#[test]
fn t44_the_templates_patterns_let_nothing_through_that_we_refuse() {
    let values = [
        "",
        "*",
        "a",
        "a b",
        "a@b",
        "a@b.1",
        "jürgen@example.com",
        "Acme<a@b.com",
        "a@b.com,c@d.com",
        "a@example.com",
        "O'Neill+tag@sub.example.co.uk",
        "example.com",
        "*.example.com",
        "https://example.com",
        "example",
        "127.0.0.1",
        "arn:aws:ses:::identity/a.b",
        "arn:aws:ses:eu-west-1:111122223333:identity/*",
        "arn:aws:ses:eu-west-1:111122223333:identity/example.com",
        "arn:aws:ses:eu-west-1:111122223333:identity/a@example.com",
        "arn:aws:sns:eu-west-1:111122223333:identity/example.com",
        "eu-west-1",
        "us-gov-west-1",
        "Ireland",
        "eu_west_1",
        "en",
        "pt_BR",
        "zh-Hans-CN",
        "e",
        "en-",
        "português",
        "given_name",
        "custom:first-name",
        "dev:custom:x",
        "given name",
        "codes",
        "my_set-1",
        "{{resolve:ssm:x}}",
        "${AWS::AccountId}",
        "a\nb",
        "\u{202e}",
        "0",
        "1",
        "0.5",
        "1.5",
        ".25",
        "-1",
        "NaN",
        "Acme/sign-in:2",
        "two words",
        "a-key-of-more-than-32-printable-letters",
        "a key of more than 32 printable letters",
    ];
    let mut variables = template_variables();
    variables.insert("SES_FROM_ADDRESS".to_owned(), "SESFromAddress".to_owned());
    let parameters = template_parameters();
    let mut patterns = 0;
    for (variable, parameter) in variables {
        let Some(pattern) = pattern(&parameters[&parameter]) else { continue };
        let mut passed = 0;
        for value in values.iter().filter(|value| pattern.is_match(value)) {
            passed += usize::from(!value.is_empty());
            let taken = settings(&BTreeMap::from([(variable.clone(), (*value).to_owned())]));
            assert!(taken.is_ok(), "{parameter} lets {value:?} through: {taken:?}");
        }
        assert!(passed > 0, "{parameter} lets nothing through");
        patterns += 1;
    }
    assert_eq!(patterns, 16);
}

/// What a parameter takes; nothing if it takes anything.
fn pattern(attributes: &BTreeMap<String, String>) -> Option<regex_lite::Regex> {
    let pattern = attributes.get("AllowedPattern")?;
    // As YAML has it between quotation marks.
    Some(regex_lite::Regex::new(&pattern.replace("\\\"", "\"").replace("\\\\", "\\")).unwrap())
}

/// Otherwise a slip in a list would deploy, and stop every function at its start. Nor may a pattern refuse what they take.
#[test]
fn t44_the_templates_lists_and_names_are_those_that_we_take() {
    // With | between.
    let ids = "| |a|1example23456789|a_+|a, b ,c| a\n,\tb |,|a,|,a|a,,b|a b|a-b|a;b";
    let ids = [ids, &"a".repeat(128), &"a".repeat(129)].join("|");
    let domains = "| |example.com|*.example.com|a.b, *.c.d ,e.f| a.b\n,\n*.c.d\n|EXAMPLE.com|a.1b|a.1-1|xn--a.xn--b|,|a.b,|,a.b|a.b,,c.d|\
                   a.b c.d|a.b;c.d|com|*|*.com|*a.b|@a.b|me@a.b|a.b.|a..b|127.0.0.1|https://a.b|bücher.example";
    let needs =
        "| |tenant|tenant=custom:tenant|a, b=c ,d| a\n= b\n|a b|a=b=c|a==|ü|,|a,|,a|a,,b|=|=a|a=| =a|a= |a=,b|a, ,b";
    let names = "|Acme|Acme Shop| Acme |Söhne & Co. (1)|サインイン|a, b|\tAcme\n|a\nb|a\tb|a\u{7f}|a\u{85}b|a\u{202e}|\u{2066}a|a\u{2028}b";
    let parameters = template_parameters();
    for (variable, parameter, values) in [
        ("ALLOWED_CLIENT_IDS", "AllowedClientIds", &*ids),
        ("ALLOWED_EMAIL_DOMAINS", "AllowedEmailDomains", domains),
        ("BLOCKED_EMAIL_DOMAINS", "BlockedEmailDomains", domains),
        ("REQUIRED_CLIENT_METADATA", "RequiredClientMetadata", needs),
        ("APP_NAME", "AppName", names),
        ("APP_NAME", "AppName", " |\n|<\"Acme\">|\\"),
        ("SES_FROM_ADDRESS", "SESFromName", names),
        ("SES_FROM_ADDRESS", "SESFromName", " |\n|<|>|a\"b|\\|Eve <a@b.com>, a"),
    ] {
        let pattern = pattern(&parameters[parameter]).unwrap();
        for value in values.split('|') {
            let given = match variable {
                "SES_FROM_ADDRESS" => format!("{value} <sign-in@example.com>"),
                _ => value.to_owned(),
            };
            let taken = settings(&BTreeMap::from([(variable.to_owned(), given)]));
            assert_eq!(pattern.is_match(value), taken.is_ok(), "{parameter}: {value:?}: {taken:?}");
        }
    }
}

#[test]
fn every_variable_is_listed_with_its_default() {
    let settings_md = read("docs/settings.md");
    let mut listed = Vec::new();
    let mut defaults = BTreeMap::new();
    for row in settings_md.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').to_owned();
        if let Some(default) = cells[2].strip_prefix('`') {
            defaults.insert(name.clone(), default.trim_end_matches('`').to_owned());
        }
        listed.push(name);
    }
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), VARIABLES.map(str::to_owned).into());
    assert!(defaults.len() >= 10);
    assert_eq!(settings(&defaults), settings(&BTreeMap::new()));
}

#[test]
fn the_readme_is_short() {
    assert!(read("README.md").lines().count() < 150);
}

#[test]
fn the_code_map_names_every_source_file() {
    let map = read("ARCHITECTURE.md");
    let functions = ["functions/create-auth-challenge", "functions/post-authentication"];
    let packages = ["shared", "connection", "mail", "limits", "local-pool", "cli", "ops", "bench", "evidence"]
        .into_iter()
        .chain(functions);
    for package in packages {
        let (_, section) = map.split_once(&format!("\n- `{package}/src/`")).unwrap_or_else(|| panic!("no {package}"));
        let section = section.split("\n- `").next().unwrap();
        for file in files(&workspace().join(package).join("src")) {
            if !["lib.rs", "main.rs", "tests.rs"].contains(&&*file) {
                assert!(section.contains(&format!("`{file}`")), "{package}: {file} is not in ARCHITECTURE.md");
            }
        }
    }
}

/// The names of the files in a folder and those below it.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.file_name().into_string().unwrap()] }
        })
        .collect()
}

/// Invariants 2 and 6: what the functions are built of.
#[test]
fn r52_r61_each_function_can_call_the_services_that_it_needs_and_none_knows_the_local_pool() {
    for entry in fs::read_dir(workspace().join("functions")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let needs: &[&str] = match folder.file_name().unwrap().to_str().unwrap() {
            "create-auth-challenge" => &["aws-connection", "aws-sdk-sesv2", "limits-table"],
            "verify-auth-challenge" => &["limits-table"],
            "post-authentication" => &["aws-connection", "aws-sdk-cognitoidentityprovider", "limits-table"],
            _ => &[],
        };
        let could = [
            "aws-connection",
            "aws-sdk-cognito",
            "aws-sdk-dynamodb",
            "aws-sdk-sesv2",
            "hyper",
            "reqwest",
            "limits-table",
            "local-pool",
        ];
        for crate_ in could {
            let is_needed = needs.iter().any(|needed| needed.starts_with(crate_));
            assert_eq!(manifest.contains(crate_), is_needed, "{}: {crate_}", folder.display());
        }
        let services = manifest.matches("aws-sdk-").count();
        assert_eq!(
            services,
            needs.iter().filter(|needed| needed.starts_with("aws-sdk-")).count(),
            "{}",
            folder.display()
        );
    }
}

/// cargo-lambda, and with it SAM, lets the functions abort where the profile does not say otherwise: Lambda would then answer in words
/// of its own.
#[test]
fn r54_released_functions_unwind_whoever_builds_them() {
    let manifest = read("Cargo.toml");
    let (_, release) = manifest.split_once("\n[profile.release]\n").unwrap();
    let release = release.split("\n[").next().unwrap();
    assert!(release.lines().any(|line| line.starts_with("panic = \"unwind\"")), "{release}");
}

/// Otherwise cargo would build the programs, and all that stands between, once more than the tests have: minutes for everybody.
#[test]
fn tests_ask_nothing_of_a_crate_that_programs_do_not_ask() {
    let crates = |edges: &str| -> BTreeSet<(String, String)> {
        let options = ["tree", "--workspace", "--frozen", "--prefix", "none", "--format", "{p}={f}", "--edges", edges];
        let tree = Command::new(env!("CARGO")).args(options).current_dir(workspace()).output().unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let lines = String::from_utf8(tree.stdout).unwrap();
        let crates = lines.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('='));
        crates.map(|(name, features)| (name.to_owned(), features.to_owned())).collect()
    };
    let (programs, tests) = (crates("normal,build"), crates("normal,build,dev"));
    let names: BTreeSet<&String> = programs.iter().map(|(name, _)| name).collect();
    assert!(names.len() > 200, "{names:?}");
    let other: Vec<_> = tests.iter().filter(|found| names.contains(&found.0) && !programs.contains(found)).collect();
    assert!(other.is_empty(), "evidence/Cargo.toml has to ask for it, too: {other:?}");
}

#[test]
fn the_changelog_tells_of_this_version() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let changelog = read("CHANGELOG.md");
    let headings = [format!("\n## [{version}]"), format!("\nWhat will be {version}.\n")];
    assert!(headings.iter().any(|heading| changelog.contains(heading)), "{version}");
}

/// Lints hold where a package asks for them. The fuzz targets, a workspace of their own, say it themselves.
#[test]
fn r53_no_package_may_have_unsafe_code() {
    let forbidden = "\nunsafe_code = \"forbid\"\n";
    assert!(read("Cargo.toml").contains(&format!("\n[workspace.lints.rust]{forbidden}")));
    let packages = packages(workspace());
    assert!(packages.len() > 15, "{packages:?}");
    for package in packages {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        let inherits = manifest.contains("\n[lints]\nworkspace = true\n");
        assert!(inherits || manifest.contains(&format!("\n[lints.rust]{forbidden}")), "{}", package.display());
    }
}

/// The folders below one that have a manifest. What is built or installed is in `target`, or in a folder whose name begins with a dot.
fn packages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !entry.path().is_dir() || name.starts_with('.') || ["target", "node_modules"].contains(&&*name) {
            continue;
        }
        if entry.path().join("Cargo.toml").exists() {
            found.push(entry.path());
        }
        found.extend(packages(&entry.path()));
    }
    found
}
