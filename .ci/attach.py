"""Attaches the functions to a pool that has users and settings of its own, signs in, and takes them away again.

What a command says of the pool is not believed: the pool and the functions' policies are read with Amazon's own SDK.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import urllib.request

import boto3

POOL = json.loads(os.environ["POOL"])
PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"), "debug/custom-auth").resolve()
ARN = f"arn:aws:lambda:{POOL['region']}:000000000000:function:"
OURS = {
    "PreAuthentication": f"{ARN}pre-authentication",
    "DefineAuthChallenge": f"{ARN}define-auth-challenge",
    "CreateAuthChallenge": f"{ARN}create-auth-challenge",
    "VerifyAuthChallengeResponse": f"{ARN}verify-auth-challenge",
}
FUNCTIONS = [option for trigger, arn in OURS.items() for option in ("--function", f"{trigger}={arn}")]
# Somebody else's trigger: an alias, which has permissions of its own. Nobody invokes it here.
THEIRS = f"{ARN}pre-authentication:theirs"
# Each away from its default, which UpdateUserPool goes back to unless told.
SETTINGS = {
    "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True},
    "AutoVerifiedAttributes": ["email"],
    "DeletionProtection": "ACTIVE",
    "EmailVerificationMessage": "Your code is {####}",
    "EmailVerificationSubject": "Grüße von uns",
    "Policies": {
        "PasswordPolicy": {
            "MinimumLength": 14, "RequireUppercase": False, "RequireLowercase": True, "RequireNumbers": True,
            "RequireSymbols": False, "TemporaryPasswordValidityDays": 5,
        },
        "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD"]},
    },
    "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    "UserPoolTags": {"owner": "somebody"},
}
NO_TRIGGER = "Custom auth lambda trigger is not configured for the user pool."
DRY_RUN = "Dry run: nothing was changed."
READ_BACK = "Read back: nothing else in the pool has changed."
# What `attach` keeps. It is written where the commands run.
FOLDER = tempfile.TemporaryDirectory()
KEPT = pathlib.Path(FOLDER.name, f"custom-auth.{POOL['userPoolId']}.json")
# As on a machine without an AWS account.
BARE = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
BARE |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}

access = {"region_name": POOL["region"], "aws_access_key_id": "local", "aws_secret_access_key": "local"}
cognito = boto3.client("cognito-idp", endpoint_url=POOL["endpoint"], **access)
# The SDK leaves out what it does not know.
replies = []
cognito.meta.events.register(
    "after-call.cognito-idp.DescribeUserPool", lambda http_response, **_: replies.append(http_response.content)
)
functions = boto3.client("lambda", endpoint_url=POOL["endpoint"], **access)


def passed(what):
    print(f"{time.monotonic() - started:5.1f} s  {what}")


def run(command, *options, fails=False):
    """Runs a command of the program; what it prints to either, as it should end."""
    ended = subprocess.run(
        [PROGRAM, command, *options], cwd=FOLDER.name, env=BARE, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert ended.returncode == (1 if fails else 0), f"{command}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended


def ops(command, *options, fails=False):
    target = ["--user-pool-id", POOL["userPoolId"], "--endpoint-url", POOL["endpoint"]]
    return run(command, *target, *options, fails=fails)


def described():
    """The pool as the reply has it, to the last byte, but for when it was last changed."""
    cognito.describe_user_pool(UserPoolId=POOL["userPoolId"])
    pool = json.loads(replies.pop())["UserPool"]
    del pool["LastModifiedDate"]
    return json.dumps(pool)


def triggers():
    return json.loads(described()).get("LambdaConfig", {})


def statements(arn):
    try:
        policy = functions.get_policy(FunctionName=arn)["Policy"]
    except functions.exceptions.ResourceNotFoundException:
        return []
    return json.loads(policy)["Statement"]


def everything():
    return described(), {arn: statements(arn) for arn in OURS.values()}


def same(what, before):
    after = everything()
    assert after == before, f"{what}: not what it was\n{before}\n{after}"


def doctor(*options, fails=False):
    """What is found, by check; told for people and for programs alike."""
    options = ["--client-id", POOL["clientId"], *options]
    found = json.loads(ops("doctor", "--json", *options, fails=fails).stdout)
    lines = ops("doctor", *options, fails=fails).stdout.splitlines()
    told = [(line[:13].strip().replace(" ", "-"), line[13:53].strip()) for line in lines]
    assert told == [(finding["status"], finding["check"]) for finding in found], lines
    return {finding["check"]: finding for finding in found}


def mails_to(email):
    with urllib.request.urlopen(f"{POOL['mailbox']}?to={email}") as reply:
        return json.load(reply)


def set_triggers(config):
    """All of the pool's settings at once, as whoever changes one of them has to."""
    cognito.update_user_pool(UserPoolId=POOL["userPoolId"], LambdaConfig=config, **SETTINGS)
    assert triggers() == config, triggers()


def make_it_theirs():
    """Of the local pool a pool that somebody has: with users, settings and a trigger of its own, and nothing of ours."""
    set_triggers({"PreSignUp": THEIRS})
    functions.add_permission(
        FunctionName=THEIRS, StatementId="theirs", Action="lambda:InvokeFunction", Principal="cognito-idp.amazonaws.com",
        SourceArn=json.loads(described())["Arn"], SourceAccount="000000000000",
    )
    for arn in OURS.values():
        for statement in statements(arn):
            functions.remove_permission(FunctionName=arn, StatementId=statement["Sid"])
        assert statements(arn) == []
    pool = json.loads(described())
    for name, members in SETTINGS.items():
        # The pool may add members of its own.
        is_so = members.items() <= pool[name].items() if isinstance(members, dict) else members == pool[name]
        assert is_so, f"{name}: {pool}"


def sign_in(email):
    """As a person does it: begins, waits until there is mail, and types the code that is in it."""
    with subprocess.Popen(
        [PROGRAM, "sign-in", "--endpoint-url", POOL["endpoint"], "--client-id", POOL["clientId"], "--username", email],
        env=BARE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=0,
    ) as process:
        # Whatever happens it does not ask for ever.
        limit = threading.Timer(30, process.kill)
        limit.start()
        said = ""
        while "another mail: " not in said:
            letter = process.stdout.read(1)
            assert letter, said
            said += letter
        [mail] = mails_to(email)
        code = re.search(r"^[0-9]{4}\s[0-9]{4}$", mail["text"], re.MULTILINE)[0]
        wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
        rest, _ = process.communicate(f"{wrong}\n{code}\n")
        limit.cancel()
    assert process.returncode == 0, said + rest
    assert "CODE_MISMATCH; 2 tries left" in rest and rest.endswith(f"\n{email} is signed in.\n"), rest
    assert code not in said and "Tokens, verified with the keys of" in rest, rest


def main():
    make_it_theirs()
    theirs = everything()
    passed("a pool with users, settings and a trigger of its own")

    # Builds the commands, which the others need not wait for.
    found = doctor(*FUNCTIONS, fails=True)
    wrong = {check for check, finding in found.items() if finding["status"] == "wrong"}
    assert wrong == {f"trigger {trigger}" for trigger in OURS}, wrong
    assert all("attach" in found[check]["mend"] for check in wrong), found
    without = run("sign-in", "--endpoint-url", POOL["endpoint"], fails=True)
    assert NO_TRIGGER in without.stderr, without
    same("doctor", theirs)
    passed(f"doctor: wrong, {', '.join(OURS)}; and nobody signs in")

    said = ops("attach", *FUNCTIONS, "--dry-run").stdout
    assert said.endswith(f"{DRY_RUN}\n"), said
    for trigger, arn in OURS.items():
        assert re.search(rf"^  {trigger} +nothing -> {arn}$", said, re.MULTILINE), said
        assert re.search(rf"^  permission +{arn}: to invoke it, for this pool alone$", said, re.MULTILINE), said
    same("attach --dry-run", theirs)
    assert not KEPT.exists()
    passed("attach --dry-run: says what it would do, and does nothing")

    said = ops("attach", *FUNCTIONS).stdout
    assert said.endswith(f"What there was is kept in {KEPT.name}, for `detach`.\nAttached. {READ_BACK}\n"), said
    now = described()
    expected = json.loads(theirs[0])
    expected["LambdaConfig"] |= OURS
    assert json.loads(now) == expected, f"{now}\n{expected}"
    for arn in OURS.values():
        [statement] = statements(arn)
        assert statement["Condition"]["StringEquals"]["AWS:SourceAccount"] == "000000000000", statement
        assert statement["Condition"]["ArnLike"]["AWS:SourceArn"] == json.loads(now)["Arn"], statement
    assert ops("attach", *FUNCTIONS).stdout.endswith("Nothing to do.\n")
    passed("attach: four triggers, a permission for each, and nothing else; a second one has nothing to do")

    found = doctor(*FUNCTIONS)
    for trigger, arn in OURS.items():
        assert found[f"trigger {trigger}"] == {"check": f"trigger {trigger}", "status": "ok", "found": arn}, found
        assert found[f"permission {trigger}"]["status"] == "ok", found
    passed("doctor: nothing is wrong")

    sign_in("python@example.com")
    passed("sign-in: asks for the code, refuses a wrong one, takes the one that was mailed, and verifies the tokens")

    said = ops("detach").stdout
    assert said.endswith(f"Detached. {READ_BACK} Permissions taken away: 4.\n"), said
    same("detach", theirs)
    assert "nothing already" in ops("detach").stdout
    same("a second detach", theirs)
    passed("detach: the pool is what it was to the byte, and so are the permissions")

    KEPT.unlink()
    taken = triggers() | {"DefineAuthChallenge": f"{ARN}define-of-theirs"}
    set_triggers(taken)
    theirs = everything()
    refused = ops("attach", *FUNCTIONS, fails=True)
    message = "another function has DefineAuthChallenge: --replace takes it away; nothing was changed"
    assert refused.stderr.splitlines()[-1] == f"error: {message}", refused
    same("attach without --replace", theirs)
    assert not KEPT.exists()
    ops("attach", *FUNCTIONS, "--replace")
    assert triggers() == taken | OURS, triggers()
    ops("detach")
    same("detach after --replace", theirs)
    passed("another function's trigger: refused, taken with --replace, and given back")


started = time.monotonic()
main()
