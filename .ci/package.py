"""Runs each packaged function once behind aws-lambda-rie, which comes with the SAM CLI."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

import samcli

RIE = pathlib.Path(samcli.__file__).parent / "local/rapid/aws-lambda-rie-x86_64"
BUILT = pathlib.Path("target/ci/sam").resolve()
VARIABLES = json.loads(pathlib.Path("events/env.json").read_text())["Parameters"] | {
    "AWS_SAM_LOCAL": "true", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
}
CASES = [
    ("PreAuthenticationFunction", "pre-authentication/plain", {}),
    ("DefineAuthChallengeFunction", "define-auth-challenge/right-answer", {"issueTokens": True}),
    ("CreateAuthChallengeFunction", "create-auth-challenge/wrong-answer", None),
    ("VerifyAuthChallengeFunction", "verify-auth-challenge/right-answer", {"answerCorrect": True}),
    ("PreSignUpFunction", "pre-sign-up/plain", {"autoVerifyEmail": False}),
    ("PreTokenGenerationFunction", "pre-token-generation/sign-in", {"claimsOverrideDetails": None}),
    ("PostAuthenticationFunction", "post-authentication/unverified-address", {}),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(function):
    invoke, runtime = free_port(), free_port()
    command = [
        RIE, "--runtime-interface-emulator-address", f"127.0.0.1:{invoke}", "--runtime-api-address", f"127.0.0.1:{runtime}",
        BUILT / function / "bootstrap",
    ]
    os.chmod(RIE, 0o755)
    process = subprocess.Popen(command, env=os.environ | VARIABLES, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", invoke)):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{invoke}/2015-03-31/functions/function/invocations"
    finally:
        process.kill()
        process.wait()


for function, case, expected in CASES:
    event = subprocess.run(
        ["cargo", "run", "--quiet", "--", "event", f"events/{case}.json"], check=True, stdout=subprocess.PIPE
    ).stdout
    with running(function) as url:
        with urllib.request.urlopen(urllib.request.Request(url, data=event), timeout=20) as reply:
            response = json.load(reply)["response"]
    if expected is None:
        assert response["publicChallengeParameters"]["errorCode"] == "CODE_MISMATCH", response
    else:
        assert expected.items() <= response.items(), response
    print(f"{function}: right on {case}")
