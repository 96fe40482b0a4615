//! Templates of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use auth_challenge::recipient::LanguageTag;
use auth_challenge::settings::MailSettings;
use sign_in_mail::{TemplateError, Templates, example_message};

/// A folder with a copy of the built-in templates in English and Polish.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for language in ["en", "pl"] {
        fs::create_dir_all(folder.join(language)).unwrap();
        for part in ["subject.txt", "body.txt", "body.html"] {
            fs::copy(built_in.join(language).join(part), folder.join(language).join(part)).unwrap();
        }
    }
    fs::copy(built_in.join("layout.html"), folder.join("layout.html")).unwrap();
    folder
}

fn templates_with(folder: &Path, default_locale: &str) -> Result<Templates, TemplateError> {
    let vars = |name: &str| match name {
        "SES_FROM_ADDRESS" => Some("sign-in@example.com".to_owned()),
        "TEMPLATE_DIR" => Some(folder.to_str().unwrap().to_owned()),
        "DEFAULT_LOCALE" => Some(default_locale.to_owned()),
        _ => None,
    };
    Templates::new(MailSettings::from_vars(&vars).unwrap())
}

fn templates(folder: &Path) -> Result<Templates, TemplateError> {
    templates_with(folder, "en")
}

fn edit(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).unwrap();
    assert!(before.contains(from), "{from} is not in {before}");
    fs::write(file, before.replace(from, to)).unwrap();
}

/// Changes one file of a good folder, and reads what is said about it.
fn check(file: &str, from: &str, to: &str, expected: &str) {
    let folder = folder(&format!("check-{}", expected.replace(|c: char| !c.is_ascii_alphanumeric(), "")));
    edit(&folder.join(file), from, to);
    let error = templates(&folder).map(drop).expect_err(expected);
    assert_eq!(error.to_string(), expected);
    assert_eq!(format!("{error:?}"), expected);
}

#[test]
fn templates_of_ones_own_are_used_instead_of_the_built_in_ones() {
    let folder = folder("own");
    edit(&folder.join("pl/body.txt"), "Oto kod:", "Proszę:");
    fs::write(folder.join("README.md"), "{{ not a template }}").unwrap();
    fs::write(folder.join(".hidden.txt"), "{{ not a template }}").unwrap();
    let templates = templates(&folder).unwrap();
    assert_eq!(templates.languages().collect::<Vec<_>>(), ["en", "pl"]);
    let mail = |language: &str| templates.render(&example_message(LanguageTag::parse(language))).unwrap();
    assert!(mail("pl-PL").text.contains("Proszę:"));
    assert_eq!(mail("de").language, "en");
}

#[test]
fn a_template_that_does_not_parse_is_named_with_its_line() {
    check(
        "pl/body.txt",
        "{{ code }}",
        "{{ code",
        "TEMPLATE_DIR: pl/body.txt, line 9: syntax error: unexpected identifier, expected end of variable block",
    );
    check(
        "layout.html",
        "{{ code }}",
        "{% if code %}",
        "TEMPLATE_DIR: layout.html, line 38: syntax error: unexpected end of input, expected end of block",
    );
}

#[test]
fn a_value_that_there_is_not_is_named_with_its_line() {
    check("en/body.txt", "{{ asked_at }}", "{{ askedAt }}", "TEMPLATE_DIR: en/body.txt, line 5: undefined value");
    check(
        "en/subject.txt",
        "{{ app_name }}",
        "{{ user.email }}",
        "TEMPLATE_DIR: en/subject.txt, line 1: undefined value",
    );
    check(
        "en/body.html",
        "layout.html",
        "outline.html",
        "TEMPLATE_DIR: en/body.html, line 1: template not found: template \"outline.html\" does not exist",
    );
    check(
        "en/body.html",
        "layout.html",
        "../../../etc/passwd",
        "TEMPLATE_DIR: en/body.html, line 1: template not found: template \"../../../etc/passwd\" does not exist",
    );
}

#[test]
fn a_template_that_leaves_the_code_out_is_named() {
    check("pl/body.txt", "{{ code }}", "4711", "TEMPLATE_DIR: pl/body.txt: the code is not shown");
    check("layout.html", "{{ code }}", "4711", "TEMPLATE_DIR: en/body.html: the code is not shown");
    check(
        "en/subject.txt",
        "{% if code %}{{ code }} – {% endif %}",
        "",
        "TEMPLATE_DIR: en/subject.txt: the code is not shown when CODE_IN_SUBJECT is set",
    );
    check(
        "en/body.txt",
        "{{ domain_bound_code }}",
        "",
        "TEMPLATE_DIR: en/body.txt: domain_bound_code is not the last line when APP_DOMAIN is set",
    );
    check(
        "en/subject.txt",
        "to sign",
        "\nto sign",
        "TEMPLATE_DIR: en/subject.txt: a subject is one line of 1 to 200 characters",
    );
}

#[test]
fn a_form_of_words_that_is_missing_is_noticed_before_it_is_needed() {
    check(
        "pl/body.txt",
        "few=\"# minuty\", ",
        "",
        "TEMPLATE_DIR: pl/body.txt, line 9: missing argument: missing keyword argument 'few'",
    );
    check(
        "en/body.txt",
        "other=",
        "others=",
        "TEMPLATE_DIR: en/body.txt, line 9: missing argument: missing keyword argument 'other'",
    );
    check(
        "en/body.html",
        "zero=",
        "nought=",
        "TEMPLATE_DIR: en/body.html, line 4: too many arguments: unknown keyword argument 'nought'",
    );
}

#[test]
fn a_file_that_is_missing_is_named() {
    let folder = folder("missing");
    fs::remove_file(folder.join("pl/body.html")).unwrap();
    let error = |result: Result<Templates, TemplateError>| result.map(drop).unwrap_err().to_string();
    assert_eq!(error(templates(&folder)), "TEMPLATE_DIR: pl/body.html: there is no such file");
    let missing = "TEMPLATE_DIR: de/body.txt: there is no such file, and its language is the default";
    assert_eq!(error(templates_with(&folder, "de")), missing);
    fs::create_dir(folder.join("old version")).unwrap();
    fs::write(folder.join("old version/body.txt"), "").unwrap();
    assert_eq!(error(templates(&folder)), "TEMPLATE_DIR: old version: this is no language tag");
    let nowhere = error(templates(Path::new("/nowhere")));
    assert!(nowhere.starts_with("TEMPLATE_DIR: cannot read this folder: "), "{nowhere}");
}
