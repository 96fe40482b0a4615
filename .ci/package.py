"""Runs each packaged function once behind aws-lambda-rie, which comes with the SAM CLI."""

import json
import os
import pathlib
import subprocess
import urllib.request

import samcli

from processes import free_port, running, wait_for

RIE = pathlib.Path(samcli.__file__).parent / "local/rapid/aws-lambda-rie-x86_64"
RIE.chmod(0o755)
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


for function, case, expected in CASES:
    event = subprocess.run(
        ["cargo", "run", "--quiet", "--", "event", f"events/{case}.json"], check=True, stdout=subprocess.PIPE
    ).stdout
    invoke, runtime = free_port(), free_port()
    host = running(
        RIE, "--runtime-interface-emulator-address", f"127.0.0.1:{invoke}", "--runtime-api-address", f"127.0.0.1:{runtime}",
        BUILT / function / "bootstrap", log="target/ci/package.log", **VARIABLES,
    )
    with host:
        wait_for(invoke)
        url = f"http://127.0.0.1:{invoke}/2015-03-31/functions/function/invocations"
        with urllib.request.urlopen(urllib.request.Request(url, data=event), timeout=20) as reply:
            response = json.load(reply)["response"]
    if expected is None:
        assert response["publicChallengeParameters"]["errorCode"] == "CODE_MISMATCH", response
    else:
        assert expected.items() <= response.items(), response
    print(f"{function}: right on {case}")
