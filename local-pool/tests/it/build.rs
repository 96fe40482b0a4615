//! What stands in the way of a build gets one line that says what to do.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use local_pool::build;
use local_pool::trigger::Trigger;

/// A workspace with one package that has these programs, all of this source.
fn workspace(name: &str, programs: &[&str], source: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let package = root.join("functions/all");
    fs::create_dir_all(&package).unwrap();
    fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"functions/*\"]\nresolver = \"3\"\n").unwrap();
    // Each has a name of its own, because all may be given the same target folder.
    let mut manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
    for program in programs {
        manifest.push_str(&format!("[[bin]]\nname = \"{program}\"\npath = \"main.rs\"\n"));
    }
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::write(package.join("main.rs"), source).unwrap();
    root
}

const ALL: [&str; 4] =
    ["pre-authentication", "define-auth-challenge", "create-auth-challenge", "verify-auth-challenge"];

#[tokio::test]
async fn the_programs_are_found() {
    let programs = build::functions(&workspace("good", &ALL, "fn main() {}"), "dev", &Trigger::OURS).await.unwrap();
    assert_eq!(programs.len(), 4);
    assert!(programs.iter().all(|(name, path)| path.is_file() && path.to_str().unwrap().contains(name)));
}

#[tokio::test]
async fn a_program_that_is_no_function_is_found_too() {
    let root = workspace("another", &["a-program", "not-asked-for"], "fn main() {}");
    let program = build::program(&root, "dev", "a-program").await.unwrap();
    assert!(program.is_file() && program.file_stem().unwrap() == "a-program", "{}", program.display());
}

#[test]
fn what_cargo_tells_a_program_of_its_own_package_is_not_for_a_build() {
    let names: Vec<OsString> = build::variables_of_this_package().collect();
    for (name, expected) in [("CARGO_PKG_NAME", true), ("CARGO_MANIFEST_DIR", true), ("PATH", false)] {
        // Whatever runs these tests tells them of their package, as cargo does.
        assert!(std::env::var_os(name).is_some(), "{name}");
        assert_eq!(names.iter().any(|other| other == name), expected, "{name}");
    }
}

#[tokio::test]
async fn f62_a_function_that_does_not_build_is_told() {
    let why = async |root: PathBuf| build::functions(&root, "dev", &Trigger::OURS).await.unwrap_err().to_string();
    let expected = "this project does not build: mend what cargo complains of above, and start again";
    assert_eq!(why(workspace("bad", &ALL, "fn main() { nonsense }")).await, expected);
    assert_eq!(why(workspace("missing", &ALL[..3], "fn main() {}")).await, expected);
    assert_eq!(why("/nowhere".into()).await, "no sources at /nowhere: run this with `cargo run` in a checkout");
}

/// This test program builds a workspace that is broken, when it is told to by the test below.
#[tokio::test]
async fn the_build() {
    if let Ok(root) = std::env::var("BUILD") {
        build::functions(root.as_ref(), "dev", &Trigger::OURS).await.unwrap_err();
    }
}

#[test]
fn f62_what_cargo_complains_of_is_shown() {
    let root = workspace("complaint", &ALL, "fn main() { nonsense }");
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "build::the_build"])
        .env("BUILD", root)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("cannot find value `nonsense`"), "{stderr}");
}
