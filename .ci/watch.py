"""Our functions behind `cargo lambda watch`, which compiles each at its first event, and a whole sign-in through them."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

TARGET = os.environ.get("CARGO_TARGET_DIR", "target")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(*command, **environment):
    with open("target/ci/watch.log", "ab") as log:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def wait_for(port):
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")


pool, functions = free_port(), free_port()
watch = running(
    "cargo", "lambda", "watch", "--invoke-address", "127.0.0.1", "--invoke-port", str(functions),
    CODE_KEY="a-key-of-the-checks-with-enough-characters", SES_FROM_ADDRESS="sign-in@example.com",
    AWS_ENDPOINT_URL_SESV2=f"http://127.0.0.1:{pool}", AWS_REGION="eu-west-1",
    AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local",
)
program = f"{TARGET}/debug/custom-auth"
endpoint = f"http://127.0.0.1:{functions}"
# The compilation may take longer than Cognito would wait.
local = running(
    program, "local", "--port", str(pool), "--lambda-endpoint", endpoint, "--trigger-timeout", "300000",
    "--pre-authentication-in-custom-flow",
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
