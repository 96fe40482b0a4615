"""Our functions behind `cargo lambda watch`, which compiles each at its first event, and a whole sign-in through them."""

import os
import subprocess
import urllib.error
import urllib.request

from processes import free_port, running, wait_for

LOG = "target/ci/watch.log"
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")

pool, functions = free_port(), free_port()
watch = running(
    "cargo", "lambda", "watch", "--invoke-address", "127.0.0.1", "--invoke-port", str(functions),
    CODE_KEY="a-key-of-the-checks-with-enough-characters", SES_FROM_ADDRESS="sign-in@example.com",
    AWS_ENDPOINT_URL_SESV2=f"http://127.0.0.1:{pool}", AWS_REGION="eu-west-1",
    AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", log=LOG,
)
program = f"{TARGET}/debug/custom-auth"
endpoint = f"http://127.0.0.1:{functions}"
# The compilation may take longer than Cognito would wait.
local = running(
    program, "local", "--port", str(pool), "--lambda-endpoint", endpoint, "--trigger-timeout", "300000",
    "--pre-authentication-in-custom-flow", log=LOG,
)
with watch, local:
    wait_for(pool)
    wait_for(functions)
    subprocess.run([program, "sign-in", "--endpoint-url", f"http://127.0.0.1:{pool}"], check=True, stdout=subprocess.PIPE)
    # An error of a function is told by the status here, and is its error all the same.
    request = urllib.request.Request(f"{endpoint}/2015-03-31/functions/define-auth-challenge/invocations", b"{}")
    try:
        urllib.request.urlopen(request)
        raise AssertionError("an event that is none was taken")
    except urllib.error.HTTPError as error:
        assert b'"errorMessage":"The sign-in request could not be read"' in error.read()
print("cargo lambda watch: signed in, and the tokens verify")
