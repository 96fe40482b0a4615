"""Judges what is built in beside our own code. deny.toml has what cargo-deny is to allow; what it cannot tell is here."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

DENY = "target/ci/cargo/bin/cargo-deny"
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
LOCKS = ["Cargo.lock", "fuzz/Cargo.lock"]
# What no function may take along: a pool that is none, a second TLS, HTTP/2, and what reads more of the system than it needs.
NOT_IN_A_FUNCTION = {
    "aws-config", "aws-lc-rs", "aws-lc-sys", "aws-smithy-http-client", "clap", "h2", "hyper-rustls", "jsonwebtoken", "local-pool",
    "native-tls", "openssl-sys", "reqwest", "rustls-native-certs",
}
# What stands beneath the decisions and is not safe Rust alone. Another has to be looked at, and one that has become safe goes.
UNSAFE_BENEATH_DECISIONS = {
    # Bytes, numbers and text; hashes and chance.
    "base64", "block-buffer", "bytes", "cmov", "const-oid", "cpufeatures", "getrandom", "hybrid-array", "itoa", "libc", "memchr", "rand",
    "serde", "serde_core", "serde_json", "sha2", "smallvec", "subtle", "zeroize", "zmij",
    # The door to Lambda: tasks, sockets, HTTP.
    "async-stream", "atomic-waker", "futures-channel", "futures-core", "futures-executor", "futures-sink", "futures-task",
    "futures-util", "http", "http-body", "http-body-util", "httparse", "hyper", "hyper-util", "log", "mio", "once_cell", "pin-project",
    "pin-project-lite", "slab", "socket2", "sync_wrapper", "tokio", "tokio-stream", "tracing", "tracing-core", "try-lock",
}
INVENTED = """```toml
[advisory]
id = "RUSTSEC-2000-0001"
package = "serde"
date = "2000-01-01"

[versions]
patched = []
```

# Not true of it
"""


class Wrong(Exception):
    """Why the gate does not hold."""


def said_by(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def tree(package, edges):
    """What a package is built of, with its own features alone: names and versions."""
    lines = said_by(
        "cargo", "tree", "--locked", "--package", package, "--edges", edges, "--target", "x86_64-unknown-linux-gnu",
        "--prefix", "none", "--format", "{p}",
    ).splitlines()
    return {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, lines)}


def crates_io_alone(lock):
    """Read from the file, because cargo would fetch whatever it names before anybody could ask."""
    packages = tomllib.loads(pathlib.Path(lock).read_text())["package"]
    foreign = [each for each in packages if "source" in each and (each["source"] != CRATES_IO or "checksum" not in each)]
    if foreign:
        raise Wrong(f"{lock} has what is not from crates.io, or has no checksum: {foreign}")
    return {(each["name"], each["version"]) for each in packages if "source" in each}


def cargo_deny(lock, *checks, lints=()):
    manifest = pathlib.Path(lock).with_name("Cargo.toml")
    command = [DENY, "--locked", "--manifest-path", manifest, "--config", "deny.toml", "check", "--hide-inclusion-graph"]
    return subprocess.run([*command, *lints, *checks]).returncode == 0


def allowed():
    """What deny.toml allows of licences, if it allows all that is locked."""
    # The fuzz targets have fewer crates, and libfuzzer-sys.
    not_for_all = ["license-exception-not-encountered"]
    not_for_fuzz = [*not_for_all, "unmatched-skip", "unmatched-skip-root", "unnecessary-skip"]
    for lock, unused in zip(LOCKS, [not_for_all, not_for_fuzz]):
        if not cargo_deny(lock, "bans", "licenses", "sources", lints=[f"--allow={lint}" for lint in unused]):
            raise Wrong(f"deny.toml does not allow what {lock} has")
    licences = tomllib.loads(pathlib.Path("deny.toml").read_text())["licenses"]
    return sorted({*licences["allow"], *(name for each in licences["exceptions"] for name in each["allow"])})


def an_advisory_would_be_found():
    """One that is invented, about a crate that everything has."""
    databases = pathlib.Path("target/ci/supply").resolve()
    shutil.rmtree(databases, ignore_errors=True)
    # cargo-deny's name for a copy of what is at this address.
    copy = databases / "control-779e9967b2711e92"
    (copy / "crates/serde").mkdir(parents=True)
    (copy / "crates/serde/RUSTSEC-2000-0001.md").write_text(INVENTED)
    subprocess.run(["git", "init", "--quiet", copy], check=True)
    (copy / ".git/FETCH_HEAD").touch()
    config = databases / "deny.toml"
    config.write_text(f'[advisories]\ndb-path = "{databases}"\ndb-urls = ["https://example.com/control"]\n')
    result = subprocess.run(
        [DENY, "--locked", "--offline", "--config", config, "check", "--hide-inclusion-graph", "advisories"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    if result.returncode == 0 or "RUSTSEC-2000-0001" not in result.stderr:
        raise Wrong(f"cargo-deny did not find an advisory that was put before it: {result.stderr}")


def without_advisories():
    for lock in LOCKS:
        if not cargo_deny(lock, "advisories"):
            raise Wrong(f"there is an advisory about what {lock} has, or RustSec's database was not to be had")


def newest_compiler_asked_for(packages):
    """`rust-version` is neither too old for a dependency nor newer than any asks for."""
    stated = {each["rust_version"] for each in packages if not each["source"]}
    asked = [each["rust_version"] for each in packages if each["source"] and each["rust_version"]]
    highest = max(asked, key=lambda version: [int(part) for part in f"{version}.0".split(".")[:3]])
    if stated != {highest}:
        raise Wrong(f"rust-version is {stated}, and what the dependencies ask for is {highest}")
    if f"from {highest} on" not in pathlib.Path("README.md").read_text():
        raise Wrong(f"the README does not ask for Rust {highest}")
    return highest


def in_functions():
    built = set()
    for folder in sorted(pathlib.Path("functions").iterdir()):
        crates = tree(folder.name, "normal,build")
        unwanted = NOT_IN_A_FUNCTION & {name for name, _ in crates}
        if unwanted:
            raise Wrong(f"{folder.name} takes along {sorted(unwanted)}")
        built |= crates
    return built


def unsafe_places(source):
    """How often the word stands in the code: not in comments, strings or longer names. Nested comments and macros may make it more."""
    no_code = r"""//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'"""
    return len(re.findall(r"\bunsafe\b", re.sub(no_code, " ", source, flags=re.DOTALL)))


def ours_is_safe():
    files = said_by("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs").split()
    found = [file for file in files if unsafe_places(pathlib.Path(file).read_text())]
    if found:
        raise Wrong(f"there is unsafe code in {found}")
    return len(files)


def unsafe_beneath_decisions(packages):
    """In the library of each crate that a decision is linked with, not in its tests or macros."""
    libraries = {
        (each["name"], each["version"]): pathlib.Path(target["src_path"]).parent
        for each in packages for target in each["targets"] if "lib" in target["kind"]
    }
    places = {
        crate: sum(unsafe_places(file.read_text()) for file in libraries[crate].rglob("*.rs"))
        for crate in tree("auth-challenge", "normal,no-proc-macro")
    }
    found = {name for (name, _), count in places.items() if count}
    if found != UNSAFE_BENEATH_DECISIONS:
        new, gone = sorted(found - UNSAFE_BENEATH_DECISIONS), sorted(UNSAFE_BENEATH_DECISIONS - found)
        raise Wrong(f"unsafe code is beneath the decisions where none was looked at: {new}; and no longer in {gone}")
    return len(places), len(found), sum(places.values())


def judged(with_advisories):
    crates = set().union(*map(crates_io_alone, LOCKS))
    print(f"{len(crates)} crates are locked, all from crates.io", flush=True)
    licences = ", ".join(allowed())
    packages = json.loads(said_by("cargo", "metadata", "--locked", "--format-version", "1"))["packages"]
    rust_version = newest_compiler_asked_for(packages)
    print(f"dependencies ask for Rust {rust_version}, as we say")
    functions = len(in_functions())
    print(f"{functions} packages go into functions, and none that should not")
    assert unsafe_places('unsafe { /* unsafe */ } // unsafe\nr#"unsafe"# "unsafe\\"" \'"\' unsafe_code unsafe fn') == 2
    files = ours_is_safe()
    beneath, beneath_unsafe, places = unsafe_beneath_decisions(packages)
    print(f"no unsafe code in {files} files of ours; beneath the decisions {places} places, in {beneath_unsafe} of {beneath} packages")
    an_advisory_would_be_found()
    advisories = "skipped: RustSec's database is on GitHub, and --advisories fetches it"
    if with_advisories:
        without_advisories()
        advisories = "checked"
    print(f"advisories: {advisories}")
    return {
        "crates": len(crates), "licences": licences, "rust_version": rust_version, "packages_in_functions": functions,
        "own_files": files, "packages_beneath_decisions": beneath, "of_them_with_unsafe": beneath_unsafe, "unsafe_places": places,
        "advisories": advisories,
    }


try:
    print(json.dumps({"gate": "G21", "holds": True} | judged("--advisories" in sys.argv[1:])))
# A tool that fails has not judged anything.
except Wrong as wrong:
    print(json.dumps({"gate": "G21", "holds": False, "wrong": str(wrong)}))
    sys.exit(1)
