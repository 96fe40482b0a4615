"""Starts moto's DynamoDB, a local pool that counts in it, and signs in against the limits."""

import concurrent.futures
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3

AGAIN = "CreateAuthChallenge failed with error There were too many sign-ins, please try again later."
CREATE, VERIFY = "create-auth-challenge", "verify-auth-challenge"


def call(url, body, headers=()):
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return json.load(error)


def pool_api(operation, **parameters):
    headers = {"x-amz-target": f"AWSCognitoIdentityProviderService.{operation}"}
    return call(POOL["endpoint"], {"ClientId": POOL["clientId"], **parameters}, headers)


def initiate(username):
    return pool_api("InitiateAuth", AuthFlow="CUSTOM_AUTH", AuthParameters={"USERNAME": username})


def respond(challenge, username, answer):
    return pool_api(
        "RespondToAuthChallenge", ChallengeName="CUSTOM_CHALLENGE", Session=challenge["Session"],
        ChallengeResponses={"USERNAME": username, "ANSWER": answer},
    )


def newest_code(to):
    with urllib.request.urlopen(f"{POOL['mailbox']}?to={to}", timeout=60) as reply:
        return re.search(r"^\d{4}\s\d{4}$", json.load(reply)[0]["text"], re.MULTILINE)[0]


def invoke(function, event):
    return call(f"{POOL['endpoint']}/2015-03-31/functions/{function}/invocations", event)


def event(source, user, **request):
    attributes = {"sub": user, "email": f"{user}@example.com", "email_verified": "true"}
    return {
        "version": "1", "region": POOL["region"], "userPoolId": POOL["userPoolId"], "userName": user,
        "callerContext": {"awsSdkVersion": "x", "clientId": POOL["clientId"]}, "triggerSource": source,
        "request": {"userAttributes": attributes, "userNotFound": False, **request}, "response": {},
    }


def begun(user):
    """A challenge of somebody whom no pool knows, and its code."""
    reply = invoke(CREATE, event("CreateAuthChallenge_Authentication", user, challengeName="CUSTOM_CHALLENGE", session=[]))
    return reply["response"]["privateChallengeParameters"], newest_code(f"{user}@example.com")


def answers(user, private, given):
    def one(answer):
        verify = event("VerifyAuthChallengeResponse_Authentication", user, privateChallengeParameters=private, challengeAnswer=answer)
        return invoke(VERIFY, verify)["response"]["answerCorrect"]

    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        return list(threads.map(one, given))


def limits():
    # A whole sign-in, and what it leaves behind.
    first = initiate("alice@example.com")
    assert "AuthenticationResult" in respond(first, "alice@example.com", newest_code("alice@example.com"))
    table = boto3.resource("dynamodb", endpoint_url=DYNAMODB, region_name="eu-west-1").Table(os.environ["LIMITS_TABLE"])
    [item] = table.scan()["Items"]
    assert sorted(item) == ["account", "counts", "expires", "version"], item
    assert "alice" not in json.dumps(item, default=str)
    counts = json.loads(item["counts"])
    assert (len(counts["mails"]), counts["failures"]) == (1, 0), counts

    # Three mails at once, whoever it is.
    for username in ("carol@example.com", "nobody@example.com"):
        for _ in range(3):
            challenge = initiate(username)
            respond(challenge, username, "0000 0000")
        refused = initiate(username)
        assert (refused["__type"], refused["message"]) == ("UserLambdaValidationException", AGAIN), refused
    print("three mails at once for those who exist and those who do not")

    # Many at once on one challenge: three are judged, so the right one that comes after is not.
    for n in range(10):
        private, code = begun(f"guessed{n}")
        wrong = [f"{guess:08}" for guess in range(100) if f"{guess:08}" != code.replace("\xa0", "")]
        assert not any(answers(f"guessed{n}", private, wrong))
        assert answers(f"guessed{n}", private, [code]) == [False]
        judged = [json.loads(item["counts"]) for item in table.scan()["Items"]]
        assert max(counts["failures"] for counts in judged) == 3, judged
        # All within three seconds: from the fourth on the same round may be Cognito's repeat, which is right again.
        private, code = begun(f"owner{n}")
        started = time.monotonic()
        accepted = sum(answers(f"owner{n}", private, [code] * 100))
        assert accepted == 1 or time.monotonic() - started > 3, accepted
    print("of 100 wrong answers at once 3 are judged, of 100 right ones 1 is accepted, ten times each")

    # The same with more of them, and with the answers to many challenges of one account.
    command = ["cargo", "bench", "-q", "--workspace", "--profile", "dev", "--bench", "at_once", "--", "--endpoint", DYNAMODB]
    subprocess.run([*command, "--rounds", "1", "--answers", "1000", "--at-once", "8"], check=True)


def gone():
    refused = initiate("amplify@example.com")
    assert refused["__type"] == "UserLambdaValidationException", refused
    assert refused["message"].endswith("Something went wrong, please try again."), refused
    assert refused == initiate("nobody.else@example.com")
    print("without its table nobody signs in, and nobody is told more than that")


# One request after the other: moto looks at a condition and writes in two steps, with nothing that keeps others out between them.
MOTO = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@contextlib.contextmanager
def moto():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", MOTO, str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield server, f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
if "POOL" in os.environ:
    POOL, DYNAMODB = json.loads(os.environ["POOL"]), os.environ["DYNAMODB"]
    limits()
    os.kill(int(os.environ["MOTO"]), 9)
    gone()
else:
    with moto() as (server, url):
        os.environ |= {"DYNAMODB": url, "MOTO": str(server.pid), "LIMITS_TABLE": "named-by-hand"}
        command = [".ci/with-pool", "--dynamodb-endpoint", url, "--", sys.executable, __file__]
        sys.exit(subprocess.run(command).returncode)
