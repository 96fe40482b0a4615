"""Signs in to the local pool in $POOL with curl and with the clients that scripts and servers use."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import urllib.request

import boto3
import botocore
import jwt
from pycognito.aws_srp import AWSSRP
from pycognito.exceptions import ForceChangePasswordException

POOL = json.loads(os.environ["POOL"])
USERNAME = "alice@example.com"
PASSWORD = "Correct horse 1"
SECRET = "a-secret-of-the-client"


def code():
    with urllib.request.urlopen(f"{POOL['mailbox']}?to={USERNAME}") as reply:
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


def client(**credentials):
    config = None if credentials else botocore.config.Config(signature_version=botocore.UNSIGNED)
    return boto3.client(
        "cognito-idp", endpoint_url=POOL["endpoint"], region_name=POOL["region"], config=config, **credentials
    )


def server():
    return client(aws_access_key_id="local", aws_secret_access_key="local")


def fails(exception, message, call, *arguments, **parameters):
    try:
        call(*arguments, **parameters)
    except exception as error:
        assert error.response["Error"]["Message"] == message, error
    else:
        raise AssertionError(f"did not fail: {message}")


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


def answer(cognito, challenge, text, **responses):
    return cognito.respond_to_auth_challenge(
        ClientId=POOL["clientId"],
        ChallengeName="CUSTOM_CHALLENGE",
        Session=challenge["Session"],
        ChallengeResponses={"USERNAME": USERNAME, "ANSWER": text} | responses,
    )


def with_boto3():
    cognito = client()
    parameters = {"USERNAME": USERNAME}
    first = cognito.initiate_auth(ClientId=POOL["clientId"], AuthFlow="CUSTOM_AUTH", AuthParameters=parameters)
    second = answer(cognito, first, "0000 0000")
    assert second["ChallengeParameters"]["errorCode"] == "CODE_MISMATCH", second
    result = answer(cognito, second, code())["AuthenticationResult"]
    used = "Invalid session for the user, session can only be used once."
    fails(cognito.exceptions.NotAuthorizedException, used, answer, cognito, second, code())
    return result


def with_boto3_as_server():
    cognito, pool = server(), POOL["userPoolId"]
    zoe = {"UserPoolId": pool, "Username": "zoe@example.com"}
    made = cognito.admin_create_user(**zoe, MessageAction="SUPPRESS", TemporaryPassword="Temporary horse 1")
    assert made["User"]["UserStatus"] == "FORCE_CHANGE_PASSWORD" and made["User"]["UserCreateDate"].year == 1970, made
    cognito.admin_set_user_password(**zoe, Password=PASSWORD, Permanent=True)
    cognito.admin_update_user_attributes(**zoe, UserAttributes=[{"Name": "email_verified", "Value": "true"}])
    result = cognito.admin_initiate_auth(
        UserPoolId=pool, ClientId=POOL["clientId"], AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "zoe@example.com", "PASSWORD": PASSWORD},
    )["AuthenticationResult"]
    cognito.admin_disable_user(**zoe)
    revoked = cognito.exceptions.NotAuthorizedException
    fails(revoked, "User is disabled.", client().get_user, AccessToken=result["AccessToken"])
    cognito.admin_enable_user(**zoe)
    assert cognito.admin_get_user(**zoe)["Enabled"]
    described = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
    assert described["LambdaConfig"]["DefineAuthChallenge"].endswith(":define-auth-challenge"), described
    # What an update leaves out goes back to its default.
    cognito.update_user_pool(UserPoolId=pool, UserPoolTags={"team": "sign-in"})
    assert not cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["LambdaConfig"]
    kept = {name: described[name] for name in ("LambdaConfig", "AutoVerifiedAttributes", "Policies")}
    cognito.update_user_pool(UserPoolId=pool, **kept)
    ids = {"UserPoolId": pool, "ClientId": POOL["clientId"]}
    app = cognito.describe_user_pool_client(**ids)["UserPoolClient"]
    fixed = ("CreationDate", "LastModifiedDate", "ClientSecret")
    cognito.update_user_pool_client(**{name: value for name, value in app.items() if name not in fixed})
    assert cognito.describe_user_pool_client(**ids)["UserPoolClient"] == app
    cognito.admin_delete_user(**zoe)
    fails(cognito.exceptions.UserNotFoundException, "User does not exist.", cognito.admin_get_user, **zoe)
    return result


def srp(username, password, **secret):
    return AWSSRP(username, password, POOL["userPoolId"], POOL["clientId"], client=client(), **secret)


def with_pycognito():
    wrong = srp(USERNAME, "Correct horse 2").authenticate_user
    fails(client().exceptions.NotAuthorizedException, "Incorrect username or password.", wrong)
    temporary = srp("carol@example.com", "Temporary horse 1")
    try:
        temporary.authenticate_user()
        raise AssertionError("a temporary password served")
    except ForceChangePasswordException:
        verify(srp("carol@example.com", "Temporary horse 1").set_new_password_challenge(PASSWORD)["AuthenticationResult"])
    verify(srp("carol@example.com", PASSWORD).authenticate_user()["AuthenticationResult"])
    return srp(USERNAME, PASSWORD).authenticate_user()["AuthenticationResult"]


def with_pycognito_password_first():
    exchange = srp(USERNAME, PASSWORD)
    cognito = exchange.client
    parameters = exchange.get_auth_params() | {"CHALLENGE_NAME": "SRP_A"}
    asked = cognito.initiate_auth(ClientId=POOL["clientId"], AuthFlow="CUSTOM_AUTH", AuthParameters=parameters)
    responses = exchange.process_challenge(asked["ChallengeParameters"], parameters)
    proof = {"ClientId": POOL["clientId"], "ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": responses}
    challenge = cognito.respond_to_auth_challenge(**proof, Session=asked["Session"])
    assert challenge["ChallengeName"] == "CUSTOM_CHALLENGE", challenge
    return answer(cognito, challenge, code())["AuthenticationResult"]


def with_boto3_and_a_secret():
    cognito = client()
    mac = hmac.digest(SECRET.encode(), (USERNAME + POOL["clientId"]).encode(), hashlib.sha256)
    hashed = {"SECRET_HASH": base64.b64encode(mac).decode()}
    begin = lambda parameters: cognito.initiate_auth(
        ClientId=POOL["clientId"], AuthFlow="CUSTOM_AUTH", AuthParameters={"USERNAME": USERNAME} | parameters
    )
    refused = cognito.exceptions.NotAuthorizedException
    fails(refused, f"Client {POOL['clientId']} is configured with secret but SECRET_HASH was not received", begin, {})
    fails(refused, f"Unable to verify secret hash for client {POOL['clientId']}", begin, {"SECRET_HASH": "AAAA"})
    return answer(cognito, begin(hashed), code(), **hashed)["AuthenticationResult"]


def with_pycognito_and_a_secret():
    return srp(USERNAME, PASSWORD, client_secret=SECRET).authenticate_user()["AuthenticationResult"]


RUNS = {
    "without-password": [with_curl, with_aws_cli, with_boto3, with_boto3_as_server, with_pycognito],
    "password-first": [with_pycognito_password_first],
    "client-secret": [with_boto3_and_a_secret, with_pycognito_and_a_secret],
}
for sign_in in RUNS[sys.argv[1]]:
    verify(sign_in())
    print(f"{sign_in.__name__}: signed in, and the tokens verify")
