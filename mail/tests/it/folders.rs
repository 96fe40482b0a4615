//! Templates of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use auth_challenge::code::{Alphabet, CodeFormat};
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

fn eight_digits() -> CodeFormat {
    CodeFormat::new(Alphabet::Digits, 8).unwrap()
}

fn templates_with(folder: &Path, given: &[(&str, &str)]) -> Result<Templates, TemplateError> {
    let vars = |name: &str| match name {
        "SES_FROM_ADDRESS" => Some("sign-in@example.com".to_owned()),
        "TEMPLATE_DIR" => Some(folder.to_str().unwrap().to_owned()),
        _ => given.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()),
    };
    Templates::new(MailSettings::from_vars(&vars).unwrap())
}

fn templates(folder: &Path) -> Result<Templates, TemplateError> {
    templates_with(folder, &[])
}

fn edit(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).unwrap();
    assert!(before.contains(from), "{from} is not in {before}");
    fs::write(file, before.replace(from, to)).unwrap();
}

/// Changes one file of a good folder, and reads what is said about it.
fn check(file: &str, from: &str, to: &str, expected: &str) {
    check_with(&[], file, from, to, expected);
}

/// The same with other settings than the defaults.
fn check_with(given: &[(&str, &str)], file: &str, from: &str, to: &str, expected: &str) {
    let folder = folder(&format!("check-{}", expected.replace(|c: char| !c.is_ascii_alphanumeric(), "")));
    edit(&folder.join(file), from, to);
    let error = templates_with(&folder, given).map(drop).expect_err(expected);
    assert_eq!(error.to_string(), expected);
    assert_eq!(format!("{error:?}"), expected);
}

#[test]
fn templates_of_ones_own_are_used_instead_of_the_built_in_ones() {
    let folder = folder("own");
    edit(&folder.join("pl/body.txt"), "Oto kod:", "Proszę:");
    fs::write(folder.join("README.md"), "{{ not a template }}").unwrap();
    for stray in [".hidden.txt", "en/body.txt~", "en/notes.md", "en/Thumbs.db"] {
        fs::write(folder.join(stray), "{{ not a template }} \u{fffd}").unwrap();
    }
    fs::create_dir(folder.join("en/old.txt")).unwrap();
    let templates = templates(&folder).unwrap();
    assert_eq!(templates.languages().collect::<Vec<_>>(), ["en", "pl"]);
    let mail =
        |language: &str| templates.render(&example_message(LanguageTag::parse(language), eight_digits())).unwrap();
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
    check(
        "en/body.txt",
        "{{ asked_at }}",
        "{{ askedAt }}",
        "TEMPLATE_DIR: en/body.txt, line 5: undefined value in `Somebody, probably you, asked on {{ askedAt }} to sign in to {{ app_name }} with this e-mail address. This is the code:`",
    );
    // However far behind in its line.
    let folder = folder("far-behind");
    edit(&folder.join("layout.html"), "{{ code }}", "{{ Code }}");
    let error = templates(&folder).map(drop).unwrap_err().to_string();
    assert!(error.starts_with("TEMPLATE_DIR: layout.html, line 32: undefined value in `<p dir"), "{error}");
    assert!(error.ends_with(">{{ Code }}</p>`"), "{error}");
    check(
        "en/subject.txt",
        "{{ app_name }}",
        "{{ user.email }}",
        "TEMPLATE_DIR: en/subject.txt, line 1: undefined value in `{% if code %}{{ code }} – {% endif %}Your code to sign in to {{ user.email }}`",
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
    let (in_subject, domain) = ([("CODE_IN_SUBJECT", "true")], [("APP_DOMAIN", "example.com")]);
    check(
        "pl/body.txt",
        "{{ code }}",
        "4711",
        "TEMPLATE_DIR: pl/body.txt: the code is not shown, neither here nor in what this extends or includes",
    );
    check(
        "layout.html",
        "{{ code }}",
        "4711",
        "TEMPLATE_DIR: en/body.html: the code is not shown, neither here nor in what this extends or includes",
    );
    check(
        "layout.html",
        "{{ code }}",
        "<!-- {{ code }} -->",
        "TEMPLATE_DIR: en/body.html: the code is not shown, neither here nor in what this extends or includes",
    );
    // What only some mail programs are told is no comment where it ends.
    let folder = folder("outlook");
    let both = "<!--[if mso]><p>{{ code }}</p><![endif]--><!--[if !mso]><!-->{{ code }}<!--<![endif]-->";
    edit(&folder.join("layout.html"), "{{ code }}", both);
    assert!(templates(&folder).is_ok());
    for comment in ["<!--[if mso]>{{ code }}<![endif]-->", "<!--<!-- {{ code }} -->", "<!-- {{ code }}"] {
        check(
            "layout.html",
            "{{ code }}",
            comment,
            "TEMPLATE_DIR: en/body.html: the code is not shown, neither here nor in what this extends or includes",
        );
    }
    let missing = "TEMPLATE_DIR: en/subject.txt: the code is not shown although CODE_IN_SUBJECT is set";
    check_with(&in_subject, "en/subject.txt", "{% if code %}{{ code }} – {% endif %}", "", missing);
    let not_last = "TEMPLATE_DIR: en/body.txt: domain_bound_code is not the last line although APP_DOMAIN is set";
    check_with(&domain, "en/body.txt", "{{ domain_bound_code }}", "", not_last);
    check_with(&domain, "en/body.txt", "{{ domain_bound_code }}", "{{ domain_bound_code }} is for you", not_last);
}

#[test]
fn a_subject_is_one_line_without_a_code() {
    let not_a_line = "TEMPLATE_DIR: en/subject.txt: a subject is one line of 1 to 200 characters";
    check("en/subject.txt", "to sign", "\nto sign", not_a_line);
    check("en/subject.txt", "to sign", &"to sign ".repeat(30), not_a_line);
    // As long as it may be, and longer by one.
    let whole = "{% if code %}{{ code }} – {% endif %}Your code to sign in to {{ app_name }}";
    let longest = folder("longest");
    edit(&longest.join("en/subject.txt"), whole, &"x".repeat(200));
    assert!(templates(&longest).is_ok());
    check("en/subject.txt", whole, &"x".repeat(201), not_a_line);
    let none =
        "TEMPLATE_DIR: en/subject.txt, line 1: invalid operation: there may be no such value: put it into an {% if %}";
    check("en/subject.txt", "{% if code %}{{ code }} – {% endif %}", "{{ code }} – ", none);
    // A value that is there for the last line of the body alone.
    let folder = folder("subject");
    edit(
        &folder.join("en/subject.txt"),
        "{% if code %}{{ code }}",
        "{% if domain_bound_code %}{{ domain_bound_code }}",
    );
    let templates = templates_with(&folder, &[("APP_DOMAIN", "example.com")]).unwrap();
    let subject = templates.render(&example_message(None, eight_digits())).unwrap().subject;
    assert_eq!(*subject, "Your code to sign in to example.com");
}

#[test]
fn a_value_that_may_be_missing_has_to_be_asked_for() {
    for (file, from, to) in [
        ("en/body.txt", "{% if name %}", "Dear {{ name }}{% if name %}"),
        ("layout.html", "{% if name %}", "{% if true %}"),
        ("pl/body.txt", "{% if domain_bound_code %}", "{{ domain_bound_code }}{% if domain_bound_code %}"),
    ] {
        let folder = folder("none");
        edit(&folder.join(file), from, to);
        let error = templates(&folder).map(drop).unwrap_err();
        assert!(error.to_string().ends_with("there may be no such value: put it into an {% if %}"), "{error}");
    }
}

#[test]
fn what_a_template_includes_is_escaped_as_the_template_is() {
    let folder = folder("include");
    fs::write(folder.join("signature.txt"), "{{ app_name }}").unwrap();
    edit(&folder.join("en/body.html"), "{% block not_you %}", "{% block not_you %}{% include \"signature.txt\" %}: ");
    let templates = templates_with(&folder, &[("APP_NAME", "<b>A & B</b>")]).unwrap();
    let mail = templates.render(&example_message(None, eight_digits())).unwrap();
    assert!(!mail.html.contains("<b>A") && mail.html.contains("&lt;b&gt;A &amp; B&lt;"), "{}", *mail.html);
    assert!(mail.text.contains("<b>A & B</b>"), "{}", *mail.text);
    // What is wrong in it is told of it.
    fs::write(folder.join("signature.txt"), "Yours\n{{ appName }}").unwrap();
    let error = templates_with(&folder, &[]).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "TEMPLATE_DIR: signature.txt, line 2: undefined value in `{{ appName }}`");
    assert_eq!((&*error.file, error.line), ("signature.txt", Some(2)));
}

/// Or what is right in one form, or for one language, would be said in another.
#[test]
fn a_part_uses_the_shared_files_of_its_form_and_nothing_of_other_parts() {
    let folder = folder("shared");
    fs::write(folder.join("signature.txt"), "Your {{ app_name }}\n").unwrap();
    edit(&folder.join("pl/body.txt"), "Oto kod:", "{% include \"signature.txt\" %}");
    let mail = templates(&folder).unwrap().render(&example_message(LanguageTag::parse("pl"), eight_digits())).unwrap();
    assert!(mail.text.contains("Your example.com\n"), "{}", *mail.text);

    for (file, from, included) in [
        ("en/body.txt", "If it", "layout.html"),
        ("en/body.txt", "If it", "en/body.html"),
        ("en/body.txt", "If it", "pl/subject.txt"),
        ("en/body.html", "If it", "en/subject.txt"),
        ("en/body.html", "If it", "pl/body.html"),
    ] {
        let to = format!("{{% include \"{included}\" %}}");
        let number = if file.ends_with("html") { 5 } else { 11 };
        let expected = format!(
            "TEMPLATE_DIR: {file}, line {number}: template not found: tried to include non-existing template '{included}'"
        );
        check(file, from, &to, &expected);
    }
}

#[test]
fn templates_are_tried_with_much_time_and_with_little() {
    for minutes in [10, 2, 1, 0] {
        let wrong = format!("{{% if minutes == {minutes} %}}{{{{ code.nothing }}}}{{% endif %}}If it was not you");
        let folder = folder("minutes");
        edit(&folder.join("en/body.txt"), "If it was not you", &wrong);
        let error = templates(&folder).map(drop).unwrap_err();
        assert!(error.to_string().starts_with("TEMPLATE_DIR: en/body.txt, line 11: undefined value"), "{error}");
    }
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
    let missing = "DEFAULT_LOCALE: there are no templates for de";
    assert_eq!(error(templates_with(&folder, &[("DEFAULT_LOCALE", "de")])), missing);
    fs::create_dir(folder.join("old version")).unwrap();
    fs::write(folder.join("old version/body.txt"), "").unwrap();
    assert_eq!(error(templates(&folder)), "TEMPLATE_DIR: old version: this is no language tag");
    fs::remove_dir_all(folder.join("old version")).unwrap();
    fs::create_dir(folder.join("fr")).unwrap();
    assert_eq!(error(templates(&folder)), "TEMPLATE_DIR: fr/subject.txt: there is no such file");
    let too_deep = "TEMPLATE_DIR: there is no language's folder in it";
    assert_eq!(error(templates(&folder.join("en"))), too_deep);
    let nowhere = error(templates(Path::new("/nowhere")));
    assert!(nowhere.starts_with("TEMPLATE_DIR: cannot read this folder: "), "{nowhere}");
}

#[test]
fn a_language_has_one_folder() {
    let folder = folder("twins");
    for name in ["pt-BR", "pt_BR"] {
        fs::create_dir(folder.join(name)).unwrap();
        for part in ["subject.txt", "body.txt", "body.html"] {
            fs::copy(folder.join("en").join(part), folder.join(name).join(part)).unwrap();
        }
    }
    let error = templates(&folder).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "TEMPLATE_DIR: pt_BR: this is the language of pt-BR");
    fs::remove_dir_all(folder.join("pt-BR")).unwrap();
    // What mail programs are told is a tag.
    let mail = templates(&folder).unwrap().render(&example_message(LanguageTag::parse("pt"), eight_digits())).unwrap();
    assert!(mail.language == "pt-BR" && mail.html.contains("lang=\"pt-BR\""), "{}", mail.language);
}

#[test]
fn a_huge_file_is_no_template() {
    let folder = folder("huge");
    let largest = "{{ code }}".to_owned() + &"x".repeat(256 * 1024 - 10);
    fs::write(folder.join("en/body.txt"), &largest).unwrap();
    assert!(templates(&folder).is_ok());
    fs::write(folder.join("en/body.txt"), largest + "x").unwrap();
    let error = templates(&folder).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "TEMPLATE_DIR: en/body.txt: this file is larger than 256 KiB");
}
