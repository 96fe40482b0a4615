"""Triggers as somebody would write them in Python, and a sign-up and sign-ins that pass through them."""

import json
import os
import pathlib
import re
import secrets
import urllib.request


def pre_sign_up(event, context):
    if event["request"].get("clientMetadata", {}).get("invitation") != "yes":
        raise ValueError("By invitation only")
    event["response"]["autoConfirmUser"] = event["response"]["autoVerifyEmail"] = True
    return event


def pre_token_generation(event, context):
    assert event["version"] == "2" and event["request"]["scopes"] == ["aws.cognito.signin.user.admin"]
    event["response"]["claimsAndScopeOverrideDetails"] = {
        "idTokenGeneration": {"claimsToAddOrOverride": {"reason": event["triggerSource"].split("_")[1]}},
        "accessTokenGeneration": {"scopesToAdd": ["orders/read"]},
    }
    return event


def post_authentication(event, context):
    if event["request"].get("clientMetadata", {}).get("device") == "stolen":
        raise ValueError("Not with this device")
    return event


def main():
    import boto3
    import botocore
    import jwt

    pool = json.loads(os.environ["POOL"])
    email = "zoe@example.com"
    config = botocore.config.Config(signature_version=botocore.UNSIGNED)
    cognito = boto3.client("cognito-idp", endpoint_url=pool["endpoint"], region_name=pool["region"], config=config)

    def sign_up(**metadata):
        return cognito.sign_up(
            ClientId=pool["clientId"], Username=email, Password=secrets.token_urlsafe() + "Aa1-", ClientMetadata=metadata
        )

    def sign_in(**metadata):
        begun = cognito.initiate_auth(
            ClientId=pool["clientId"], AuthFlow="CUSTOM_AUTH", AuthParameters={"USERNAME": email}
        )
        with urllib.request.urlopen(f"{pool['mailbox']}?to={email}") as reply:
            code = json.load(reply)[0]["text"].splitlines()[2]
        codes.append(code)
        reply = cognito.respond_to_auth_challenge(
            ClientId=pool["clientId"], ChallengeName="CUSTOM_CHALLENGE", Session=begun["Session"],
            ChallengeResponses={"USERNAME": email, "ANSWER": code}, ClientMetadata=metadata,
        )
        return reply["AuthenticationResult"]

    def refused(message, call, **metadata):
        try:
            call(**metadata)
        except cognito.exceptions.UserLambdaValidationException as error:
            assert error.response["Error"]["Message"] == message, error
        else:
            raise AssertionError(f"not refused: {message}")

    codes = []
    refused("PreSignUp failed with error By invitation only.", sign_up)
    assert sign_up(invitation="yes")["UserConfirmed"]
    refused("PostAuthentication failed with error Not with this device.", sign_in, device="stolen")
    tokens = sign_in()
    keys = jwt.PyJWKClient(pool["jwksUri"])
    claims = lambda token, audience: jwt.decode(
        token, keys.get_signing_key_from_jwt(token), ["RS256"], audience=audience, options={"verify_aud": bool(audience)}
    )
    assert claims(tokens["IdToken"], pool["clientId"])["reason"] == "Authentication"
    assert claims(tokens["AccessToken"], None)["scope"] == "aws.cognito.signin.user.admin orders/read"
    renewed = cognito.get_tokens_from_refresh_token(ClientId=pool["clientId"], RefreshToken=tokens["RefreshToken"])
    renewed = renewed["AuthenticationResult"]["IdToken"]
    assert claims(renewed, pool["clientId"])["reason"] == "RefreshTokens"
    print("triggers in Python: asked, and heeded")

    # Each event that was sent is a fixture now, and says nothing of anybody.
    fixtures = sorted(pathlib.Path("target/ci/events").glob("*/*.json"))
    told = {path.parent.name for path in fixtures}
    functions = {"pre-sign-up", "define-auth-challenge", "create-auth-challenge", "verify-auth-challenge"}
    assert told == functions | {"pre-token-generation", "post-authentication"}, told
    for path in fixtures:
        text = path.read_text()
        event = json.loads(text)
        assert list(event) and event["userPoolId"] == pool["userPoolId"], path
        for secret in [email, *codes, claims(renewed, pool["clientId"])["sub"]]:
            assert secret not in text, f"{path}: {secret}"
        uuids = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))
        assert all(found.startswith("00000000-") for found in uuids), path
    print(f"{len(fixtures)} events recorded, none with anything of anybody's in it")


if __name__ == "__main__":
    main()
