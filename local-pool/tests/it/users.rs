//! The users' file.

use local_pool::users::{User, Users};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

#[test]
fn alice_is_there_by_default() {
    let users = Users::default();
    let alice = users.find("alice@example.com").unwrap();
    assert_eq!(users.find("ALICE@example.com"), Some(alice));
    assert_eq!(users.find(&alice.username), Some(alice));
    assert_eq!(alice.attributes["sub"], alice.username);
    assert_eq!(alice.attributes["email_verified"], "true");
    assert_eq!(users.find("bob@example.com"), None);
    // The same in every run.
    assert_eq!(alice.username, "edbd3679-745e-4167-a648-00f66cc3675b");
}

#[test]
fn a_file_says_who_there_is() {
    let users = Users::from_toml(
        r#"
        [[user]]
        email = "bob@example.com"
        username = "bob"
        email_verified = false
        enabled = false
        attributes = { "custom:tenant" = "acme" }

        [[user]]
        email = "carol@example.com"
        "#,
        "eu-west-1_LocalPool",
        &mut UnwrapErr(SysRng),
    )
    .unwrap();
    let bob = users.find("bob@example.com").unwrap();
    assert_eq!((&*bob.username, bob.enabled), ("bob", false));
    assert_eq!((&*bob.attributes["custom:tenant"], &*bob.attributes["email_verified"]), ("acme", "false"));
    assert!(users.find("carol@example.com").unwrap().enabled);
    assert_eq!(users.find("alice@example.com"), None);
    assert_eq!((users.len(), users.is_empty()), (2, false));
    // It may say that there is nobody.
    assert!(Users::from_toml("", "eu-west-1_LocalPool", &mut UnwrapErr(SysRng)).unwrap().is_empty());
}

#[test]
fn a_file_that_is_wrong_says_where() {
    let error = |text| Users::from_toml(text, "eu-west-1_LocalPool", &mut UnwrapErr(SysRng)).unwrap_err().to_string();
    assert!(error("[[user]]\nemail = 7").contains("line 2"));
    assert!(error("[[user]]\nusername = \"bob\"").contains("missing field `email`"));
    assert!(error("[[user]]\nemail = \"b@example.com\"\nemail_verifed = true").contains("email_verifed"));
    assert!(error("[[users]]\nemail = \"b@example.com\"").contains("users"));
    let twice = "[[user]]\nemail = \"b@example.com\"\n[[user]]\nemail = \"B@example.com\"";
    assert_eq!(error(twice), "two users are called B@example.com");
    let one_sub =
        "[[user]]\nemail = \"É@example.com\"\nusername = \"a\"\n[[user]]\nemail = \"é@example.com\"\nusername = \"b\"";
    assert!(error(one_sub).starts_with("two users are called "), "{}", error(one_sub));
    assert!(error("[[user]]\nemail = \"b@example.com\"\nstatus = \"CONFIRMD\"").contains("CONFIRMD"));
    let claim = "[[user]]\nemail = \"b@example.com\"\nattributes = { exp = \"9\" }";
    assert_eq!(error(claim), "b@example.com cannot have the attribute exp");
}

#[test]
fn a_missing_user_has_the_same_name_at_every_try() {
    let missing = |typed| User::missing("eu-west-1_LocalPool", typed);
    assert_eq!(missing("nobody@example.com"), missing("Nobody@Example.com"));
    assert_ne!(missing("nobody@example.com").username, missing("noone@example.com").username);
    assert_eq!(missing("nobody@example.com").attributes.len(), 0);
    // A name-based UUID, as Cognito's looks.
    assert_eq!(missing("nobody@example.com").username.as_bytes()[14], b'3');
}
