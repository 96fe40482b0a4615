"""Reads the mails that `custom-auth mail --all` writes with two parsers, and signs in with what the function sends to two
stand-ins for SES. The HTML of all of them is left in target/ci/mails."""

import base64
import contextlib
import email
import email.policy
import email.utils
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.request

import boto3
import botocore
import botocore.validate
import html5lib

CI = pathlib.Path("target/ci")
MAILS = CI / "mails"
BIN = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"), "debug")
SENDER = "sign-in@example.com"
# Every setting that a mail or its way out can show.
SETTINGS = {
    "APP_DOMAIN": "example.com",
    "CODE_IN_SUBJECT": "true",
    "DEFAULT_LOCALE": "ja",
    "GREETING_ATTRIBUTE": "given_name",
    "SES_CONFIGURATION_SET": "sign-in",
    "SES_FROM_ADDRESS": f"例の会社 <{SENDER}>",
    "SES_IDENTITY_ARN": "arn:aws:ses:eu-central-1:123456789012:identity/example.com",
    "SES_REGION": "eu-central-1",
    "SES_REPLY_TO_ADDRESS": "help@example.com",
}
LAYLA = "layla@example.com"
# What the clients and the stand-ins are told: nobody looks at it.
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read()


# The mails that are written to look at.


def with_pythons_parser(path):
    raw = path.read_bytes()
    # What every mail server takes (RFC 5322 §2.1.1).
    assert raw.isascii() and all(len(line) <= 78 for line in raw.split(b"\r\n")), f"{path}: no plain lines"
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for part in message.walk():
        defects = part.defects + [defect for value in part.values() for defect in value.defects]
        assert not defects, f"{path}: {defects}"
        names = [name.lower() for name in part.keys()]
        assert len(names) == len(set(names)), f"{path}: a header is there twice: {names}"
    assert message.get_content_type() == "multipart/alternative", path
    # The last part is the one that is preferred (RFC 2046 §5.1.4).
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html"), path
    # Lines of text end in CRLF also where they are encoded (RFC 2045 §6.8).
    contents = [part.get_payload(decode=True).decode() for part in (text, html)]
    assert not any(re.search(r"(?<!\r)\n|\r(?!\n)", content) for content in contents), f"{path}: lines end otherwise"
    text, html = (content.replace("\r\n", "\n") for content in contents)
    people = lambda name: [[person.display_name, person.addr_spec] for person in getattr(message[name], "addresses", [])]
    return {
        "from": people("From"), "to": people("To"), "cc": people("Cc"), "bcc": people("Bcc"), "replyTo": people("Reply-To"),
        "subject": message["Subject"], "autoSubmitted": message["Auto-Submitted"], "date": message["Date"].datetime.timestamp(),
        "messageId": message["Message-ID"], "text": text, "html": html,
    }


def read_mails(folder, sender_name, reply_to, **settings):
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    subprocess.run(
        ["cargo", "run", "--quiet", "--", "mail", "--all", folder], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    paths = sorted(folder.glob("*.eml"))
    assert len(paths) == 14, paths
    read = subprocess.run(["node", CI / "node/mail.mjs", "parse", *paths], check=True, stdout=subprocess.PIPE).stdout
    for path, with_mailparser in zip(paths, json.loads(read), strict=True):
        language, subject, text = re.fullmatch(
            r"Language: ([^\n]*)\nSubject: ([^\n]*)\n\n(.*)", path.with_suffix(".txt").read_text(), re.DOTALL
        ).groups()
        assert language == path.stem, path
        expected = {
            "from": [[sender_name, SENDER]], "to": [["", "alice@example.com"]], "cc": [], "bcc": [],
            "replyTo": [["", reply_to]] if reply_to else [], "subject": subject, "autoSubmitted": "auto-generated",
            "date": 1767268800, "messageId": f"<{language}@example.com>", "text": text,
            "html": path.with_suffix(".html").read_text(),
        }
        for parser, found in (("Python", with_pythons_parser(path)), ("mailparser", with_mailparser)):
            for name, value in expected.items():
                assert found[name] == value, f"{path}: {parser} reads {name} as {found[name]!r}, not {value!r}"
    print(f"{folder}: two parsers read {len(paths)} mails as they were meant")


# The mails that the function sends.


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(name, command, **environment):
    """A program that serves until it is told to end; what it complains of goes to a file."""
    with open(MAILS / f"{name}.log", "wb") as log:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def stand_in(name, *command, **environment):
    port = free_port()
    command = [str(port) if word == "PORT" else word for word in command]
    with running(name, command, **environment):
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{name} does not listen")
        yield f"http://127.0.0.1:{port}"


class Pool:
    """A pool whose create-auth-challenge sends to `ses`; its log is in `log`."""

    def __init__(self, line, log):
        said = json.loads(line)
        self.log = log
        self.client_id = said["clientId"]
        config = botocore.config.Config(signature_version=botocore.UNSIGNED)
        self.client = boto3.client("cognito-idp", endpoint_url=said["endpoint"], region_name=said["region"], config=config)

    @classmethod
    @contextlib.contextmanager
    def beside(cls, name, ses, **settings):
        log = MAILS / f"{name}-function.log"
        function = f"exec env AWS_ENDPOINT_URL_SESV2={ses} '{BIN}/create-auth-challenge' >>{log}"
        command = [
            BIN / "custom-auth", "local", "--port", "0", "--json", "--users", ".ci/users.toml",
            "--command", f"CreateAuthChallenge={function}",
        ]
        with running(f"{name}-pool", command, **SETTINGS, **settings) as process:
            yield cls(process.stdout.readline(), log)

    def begin(self, username=LAYLA):
        return self.client.initiate_auth(
            ClientId=self.client_id, AuthFlow="CUSTOM_AUTH", AuthParameters={"USERNAME": username}
        )

    def answer(self, challenge, code):
        responses = {"USERNAME": challenge["ChallengeParameters"]["USERNAME"], "ANSWER": code}
        return self.client.respond_to_auth_challenge(
            ClientId=self.client_id, ChallengeName="CUSTOM_CHALLENGE", Session=challenge["Session"], ChallengeResponses=responses
        )["AuthenticationResult"]

    def logged(self, message):
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line.get("message") == message]


def fails_to_send(pool, username):
    try:
        pool.begin(username)
    except pool.client.exceptions.UserLambdaValidationException as error:
        told = error.response["Error"]["Message"]
        assert told == "CreateAuthChallenge failed with error The code could not be sent, please try again.", told
    else:
        raise AssertionError("nobody was told that the mail was not sent")


def check_people(sender, recipients):
    # From is a header that SES hands on as it is: ASCII, with a name in encoded words.
    header = email.policy.default.header_factory("From", sender)
    assert sender.isascii() and not header.defects, sender
    assert [(person.display_name, person.addr_spec) for person in header.addresses] == [("例の会社", SENDER)], sender
    assert recipients == [LAYLA], recipients


def code_of(name, subject, html, text):
    """The code, which is the same in all places where it is."""
    (MAILS / "sent" / f"{name}.html").write_text(html)
    marks = str.maketrans("", "", "\u2068\u2069")
    shown = re.search(r'class="code"[^>]*>([^<]+)</p>', html)[1]
    assert subject.translate(marks).startswith(f"{shown} – رمز تسجيل الدخول"), subject
    assert text is None or shown in text.translate(marks).splitlines(), text
    bound = "@example.com #" + "".join(shown.split())
    assert f">{bound}</p>" in html and (text is None or text.endswith(f"\n\n{bound}\n")), (html, text)
    assert html.startswith("<!DOCTYPE html>") and "مرحبًا <bdi>ليلى</bdi>،" in html, html
    return shown


def with_aws_ses_v2_local():
    """The longest code, of the widest letters that there are."""
    name = "aws-ses-v2-local"
    program = CI / "node/node_modules/aws-ses-v2-local/dist/cli.js"
    with (
        stand_in(name, "node", program, "--host", "127.0.0.1", "--port", "PORT") as ses,
        Pool.beside(name, ses, CODE_ALPHABET="letters", CODE_LENGTH="16") as pool,
    ):
        challenge = pool.begin()
        (mail,) = json.loads(get(f"{ses}/store"))["emails"]
        check_people(mail["from"], mail["destination"]["to"])
        assert mail["destination"]["cc"] == mail["destination"]["bcc"] == mail["attachments"] == [], mail
        assert mail["replyTo"] == ["help@example.com"], mail
        assert mail["headers"] == [{"name": "Auto-Submitted", "value": "auto-generated"}], mail
        code = code_of(name, mail["subject"], mail["body"]["html"], mail["body"]["text"])
        assert re.fullmatch(r"([B-Z]{4}\u00a0){3}[B-Z]{4}", code), code
        assert pool.answer(challenge, code)["IdToken"]
        # Somebody who does not exist gets no mail.
        pool.begin("nobody@example.com")
        assert len(json.loads(get(f"{ses}/store"))["emails"]) == 1
        (sent,) = pool.logged("challenge_sent")
        assert sent["message_id"] == mail["messageId"], sent
    print(f"{name}: took the mail, and its code is right")


def check_request(sesv2, recorded):
    """The whole request, against what AWS publishes about the API and against what we mean. moto itself keeps little of it."""
    body = json.loads(base64.b64decode(recorded["body"]))
    assert recorded["method"] == "POST" and recorded["url"].endswith("/v2/email/outbound-emails"), recorded
    shape = sesv2.meta.service_model.operation_model("SendEmail").input_shape
    report = botocore.validate.ParamValidator().validate(body, shape)
    assert not report.has_errors(), report.generate_report()
    simple = body["Content"]["Simple"]
    contents = [simple["Subject"], simple["Body"].pop("Text"), simple["Body"].pop("Html")]
    assert all(content.keys() == {"Data", "Charset"} and content["Charset"] == "UTF-8" for content in contents), contents
    check_people(body.pop("FromEmailAddress"), body.pop("Destination")["ToAddresses"])
    assert body == {
        "ConfigurationSetName": "sign-in",
        "Content": {
            "Simple": {
                "Body": {}, "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}], "Subject": simple["Subject"],
            }
        },
        "EmailTags": [{"Name": "function-version", "Value": "LATEST"}, {"Name": "locale", "Value": "ar"}],
        "FromEmailAddressIdentityArn": SETTINGS["SES_IDENTITY_ARN"],
        "ReplyToAddresses": ["help@example.com"],
    }, body
    # What SES takes in tags; its model does not say so.
    assert all(re.fullmatch(r"[A-Za-z0-9_.@-]{1,256}", word) for tag in body["EmailTags"] for word in tag.values()), body
    return contents[1]["Data"]


def with_moto():
    """A sender that is not verified at first."""
    name = "moto"
    recording = MAILS / "moto-requests.json"
    with (
        stand_in(
            name, "moto_server", "--host", "127.0.0.1", "--port", "PORT", MOTO_ENABLE_RECORDING="1",
            MOTO_RECORDER_FILEPATH=str(recording),
        ) as ses,
        Pool.beside(name, ses) as pool,
    ):
        kept = lambda: json.loads(get(f"{ses}/moto-api/data.json")).get("ses", {}).get("Message", [])
        fails_to_send(pool, LAYLA)
        (failure,) = pool.logged("mail_not_sent")
        assert (failure["level"], failure["reason"]) == ("ERROR", "sender_not_verified"), failure
        assert SENDER not in json.dumps(failure), failure
        # Somebody who does not exist is told the same.
        fails_to_send(pool, "nobody@example.com")
        assert kept() == []

        sesv2 = boto3.client("sesv2", endpoint_url=ses, region_name=SETTINGS["SES_REGION"], **CREDENTIALS)
        # To moto that is enough.
        sesv2.create_email_identity(EmailIdentity=SENDER)
        challenge = pool.begin()
        (mail,) = kept()
        check_people(mail["source"], mail["destinations"]["ToAddresses"])
        requests = [json.loads(line) for line in recording.read_text().splitlines()]
        text = check_request(sesv2, [request for request in requests if "outbound-emails" in request["url"]][-1])
        code = code_of(name, mail["subject"], mail["body"], text)
        assert re.fullmatch(r"\d{4}\u00a0\d{4}", code), code
        assert pool.answer(challenge, code)["IdToken"]
        assert len(pool.logged("challenge_sent")) == 1
    print(f"{name}: refused a sender that is not verified, then took the mail, and its code is right")


read_mails(MAILS / "plain", "Example", None)
read_mails(MAILS / "full", "例の会社", "help@example.com", **SETTINGS)
with_aws_ses_v2_local()
with_moto()
for path in MAILS.glob("*/*.html"):
    parser = html5lib.HTMLParser()
    parser.parse(path.read_text())
    assert not parser.errors, f"{path}: {parser.errors}"
