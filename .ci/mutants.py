"""Runs cargo-mutants on one package after another, each with the tests that are to catch what is wrong in it."""

import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable

WORK = pathlib.Path("target/ci/mutants").resolve()
CORE = "auth-challenge"
FUNCTIONS = [
    "pre-authentication", "define-auth-challenge", "create-auth-challenge", "verify-auth-challenge",
    "pre-sign-up", "pre-token-generation", "post-authentication",
]
# Tests that try millions of things.
SLOW = "package(auth-challenge) & test(/r03|p_whole|g1_r26|g18|whole_domains|g4_the_comparison/)" \
    " | package(create-auth-challenge) & test(known_or_not)"
# The functions' tests that run all of them behind the pool.
BEHIND_THE_POOL = "not (package(custom-auth) & (kind(bin) | test(/^(program|tidy)::/)))"
# The test of custom-auth-ops that deploys the functions.
DEPLOYED = "test(/^deployed::/)"
# The tests of custom-auth that start it.
OF_THE_PROGRAM = "kind(bin) | test(/^program::|every_event_is_answered/)"
# Not tried unless it is asked for: whether it sees anything is shown by bugs that each measurement has to notice.
MEASURES = "evidence"
# Which packages are tried together, and the judges: packages whose tests are asked, and which of those. The first are quick, and every
# mutant is put to them; the others are asked about what those before them missed. Where there are no others, the first are asked again.
GROUPS = {
    "core": ([CORE], [([CORE], f"not ({SLOW})"), ([CORE, "custom-auth"], BEHIND_THE_POOL)]),
    "functions": (FUNCTIONS, [(FUNCTIONS, f"not ({SLOW})"), ([*FUNCTIONS, "custom-auth"], BEHIND_THE_POOL)]),
    "limits": (["limits-table"], [(["limits-table"], None), (["create-auth-challenge", "verify-auth-challenge"], None)]),
    "mail": (["sign-in-mail"], [(["sign-in-mail"], None)]),
    "connection": (["aws-connection"], [(["aws-connection"], None)]),
    "ops": (["custom-auth-ops"], [(["custom-auth-ops"], f"not ({DEPLOYED})"), (["custom-auth-ops"], DEPLOYED)]),
    "pool": (["local-pool"], [(["local-pool"], None)]),
    "cli": (["custom-auth"], [(["custom-auth"], OF_THE_PROGRAM)]),
    MEASURES: ([MEASURES], [([MEASURES], None)]),
}
# Tests of this one wait for much longer than they compute.
WAITS = "custom-auth-ops"
# How many cases the first judges draw for each property.
FEW_CASES = "32"
# What the short form tries: until when a code counts, and which.
HEART = [
    "-f", "shared/src/challenge.rs", "-f", "shared/src/code.rs",
    "-F", "in (ChallengeState::is_live|Code::is_answered_by)|replace (ChallengeState::is_live|Code::is_answered_by)",
]
# The control: broken in the heart of it, and judged by tests of something else, which must not notice.
BLIND = ["-f", "shared/src/challenge.rs", "-F", "replace < with (>|==) in ChallengeState::is_live"]
TESTS_OF_SOMETHING_ELSE = "package(auth-challenge) & test(/^metrics::/)"
LEAST_CAUGHT, MOST_EXCUSES = 0.95, 10


def files() -> list[str]:
    list_files = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(list_files, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    return sorted(name for name in names if os.path.isfile(name))


def copied(worker: int) -> pathlib.Path:
    """A copy of what is here: who is stopped in the middle leaves no wrong code behind."""
    tree = WORK / f"tree-{worker}"
    shutil.rmtree(tree, ignore_errors=True)
    for name in files():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, tree / name)
        shutil.copymode(name, tree / name)
    return tree


def judging(group: str) -> str:
    """What the first judges of a group judge by, as a hash: all of their packages, and of those that these are built of, and whatever is
    in no package."""
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    packages = json.loads(subprocess.run(metadata, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    folders = {package["name"]: os.path.dirname(package["manifest_path"]) for package in packages}
    uses = {package["name"]: {used["name"] for used in package["dependencies"]} & folders.keys() for package in packages}
    mine: set[str] = set()
    more = set(GROUPS[group][1][0][0])
    while more:
        mine |= more
        more = {used for package in more for used in uses[package]} - mine
    others = tuple(os.path.relpath(folders[package]) + "/" for package in folders.keys() - mine)
    names = [name for name in files() if not name.startswith((".ci/", "docs/", "fuzz/", *others))]
    # Tests of one package that another has too.
    shared = [
        os.path.normpath(os.path.join(os.path.dirname(name), path))
        for name in names if name.endswith(".rs") for path in re.findall(r'#\[path = "(.*)"\]', pathlib.Path(name).read_text())
    ]
    digests = [hashlib.sha256(pathlib.Path(name).read_bytes()).digest() for name in sorted({*names, *shared, __file__})]
    compiler = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE).stdout
    return hashlib.sha256(b"".join([*digests, compiler])).hexdigest()


def outcomes_in(out: pathlib.Path) -> list[dict]:
    report = out / "mutants.out/outcomes.json"
    outcomes = json.loads(report.read_text())["outcomes"] if report.exists() else []
    return [
        {"name": outcome["scenario"]["Mutant"]["name"], "outcome": outcome["summary"]}
        for outcome in outcomes if outcome["scenario"] != "Baseline"
    ]


def known(group: str) -> list[dict]:
    """What the first judges caught in runs that were stopped, or found something, if all is as it was. What was missed is asked about
    again."""
    kept, judges = WORK / f"{group}.json", judging(group)
    before = json.loads(kept.read_text()) if kept.exists() else {}
    found = {}
    is_current = before.get("judges") == judges
    if is_current:
        found = {outcome["name"]: outcome for outcome in before["outcomes"]}
    for out in WORK.glob(f"{group}-[0-9]*"):
        if is_current:
            found |= {outcome["name"]: outcome for outcome in outcomes_in(out)}
        # What is kept of it is written below.
        shutil.rmtree(out)
    outcomes = [outcome for outcome in found.values() if outcome["outcome"] in ("CaughtMutant", "Unviable")]
    WORK.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"judges": judges, "outcomes": outcomes}))
    return outcomes


def judged(
    name: str, packages: list[str], judges: tuple[list[str], str | None], *options: str,
    workers: int = 1, shard: str = "0/1", skip: Iterable[str] = (), cases: str | None = None,
) -> list[dict]:
    """What became of each mutant of these packages but those to skip: its name, and cargo-mutants' word for the outcome."""
    tests, which = judges
    kth, of = map(int, shard.split("/"))
    running = []
    for worker in range(workers):
        out = WORK / f"{name}-{worker}"
        shutil.rmtree(out, ignore_errors=True)
        (out / "mutants.out").mkdir(parents=True)
        (out / "mutants.out/previously_caught.txt").write_text("".join(f"{name}\n" for name in skip))
        tree = copied(worker)
        command = ["cargo", "mutants", "--in-place", "--iterate", "-d", tree, "-o", out, "--colors", "never", *options]
        command += ["--sharding", "round-robin", "--shard", f"{kth + of * worker}/{of * workers}"]
        command += [word for package in packages for word in ("-p", package)]
        command += [word for package in tests for word in ("--test-package", package)]
        command += ["--", "-E", which] if which else []
        environment = {"NEXTEST_PROFILE": "mutants"} | ({"NEXTEST_TEST_THREADS": "8"} if WAITS in tests else {})
        environment |= {"PROPTEST_CASES": cases} if cases else {}
        if workers > 1:
            # What is compiled thousands of times is compiled quickly; quick tests do not need it otherwise.
            quickly = [f"[profile.dev.package.{package}]\nopt-level = 0\n" for package in packages]
            (tree / ".cargo/config.toml").write_text("[profile.dev]\ndebug = false\n" + "".join(quickly))
            environment["CARGO_TARGET_DIR"] = str(WORK / f"target-{worker}")
        else:
            # Where everything is built: what others wrote need not be built again.
            environment["CARGO_TARGET_DIR"] = str(pathlib.Path("target").resolve())
        environment = {**os.environ, **environment}
        if "custom-auth" in tests:
            # Its tests build the functions, which from nothing takes longer than a test may.
            subprocess.run(["cargo", "build", "--quiet", "--workspace"], cwd=tree, env=environment, check=True)
        running.append((out, subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)))
    outcomes = []
    for out, process in running:
        # 0: all were caught; 2: some were missed; 3: some took too long. Anything else is a failure of the gate itself.
        if process.wait() not in (0, 2, 3):
            sys.exit(f"cargo-mutants ended with {process.returncode}: {out}")
        outcomes += outcomes_in(out)
    return outcomes


def asked_in_turn(group: str, packages: list[str], judges: list, *options: str) -> list[dict]:
    """The outcomes with the first judges, and with the next ones for what those missed."""
    # A part is quickly done again.
    outcomes = [] if options or asked.shard else known(group)
    carried_over.extend(outcomes)
    name = f"{group}-part" if options or asked.shard else group
    outcomes += judged(
        name, packages, judges[0], *options, workers=os.cpu_count() or 1, shard=asked.shard or "0/1", skip=names_of(outcomes),
        cases=FEW_CASES,
    )
    for number, more in enumerate(judges[1:] or judges):
        caught = [outcome for outcome in outcomes if outcome["outcome"] != "MissedMutant"]
        missed = names_of(outcomes) - names_of(caught)
        if missed:
            outcomes = caught + judged(f"{group}-again-{number}", packages, more, skip=listed(packages) - missed)
            if names_of(caught) | missed != names_of(outcomes):
                sys.exit(f"{group}: of some that were missed there is no outcome")
    if not options and not asked.shard and listed(packages) != names_of(outcomes):
        sys.exit(f"{group}: not all were tried: {sorted(listed(packages) - names_of(outcomes))}")
    return [{"group": group, **outcome} for outcome in outcomes]


def names_of(outcomes: list[dict]) -> set[str]:
    return {outcome["name"] for outcome in outcomes}


def listed(packages: list[str], *options: str) -> set[str]:
    """The names of all mutants of these packages."""
    command = ["cargo", "mutants", "--list", "--json", *options]
    command += [word for package in packages for word in ("-p", package)]
    return names_of(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


parser = argparse.ArgumentParser()
parser.add_argument("what", nargs="*", metavar="PACKAGE", help=f"what to break, as a package or a group ({', '.join(GROUPS)}), or: short")
parser.add_argument("--since")
parser.add_argument("--shard")
asked = parser.parse_args()
short = asked.what == ["short"]
packages = [CORE] if short else [
    package
    for what in asked.what or GROUPS.keys() - {MEASURES}
    for package in (GROUPS[what][0] if what in GROUPS else [what])
]
unknown = set(packages) - {package for group in GROUPS.values() for package in group[0]}
if unknown:
    sys.exit(f"no such package or group: {', '.join(sorted(unknown))}")
options = list(HEART) if short else []
if asked.since:
    WORK.mkdir(parents=True, exist_ok=True)
    diff = subprocess.run(["git", "diff", asked.since], check=True, stdout=subprocess.PIPE).stdout
    (WORK / "since.diff").write_bytes(diff)
    options += ["--in-diff", str(WORK / "since.diff")]

began = time.monotonic()
excuses = tomllib.loads(pathlib.Path(".cargo/mutants.toml").read_text())["exclude_re"]
left_out = len(listed(packages, "--no-config") - listed(packages))
control = judged("control", [CORE], ([CORE], TESTS_OF_SOMETHING_ELSE), *BLIND)
outcomes, carried_over = [], []
for group, (mine, judges) in GROUPS.items():
    mine = [package for package in mine if package in packages]
    if mine:
        outcomes += asked_in_turn(group, mine, judges[:1] if short else judges, *options)


def named(word: str) -> list[str]:
    return [outcome["name"] for outcome in outcomes if outcome["outcome"] == word]


caught, missed, timeouts, unviable = map(named, ["CaughtMutant", "MissedMutant", "Timeout", "Unviable"])
in_core = [outcome for outcome in outcomes if outcome["group"] == "core" and outcome["name"] in {*missed, *timeouts}]
tried = len(caught) + len(missed) + len(timeouts)
# A change of documents alone has nothing to break; any other form has.
share = len(caught) / tried if tried else float(asked.since is not None)
noticed = [outcome for outcome in control if outcome["outcome"] != "MissedMutant"]
print()
for title, names in [("missed", missed), ("too long", timeouts)]:
    for name in names:
        print(f"{title}: {name}")
if noticed or not control:
    print("The control failed: tests of something else have noticed what they cannot see, so what is caught here means nothing.")
print(f"{len(caught)} of {tried} were caught in {time.monotonic() - began:.0f} s")
form = "short" if short else "part" if asked.what or asked.shard or asked.since else "full"
holds = bool(control) and not noticed and not in_core and share >= LEAST_CAUGHT and len(excuses) <= MOST_EXCUSES
print(json.dumps({
    "gate": "G5", "holds": holds, "form": form, "mutants": len(outcomes), "caught": len(caught),
    "missed": len(missed), "missed_in_core": len(in_core), "timeouts": len(timeouts), "unviable": len(unviable),
    "excuses": len(excuses), "excused": left_out, "caught_percent": round(100 * share, 2),
    "carried_over": len(carried_over), "control_missed": len(control) - len(noticed), "seconds": round(time.monotonic() - began),
}))
sys.exit(0 if holds else 1)
