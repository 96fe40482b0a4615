"""Every event of `events/` in the containers of `sam local`, compared with what the same function makes of it as a process of the local
pool, which `cargo test` judges; then a whole sign-in through `sam local start-lambda`."""

import http.server
import json
import os
import pathlib
import subprocess
import threading
import urllib.error
import urllib.request

from samcli.yamlhelper import yaml_dump, yaml_parse
from processes import free_port, running, wait_for

BUILT = pathlib.Path("target/ci/sam")
LOG = "target/ci/containers.log"
PROGRAM = f"{os.environ.get('CARGO_TARGET_DIR', 'target')}/debug/custom-auth"
FUNCTIONS = {
    "pre-authentication": "PreAuthentication", "define-auth-challenge": "DefineAuthChallenge",
    "create-auth-challenge": "CreateAuthChallenge", "verify-auth-challenge": "VerifyAuthChallenge",
    "pre-sign-up": "PreSignUp", "pre-token-generation": "PreTokenGeneration", "post-authentication": "PostAuthentication",
}


class Mail(http.server.BaseHTTPRequestHandler):
    """Hands on what containers mail to a pool, which listens on this machine's loopback alone, and to nobody who asks for another host."""

    pool = None
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        try:
            reply = urllib.request.urlopen(urllib.request.Request(self.pool + self.path, data=body, headers=kept))
        except urllib.error.HTTPError as error:
            reply = error
        content = reply.read()
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def fetch(url, data=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=60) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return json.load(error)


def invoke(endpoint, function, event):
    return fetch(f"{endpoint}/2015-03-31/functions/{function}/invocations", event)


def comparable(answer):
    """Without what is by chance or tells the time."""
    if "errorMessage" in answer:
        return answer["errorMessage"]
    response = dict(answer["response"])
    if "publicChallengeParameters" in response:
        public = response["publicChallengeParameters"]
        assert response["privateChallengeParameters"] == {"challenge": response.pop("challengeMetadata")}
        del response["privateChallengeParameters"]
        assert public.pop("expiresAt").isdecimal() and public.pop("resendAfter").isdecimal()
    return answer | {"response": response}


pool = json.loads(os.environ["POOL"])
gateway = subprocess.run(
    ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"],
    check=True, stdout=subprocess.PIPE, text=True,
).stdout.strip() or "172.17.0.1"
Mail.pool = pool["endpoint"]
mail = http.server.ThreadingHTTPServer((gateway, 0), Mail)
threading.Thread(target=mail.serve_forever, daemon=True).start()

# `--env-vars` sets only what a template declares, and no deployment declares where a stand-in for SES is.
template = yaml_parse((BUILT / "template.yaml").read_text())
variables = template["Globals"]["Function"]["Environment"]["Variables"]
variables["AWS_ENDPOINT_URL_SESV2"] = f"http://{gateway}:{mail.server_port}"
(BUILT / "local.yaml").write_text(yaml_dump(template))

sam_port, second_pool = free_port(), free_port()
options = [
    "--template", str(BUILT / "local.yaml"), "--parameter-overrides", "Architecture=x86_64", "--env-vars", "events/env.json",
    "--skip-pull-image",
]
sam = running("sam", "local", "start-lambda", *options, "--port", str(sam_port), "--warm-containers", "LAZY", log=LOG)
endpoint = f"http://127.0.0.1:{sam_port}"


def mails():
    return len(fetch(pool["mailbox"]))


with sam:
    wait_for(sam_port)
    cases = sorted(pathlib.Path("events").glob("*/*.json"))
    for case in cases:
        event = subprocess.run([PROGRAM, "event", case], check=True, stdout=subprocess.PIPE).stdout
        before = mails()
        expected = comparable(invoke(pool["lambdaEndpoint"], case.parent.name, event))
        between = mails()
        answer = comparable(invoke(endpoint, f"{FUNCTIONS[case.parent.name]}Function", event))
        assert answer == expected, f"{case}: {answer}, and not {expected}"
        assert mails() - between == between - before, f"{case}: not as many mails"
    print(f"sam local start-lambda: {len(cases)} events, each answered as by the same function without a container")

    attached = [
        option
        for name, function in FUNCTIONS.items()
        if not name.startswith(("pre-sign-up", "pre-token", "post-"))
        for option in ("--function", f"{function.replace('VerifyAuthChallenge', 'VerifyAuthChallengeResponse')}={function}Function")
    ]
    Mail.pool = f"http://127.0.0.1:{second_pool}"
    with running(PROGRAM, "local", "--port", str(second_pool), "--lambda-endpoint", endpoint, *attached, log=LOG):
        wait_for(second_pool)
        sign_in = [PROGRAM, "sign-in", "--endpoint-url", f"http://127.0.0.1:{second_pool}"]
        subprocess.run(sign_in, check=True, stdout=subprocess.PIPE)
    print("sam local start-lambda: signed in, and the tokens verify")

# As the README says it, but for the template.
event = subprocess.run([PROGRAM, "event", "events/verify-auth-challenge/right-answer.json"], check=True, stdout=subprocess.PIPE).stdout
with open(LOG, "ab") as log:
    answer = subprocess.run(
        ["sam", "local", "invoke", "VerifyAuthChallengeFunction", *options, "--event", "-"],
        input=event, check=True, stdout=subprocess.PIPE, stderr=log,
    ).stdout
assert json.loads(answer)["response"] == {"answerCorrect": True}, answer
print("sam local invoke: a right answer is right")
