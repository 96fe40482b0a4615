"""Signs in to the local pool in $POOL with the clients that the README speaks of."""

import json
import os
import subprocess
import urllib.request

import boto3
import botocore
import jwt

POOL = json.loads(os.environ["POOL"])
USERNAME = "alice@example.com"


def code():
    with urllib.request.urlopen(POOL["mailbox"]) as reply:
        return json.load(reply)[0]["text"].splitlines()[2]


def verify(result):
    keys = jwt.PyJWKClient(POOL["jwksUri"])
    issuer = f"{POOL['endpoint']}/{POOL['userPoolId']}"
    for token, audience in ((result["IdToken"], POOL["clientId"]), (result["AccessToken"], None)):
        key = keys.get_signing_key_from_jwt(token)
        options = {"require": ["exp", "iat", "iss", "sub"], "verify_aud": audience is not None}
        claims = jwt.decode(token, key, ["RS256"], audience=audience, issuer=issuer, options=options)
    assert claims["token_use"] == "access" and claims["client_id"] == POOL["clientId"], claims


def run(*command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def with_curl():
    def call(operation, parameters):
        return run(
            "curl", "--silent", "--show-error", "--fail", POOL["endpoint"],
            "--header", "content-type: application/x-amz-json-1.1",
            "--header", f"x-amz-target: AWSCognitoIdentityProviderService.{operation}",
            "--data", json.dumps(parameters | {"ClientId": POOL["clientId"]}),
        )

    challenge = call("InitiateAuth", {"AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": USERNAME}})
    responses = {"USERNAME": USERNAME, "ANSWER": code()}
    return call(
        "RespondToAuthChallenge",
        {"ChallengeName": "CUSTOM_CHALLENGE", "Session": challenge["Session"], "ChallengeResponses": responses},
    )["AuthenticationResult"]


def with_aws_cli():
    def call(operation, *parameters):
        return run(
            "aws", "cognito-idp", operation, "--endpoint-url", POOL["endpoint"], "--region", POOL["region"],
            "--no-sign-request", "--output", "json", "--client-id", POOL["clientId"], *parameters,
        )

    challenge = call("initiate-auth", "--auth-flow", "CUSTOM_AUTH", "--auth-parameters", f"USERNAME={USERNAME}")
    answer = code().replace(" ", "")
    username = challenge["ChallengeParameters"]["USERNAME"]
    return call(
        "respond-to-auth-challenge", "--challenge-name", "CUSTOM_CHALLENGE", "--session", challenge["Session"],
        "--challenge-responses", f"USERNAME={username},ANSWER={answer}",
    )["AuthenticationResult"]


def with_boto3():
    config = botocore.config.Config(signature_version=botocore.UNSIGNED)
    client = boto3.client("cognito-idp", endpoint_url=POOL["endpoint"], region_name=POOL["region"], config=config)
    respond = lambda challenge, answer: client.respond_to_auth_challenge(
        ClientId=POOL["clientId"],
        ChallengeName="CUSTOM_CHALLENGE",
        Session=challenge["Session"],
        ChallengeResponses={"USERNAME": USERNAME, "ANSWER": answer},
    )
    parameters = {"USERNAME": USERNAME}
    first = client.initiate_auth(ClientId=POOL["clientId"], AuthFlow="CUSTOM_AUTH", AuthParameters=parameters)
    second = respond(first, "0000 0000")
    assert second["ChallengeParameters"]["errorCode"] == "CODE_MISMATCH", second
    result = respond(second, code())["AuthenticationResult"]
    try:
        respond(second, code())
        raise AssertionError("a session served twice")
    except client.exceptions.NotAuthorizedException:
        return result


for client in (with_curl, with_aws_cli, with_boto3):
    verify(client())
    print(f"{client.__name__}: signed in, and the tokens verify")
