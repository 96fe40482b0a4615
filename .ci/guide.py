"""Takes the programs out of docs/client.md, and sits before each of them like somebody who signs in to the pool in $POOL."""

import asyncio
import json
import os
import pathlib
import re
import shutil
import sys
import urllib.request

GUIDE = pathlib.Path("docs/client.md").read_text()
CI = pathlib.Path("target/ci")
# Where each program of the guide goes, how it is run, and who signs in with it.
PROGRAMS = {
    "amplify.mjs": ("node/guide", "node target/ci/node/guide/amplify.mjs", "amplify@example.com"),
    "identity.mjs": ("node/guide", "node target/ci/node/guide/identity.mjs", "identity@example.com"),
    "sdk.mjs": ("node/guide", "node target/ci/node/guide/sdk.mjs", "sdk@example.com"),
    "sign_in.py": ("guide", "python3 target/ci/guide/sign_in.py", "python@example.com"),
    "main.rs": ("guide-rust/src", "target/debug/sign-in", "rust@example.com"),
    "sign-in.sh": ("guide", "bash target/ci/guide/sign-in.sh", "curl@example.com"),
}
FOLDERS = {name: folder for name, (folder, _, _) in PROGRAMS.items()} | {"Cargo.toml": "guide-rust"}


def extract():
    programs = dict(re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
    assert programs.keys() == FOLDERS.keys(), programs.keys()
    # A package of its own in the workspace's folder, of the crates that the workspace has, built the same way as far as they are.
    programs["Cargo.toml"] += '\n[lints.rust]\nwarnings = "deny"\n\n[profile.dev]\ndebug = "line-tables-only"\n\n[workspace]\n'
    for name, text in programs.items():
        folder = CI / FOLDERS[name]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy("Cargo.lock", CI / "guide-rust")
    # What people are told to install is what runs here.
    pinned = pathlib.Path(".ci/node").read_text() + pathlib.Path(".ci/guide").read_text()
    for package in re.findall(r"^    (?:npm|pip) install (\S+)$", GUIDE, re.MULTILINE):
        assert package in pinned, package


class Terminal:
    """A program, and what was said on both sides."""

    def __init__(self, process):
        self.process = process
        self.transcript = ""
        self.read = 0

    @classmethod
    async def open(cls, command):
        pool = json.loads(os.environ["POOL"])
        environment = {
            "PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "pt_BR.UTF-8", "ENDPOINT": pool["endpoint"],
            "REGION": pool["region"], "USER_POOL_ID": pool["userPoolId"], "CLIENT_ID": pool["clientId"],
            # The SDK warns of Nodes that are about to be too old for it.
            "NODE_NO_WARNINGS": "1",
        }
        pipe = asyncio.subprocess.PIPE
        out = asyncio.subprocess.STDOUT
        return cls(await asyncio.create_subprocess_exec(*command.split(), env=environment, stdin=pipe, stdout=pipe, stderr=out))

    async def reads(self, pattern):
        """Waits until the program has said this, after all that was read before."""
        while not (found := re.compile(pattern).search(self.transcript, self.read)):
            try:
                said = await asyncio.wait_for(self.process.stdout.read(4096), 30)
            except asyncio.TimeoutError:
                said = b""
            assert said, f"did not say {pattern!r}"
            self.transcript += said.decode()
        self.read = found.end()
        return found

    async def types(self, line):
        self.transcript += line + "\n"
        self.read = len(self.transcript)
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    async def ends(self):
        """The exit code, and what was said since something was typed."""
        said, _ = await asyncio.wait_for(self.process.communicate(), 30)
        self.transcript += said.decode()
        return self.process.returncode, self.transcript[self.read :]


def mails(email):
    with urllib.request.urlopen(f"{json.loads(os.environ['POOL'])['mailbox']}?to={email}") as reply:
        return json.load(reply)


def code(email):
    return re.search(r"^[0-9]{4}\s[0-9]{4}$", mails(email)[0]["text"], re.MULTILINE)[0]


async def begins(terminal, email):
    await terminal.reads("E-mail address: $")
    await terminal.types(email)
    await terminal.reads(r"mailed you a code\. It is good for 10 minutes")
    await terminal.reads(r"Code \(8 digits, tries left: 3\): $")


async def is_signed_in(terminal, email):
    ended = await terminal.ends()
    assert ended[0] == 0 and re.fullmatch(rf"Signed in as {email}\.\n", ended[1]), ended


async def tries_everything(terminal, email):
    await begins(terminal, email)
    await terminal.types("0000 0000")
    await terminal.reads("That is not the code")
    await terminal.reads(r"tries left: 2\): $")
    await terminal.types("again")
    wait = await terminal.reads(r"You can ask for another in (\d+) s")
    await terminal.reads(r"tries left: 2\): $")
    assert int(wait[1]) <= 10 and len(mails(email)) == 1
    await asyncio.sleep(int(wait[1]))
    await terminal.types("")
    await terminal.reads("mailed you a code")
    await terminal.reads(r"tries left: 2\): $")
    assert len(mails(email)) == 2, "mails"
    await terminal.types("again")
    await terminal.reads("cannot mail this code again")
    await terminal.reads(r"tries left: 2\): $")
    await terminal.types(code(email))
    await is_signed_in(terminal, email)


async def is_nobody(terminal, _):
    await begins(terminal, "nobody@example.com")
    for left in (2, 1):
        await terminal.types("0000 0000")
        await terminal.reads("That is not the code")
        await terminal.reads(rf"tries left: {left}\): $")
    await terminal.types("0000 0000")
    status, told = await terminal.ends()
    assert status > 0, f"exit status {status}"
    assert "NotAuthorizedException" in told and "Incorrect username or password." in told and told.count("\n") == 1, told


async def passes_the_parameter_round(terminal, email):
    await begins(terminal, email)
    assert len(mails(email)) == 1, "mails"
    await terminal.types(code(email))
    await is_signed_in(terminal, email)


async def run(name, scenario):
    """Whether the program does what the scenario expects."""
    _, command, email = PROGRAMS[name]
    terminal = await Terminal.open(command)
    try:
        await scenario(terminal, email)
    except Exception as error:
        if terminal.process.returncode is None:
            terminal.process.kill()
        print(f"{name}, {scenario.__name__}: {error!r}\n{terminal.transcript}\n", file=sys.stderr)
        return False
    print(f"{name} {scenario.__name__.replace('_', ' ')}")
    return True


async def run_all(*scenarios):
    runs = (run(name, scenario) for name in PROGRAMS for scenario in scenarios)
    if not all(await asyncio.gather(*runs)):
        sys.exit(1)


def check_locales(answers):
    """Every answer came with the language of the terminal."""
    events = CI / "guide-events" / sys.argv[1] / "verify-auth-challenge"
    told = [json.loads(path.read_text())["request"]["clientMetadata"].get("locale") for path in events.iterdir()]
    assert told == ["pt-BR"] * answers * len(PROGRAMS), told


match sys.argv[1]:
    case "extract":
        extract()
    case "sign-in":
        asyncio.run(run_all(tries_everything, is_nobody))
        check_locales(answers=5 + 3)
    case "parameter-round":
        asyncio.run(run_all(passes_the_parameter_round))
        check_locales(answers=2)
