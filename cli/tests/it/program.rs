//! `custom-auth` as a program: what it prints, how it ends, and what it leaves behind.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

fn custom_auth() -> Command {
    Command::new(env!("CARGO_BIN_EXE_custom-auth"))
}

/// Ends the program with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn start(command: &mut Command) -> Program {
        Program(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// What it prints, for who asks once: more than one line may have been read when the first is given.
    fn lines(&mut self) -> impl Iterator<Item = String> {
        BufReader::new(self.0.stdout.as_mut().unwrap()).lines().map(Result::unwrap)
    }
}

/// Starts `custom-auth local --port 0 --json` with further options and reads its line.
fn start_with(options: &[&str]) -> (Program, Value) {
    let mut program = Program::start(custom_auth().args(["local", "--port", "0", "--json"]).args(options));
    let line = program.lines().next().unwrap();
    (program, serde_json::from_str(&line).unwrap())
}

fn start() -> (Program, Value) {
    start_with(&[])
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

#[tokio::test]
async fn sign_in_does_a_whole_sign_in() {
    let (program, addresses) = start();
    let endpoint = addresses["endpoint"].as_str().unwrap();
    let Output { status, stdout, .. } = custom_auth().args(["sign-in", "--endpoint-url", endpoint]).output().unwrap();
    assert!(status.success());
    let stdout = text(&stdout);
    for step in ["1. InitiateAuth", "2. Mailbox", "3. RespondToAuthChallenge", "4. Tokens, verified"] {
        assert!(stdout.contains(step), "{stdout}");
    }
    assert!(stdout.contains(" email=\"alice@example.com\"\n"), "{stdout}");
    assert!(stdout.contains(" scope=\"aws.cognito.signin.user.admin\"\n"), "{stdout}");
    assert!(stdout.ends_with("alice@example.com is signed in.\n"), "{stdout}");

    // A full mailbox has as many mails as before.
    let mail = r#"{"FromEmailAddress":"a@example.com","Destination":{"ToAddresses":["b@example.com"]},
        "Content":{"Simple":{"Subject":{"Data":"Subject"},"Body":{"Text":{"Data":"Text"}}}}}"#;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..1_000 {
        let request = http.post(format!("{endpoint}/v2/email/outbound-emails"));
        let sent = request.header("authorization", "AWS4-HMAC-SHA256 test").body(mail).send().await.unwrap();
        assert!(sent.status().is_success());
    }
    assert!(custom_auth().args(["sign-in", "--endpoint-url", endpoint]).output().unwrap().status.success());

    let nobody = ["sign-in", "--endpoint-url", endpoint, "--username", "nobody@example.com"];
    let expected = "error: no mail for nobody@example.com: is there a user with this verified address?";
    assert_eq!(fails(custom_auth().args(nobody)), expected);

    drop(program);
    let nowhere = fails(custom_auth().args(["sign-in", "--endpoint-url", endpoint]));
    assert!(nowhere.starts_with(&format!("error: no local pool at {endpoint} (")), "{nowhere}");
    assert!(nowhere.ends_with("): give the URL that `cargo run` prints, with http://"), "{nowhere}");
}

#[test]
fn functions_around_a_sign_in_are_built_and_attached_when_they_are_named() {
    let mut program =
        Program::start(custom_auth().args(["local", "--port", "0", "--function", "PreSignUp=pre-sign-up"]));
    let functions = program.lines().find(|line| line.starts_with("Lambda Invoke")).unwrap();
    let named = "create-auth-challenge, define-auth-challenge, pre-authentication, pre-sign-up, verify-auth-challenge)";
    assert!(functions.ends_with(named), "{functions}");
}

#[test]
fn functions_that_are_elsewhere_do_not_run_here() {
    let mut program =
        Program::start(custom_auth().args(["local", "--port", "0", "--lambda-endpoint", "http://127.0.0.1:1"]));
    let before_that = |line: &String| !line.starts_with("Other functions http://127.0.0.1:1");
    let told: Vec<String> = program.lines().take_while(before_that).collect();
    assert!(told.iter().any(|line| line.starts_with("Sign-in page")), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with("Lambda Invoke")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_counted_in_a_table_that_is_made_unless_it_is_there() {
    let error = |kind: &str| json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "no"});
    for (status, reply, can_be_used) in [
        (200, json!({"TableDescription": {}}), true),
        (400, error("ResourceInUseException"), true),
        (400, error("LimitExceededException"), false),
    ] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (names, answer) = (Arc::clone(&asked), (StatusCode::from_u16(status).unwrap(), reply.to_string()));
        let dynamodb = axum::Router::new().fallback(async move |body: String| {
            names.lock().unwrap().push(serde_json::from_str::<Value>(&body).unwrap()["TableName"].clone());
            answer
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, dynamodb).await.unwrap() });
        let mut local = custom_auth();
        local.args(["local", "--port", "0", "--json", "--dynamodb-endpoint", &url]);
        if !can_be_used {
            assert_eq!(fails(&mut local), format!("error: no table can be made in DynamoDB at {url}: no"));
            continue;
        }
        for table in ["", "mine"] {
            let line = Program::start(local.env("LIMITS_TABLE", table)).lines().next();
            assert!(line.is_some_and(|line| line.starts_with('{')), "{reply}");
        }
        assert_eq!(*asked.lock().unwrap(), ["sign-in-limits", "mine"]);
    }
}

#[tokio::test]
async fn a_command_takes_the_place_of_a_function_of_ours() {
    let program = crate::running::programs().await["define-auth-challenge"].display().to_string();
    let started = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("started-by-a-command");
    let _ = std::fs::remove_file(&started);
    let command = format!("DefineAuthChallenge=touch '{}' && exec '{program}'", started.display());
    let (_program, addresses) = start_with(&["--command", &command]);
    let endpoint = addresses["endpoint"].as_str().unwrap();
    assert!(
        started.exists()
            && custom_auth().args(["sign-in", "--endpoint-url", endpoint]).output().unwrap().status.success()
    );
}

#[test]
fn sign_in_starts_what_it_needs() {
    // Behind a proxy, too; with settings that are for a table in AWS; and where the client is asked for parameters first.
    let set = [("HTTP_PROXY", "http://127.0.0.1:1"), ("LIMITS_TABLE", "limits"), ("PARAMETER_ROUND", "true")];
    let Output { status, stdout, .. } = custom_auth().args(["sign-in", "--new"]).envs(set).output().unwrap();
    assert!(status.success(), "{}", text(&stdout));
    let stdout = text(&stdout);
    assert!(stdout.starts_with("Starting the functions and a pool for this sign-in.\n"), "{stdout}");
    assert!(stdout.ends_with("alice@example.com is signed in.\n"), "{stdout}");
}

/// The way into a pool in AWS, tried at the local one: nothing but its API and an app client is used.
#[tokio::test]
async fn sign_in_asks_for_the_code_that_was_mailed_and_mails_it_again_if_told_so() {
    let (_program, addresses) = start();
    let text_of = |name: &str| addresses[name].as_str().unwrap().to_owned();
    // The name by which most call this machine; tokens have the other.
    let endpoint = text_of("endpoint").replace("127.0.0.1", "localhost");
    let client_id = text_of("clientId");
    let options = ["sign-in", "--endpoint-url", &endpoint, "--client-id", &client_id];
    let type_in = |child: &mut Child, line: &str| {
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{line}\n").as_bytes()).unwrap();
    };
    let child = custom_auth().args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = Program(child.unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let code = loop {
        let mails: Value = http.get(text_of("mailbox")).send().await.unwrap().json().await.unwrap();
        if let Some(text) = mails[0]["text"].as_str() {
            break text.lines().nth(2).unwrap().replace('\u{a0}', " ");
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for line in ["", "00000000", "Resend", &code] {
        type_in(&mut child.0, line);
    }
    let mut stdout = String::new();
    child.0.stdout.as_mut().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(child.0.wait().unwrap().success(), "{stdout}");
    for words in [
        "Using the app client ",
        "   CODE_MISMATCH; 2 tries left\n",
        "action=RESEND\n   RESEND_TOO_SOON; 2 tries left\n",
        &format!("4. Tokens, verified with the keys of {endpoint}/{}/", text_of("userPoolId")),
        "\nalice@example.com is signed in.\n",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert!(!stdout.contains(&code), "{stdout}");

    assert_eq!(fails(custom_auth().args(options).stdin(Stdio::null())), "error: no code was typed");
    let nowhere = fails(custom_auth().args(["sign-in", "--client-id", "x"]));
    assert_eq!(nowhere, "error: say where the app client is: --region, or --endpoint-url");
    let silent = fails(custom_auth().args(["sign-in", "--endpoint-url", "http://127.0.0.1:1", "--client-id", "x"]));
    assert!(silent.starts_with("error: no answer from http://127.0.0.1:1: Connection refused"), "{silent}");
    let stranger = fails(custom_auth().args(["sign-in", "--endpoint-url", &endpoint, "--client-id", "x"]));
    let words = "error: InitiateAuth: ResourceNotFoundException: User pool client x does not exist.";
    assert_eq!(stranger, words);
}

#[test]
fn the_commands_for_an_account_are_built_and_started_as_if_they_were_ours() {
    let pool = ["--user-pool-id", "eu-west-1_Nowhere", "--endpoint-url", "http://127.0.0.1:1"];
    for command in ["attach", "detach", "doctor"] {
        let options: &[&str] = match command {
            "detach" => &["--function", "PreSignUp=arn:aws:lambda:eu-west-1:111122223333:function:a"],
            _ => &[],
        };
        let error = fails(custom_auth().arg(command).args(pool).args(options));
        assert!(error.starts_with("error: DescribeUserPool: dispatch failure: "), "{error}");
    }
    // What cannot be read is told by it too, and its code is ours.
    let output = custom_auth().args(["attach", "--help"]).output().unwrap();
    let help = text(&output.stdout);
    assert!(output.status.success() && help.contains("Usage: custom-auth attach [OPTIONS]"), "{help}");
    assert_eq!(custom_auth().args(["doctor"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn json_says_where_everything_is() {
    let (_program, addresses) = start();
    let endpoint = addresses["endpoint"].as_str().unwrap();
    let names = ["clientId", "endpoint", "jwksUri", "lambdaEndpoint", "mailbox", "region", "userPoolId"];
    assert_eq!(addresses.as_object().unwrap().keys().collect::<Vec<_>>(), names);
    assert!(endpoint.starts_with("http://127.0.0.1:"));
    for address in ["jwksUri", "mailbox", "lambdaEndpoint"] {
        assert!(addresses[address].as_str().unwrap().starts_with(endpoint));
    }
}

/// Runs `custom-auth` to its end, which has to be an error; gives the last line that it wrote.
fn fails(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(1));
    let stderr = text(&stderr);
    stderr.lines().last().unwrap().to_owned()
}

#[test]
fn r63_t48_f62_what_cannot_work_gets_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_eq!(
        fails(custom_auth().args(["local", "--port", &port])),
        format!("error: port {port} is in use: stop what runs there, or choose another with --port (0: a free one)")
    );
    let wrong = fails(custom_auth().args(["local", "--port", "0"]).env("CODE_LENGTH", "5"));
    assert!(wrong.starts_with("error: create-auth-challenge stopped at its start (exit status 1): "), "{wrong}");
    assert!(wrong.ends_with("CODE_LENGTH must be a whole number from 6 to 16"), "{wrong}");
    assert_eq!(
        fails(custom_auth().args(["local", "--port", "0"]).env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")),
        "error: the local pool is for development and does not run inside Lambda"
    );
    let missing = fails(custom_auth().args(["local", "--users", "/nowhere/users.toml"]));
    assert!(missing.starts_with("error: cannot read /nowhere/users.toml: "), "{missing}");
    let risky = fails(custom_auth().args(["local", "--port", "0"]).env("ACCEPT_RISK", "0.001"));
    assert!(risky.contains("ACCEPT_RISK must be 1 or more, because a year of guessing opens an account"), "{risky}");
    let no_table = fails(custom_auth().args(["local", "--port", "0", "--dynamodb-endpoint", "http://127.0.0.1:1"]));
    assert!(no_table.starts_with("error: no table can be made in DynamoDB at http://127.0.0.1:1: "), "{no_table}");
    let env = crate::running::workspace().join("events/env.json");
    assert!(fails(custom_auth().arg("event").arg(env)).ends_with("env.json is no event of a trigger"));
    let missing = fails(custom_auth().args(["event", "/nowhere/event.json"]));
    assert!(missing.starts_with("error: cannot read /nowhere/event.json: "), "{missing}");
}

#[test]
fn mail_shows_a_language_or_writes_all_of_them() {
    let mail = |arguments: &[&str]| {
        let output = custom_auth().arg("mail").args(arguments).env("APP_NAME", "Acme").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(mail(&[]).starts_with("Language: en\nSubject: Your code to sign in to Acme\n\nSomebody, "));
    assert!(mail(&["--locale", "pt-PT"]).starts_with("Language: pt-BR\nSubject: Seu código para entrar em Acme\n"));
    assert!(mail(&["--locale", "he", "--format", "html"]).contains("<html lang=\"he\" dir=\"rtl\">"));
    assert!(mail(&["--format", "eml"]).contains("\nAuto-Submitted: auto-generated\r\n"));

    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mails");
    let _ = std::fs::remove_dir_all(&folder);
    assert!(mail(&["--all", folder.to_str().unwrap()]).starts_with("14 languages are side by side in "));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 14 * 3 + 1);
    let file = folder.join("one.eml");
    assert_eq!(mail(&["--locale", "ja", "--format", "eml", "--output", file.to_str().unwrap()]), "");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("From: \"Example\" <sign-in@example.com>\r\n"));

    let settings = [("CODE_ALPHABET", "letters"), ("CODE_LENGTH", "6"), ("CODE_VALIDITY_SECONDS", "120")];
    let output = custom_auth().arg("mail").envs(settings).env("GREETING_ATTRIBUTE", "given_name").output().unwrap();
    let mail = text(&output.stdout);
    assert!(mail.contains("Hello Alice,") && mail.contains("2 minutes"), "{mail}");
    assert!(
        mail.lines().any(|line| line.len() == 8 && line.chars().filter(char::is_ascii_uppercase).count() == 6),
        "{mail}"
    );

    let complaint = |arguments: &[&str]| fails(custom_auth().arg("mail").args(arguments));
    assert!(complaint(&["--output", "/nowhere/mail.txt"]).starts_with("error: cannot write /nowhere/mail.txt: "));
    assert!(
        fails(custom_auth().arg("mail").env("DEFAULT_LOCALE", "ru"))
            .ends_with("error: DEFAULT_LOCALE: there are no templates for ru")
    );
}

#[test]
fn r63_risk_prints_what_the_documents_say() {
    let risk = |settings: &[(&str, &str)]| {
        let output = custom_auth().arg("risk").envs(settings.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let document = std::fs::read_to_string(crate::running::workspace().join("docs/settings.md")).unwrap();
    let indented: String = risk(&[("LIMITS_TABLE", "limits")])
        .lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") })
        .collect();
    assert!(document.contains(&indented), "{indented}");
    assert!(risk(&[]).starts_with("Codes                            10 letters: 1.0e13 of them, 43.2 bits\n"));
    // Also of settings that no function would start with.
    assert!(
        risk(&[("CODE_ALPHABET", "digits"), ("CODE_LENGTH", "6")]).contains("Chance that one is right         1.0e0\n")
    );
    let wrong = fails(custom_auth().arg("risk").env("CODE_LENGTH", "5"));
    assert_eq!(wrong, "error: CODE_LENGTH must be a whole number from 6 to 16");
}

#[test]
fn f62_a_template_that_cannot_be_used_stops_the_function_with_file_and_line() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates");
    std::fs::create_dir_all(folder.join("en")).unwrap();
    for (part, source) in [
        ("subject.txt", "{{ code or app_name }}"),
        ("body.txt", "Dear {{ app_name }}!\n{{ cod }}\n"),
        ("body.html", "<p>{{ code }}</p>"),
    ] {
        std::fs::write(folder.join("en").join(part), source).unwrap();
    }
    let wrong = fails(custom_auth().args(["local", "--port", "0"]).env("TEMPLATE_DIR", &folder));
    assert!(wrong.starts_with("error: create-auth-challenge stopped at its start (exit status 1): "), "{wrong}");
    assert!(wrong.ends_with("TEMPLATE_DIR: en/body.txt, line 2: undefined value in `{{ cod }}`"), "{wrong}");
}

#[tokio::test]
async fn a_function_started_by_hand_says_what_it_is() {
    for program in crate::running::programs().await.into_values() {
        let line = fails(Command::new(program).env_remove("AWS_LAMBDA_RUNTIME_API"));
        assert!(line.starts_with("Error: this program is a Lambda function"), "{line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_child_outlives_the_program() {
    for signal in ["INT", "TERM", "KILL"] {
        let (mut program, _) = start();
        let pid = program.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        // Children are listed under the thread that started them.
        let mut children: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let mut list = String::new();
            std::fs::File::open(thread.unwrap().path().join("children")).unwrap().read_to_string(&mut list).unwrap();
            children.extend(list.split_whitespace().map(str::to_owned));
        }
        children.sort();
        children.dedup();
        assert_eq!(children.len(), 4, "{signal}");
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap().success());
        let status = program.0.wait().unwrap();
        assert_eq!(status.success(), signal != "KILL", "{signal}");
        let deadline = Instant::now() + Duration::from_secs(10);
        for child in children {
            let lives =
                || std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
            while lives() {
                assert!(Instant::now() < deadline, "{signal}: {child} is still there");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

#[test]
fn options_that_cannot_be_are_told_before_anything_is_built() {
    let complaint = |options: &[&str]| {
        let output = custom_auth().args(["local", "--port", "0"]).args(options).output().unwrap();
        assert!(!output.status.success(), "{options:?}");
        let stderr = text(&output.stderr);
        assert!(!stderr.contains("Building"), "{stderr}");
        stderr
    };
    assert_eq!(complaint(&["--command", "PreSignUp="]), "error: --command PreSignUp= needs a command\n");
    assert_eq!(
        complaint(&["--command", "PreSignUp=true", "--function", "PreSignUp="]),
        "error: --command PreSignUp=… and --function PreSignUp= contradict each other\n"
    );
    assert_eq!(
        complaint(&["--lambda-endpoint", "127.0.0.1:3001"]),
        "error: the Lambda endpoint \"127.0.0.1:3001\" is no URL: relative URL without a base\n"
    );
    for (options, words) in [
        (["--function", "Nothing"], "there is no = behind the trigger's name"),
        (["--function", "Define=x"], "\"Define\" is none of PreSignUp, PreAuthentication, DefineAuthChallenge"),
        (["--explicit-auth-flows", "USER_PASSWORD_AUTH"], "ALLOW_USER_PASSWORD_AUTH"),
        (["--auth-session-validity", "16"], "3..=15"),
        (["--max-session-length", "0"], "1000..=131072"),
        (["--deliveries", "4"], "1..=3"),
        (["--client-secret", ""], "a value is required"),
        (["--users", "/nowhere.toml"], "cannot read /nowhere.toml: No such file or directory"),
    ] {
        let stderr = complaint(&options);
        assert!(stderr.contains(words), "{options:?}: {stderr}");
    }
}
