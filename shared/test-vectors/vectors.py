"""Derives codes and seals states as shared/src/code.rs and challenge.rs do, with Python's standard library alone.

    python3 shared/test-vectors/vectors.py > shared/test-vectors/vectors.json

A port to another language can check itself against vectors.json; .ci/vectors checks that this file still prints it.
"""

import base64
import hashlib
import hmac
import itertools
import json

ALPHABETS = {"digits": "0123456789", "letters": "BCDFGHJKLMNPQRSTVWXZ"}


def mac(key, label, *fields):
    message = b"".join(len(field).to_bytes(4, "big") + field for field in (label.encode(), *fields))
    return hmac.new(key.encode(), message, hashlib.sha256).digest()


def sign_in(pool, client, user, address):
    """What a challenge is bound to: also the address, where a right answer is to prove it."""
    return [text.encode() for text in (pool, client, user, address) if text is not None]


def derive(key, pool, client, user, nonce, issued_at, alphabet, length, address=None):
    symbols = ALPHABETS[alphabet]
    accepted = 256 - 256 % len(symbols)
    code = ""
    for block in itertools.count():
        fields = [*sign_in(pool, client, user, address), bytes.fromhex(nonce), issued_at.to_bytes(8, "big")]
        for byte in mac(key, "code/v1", *fields, block.to_bytes(4, "big")):
            if byte < accepted and len(code) < length:
                code += symbols[byte % len(symbols)]
        if len(code) == length:
            return code


def base64url(octets):
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def seal(key, pool, client, user, nonce, issued_at, kind, attempts, mails, last_sent, address=None):
    key_id = mac(key, "key-id/v1")[:4].hex()
    nonce = base64url(bytes.fromhex(nonce))
    state = f"1.{kind}.{key_id}.{nonce}.{issued_at}.{attempts}.{mails}.{last_sent}"
    tag = mac(key, "state/v1", *sign_in(pool, client, user, address), state.encode())[:16]
    return f"{state}.{base64url(tag)}"


SIGN_IN = {
    "key": "example-key-of-the-event-fixtures-never-deploy-it",
    "pool": "eu-west-1_EXAMPLE",
    "client": "1example23456789",
    "user": "7d5ba2f0-6d1b-4e0f-9d3f-2f1f0c6b9d11",
    "nonce": "000102030405060708090a0b0c0d0e0f",
    "issued_at": 1767268800,
}

DIGITS = {"alphabet": "digits", "length": 8}
CODES = [
    {},
    {"length": 6},
    {"length": 16},
    {"alphabet": "letters"},
    {"alphabet": "letters", "length": 16},
    {"key": "another-key-of-thirty-two-characters-or-more"},
    {"pool": "eu-west-1_ANOTHER"},
    {"client": "2example23456789"},
    {"user": "jürgen"},
    {"nonce": "ffffffffffffffffffffffffffffffff"},
    {"issued_at": 1767268801},
    {"issued_at": 0},
    # The same bytes with another border between two fields.
    {"pool": "eu-west-1_EXAMPLE1", "client": "example23456789"},
    {"address": "alice@example.com"},
]

FIRST_ROUND = {"kind": "code", "attempts": 0, "mails": 1, "last_sent": 1767268800}
STATES = [
    {},
    {"attempts": 2, "mails": 3, "last_sent": 1767268920},
    {"kind": "parameters", "mails": 0},
    {"kind": "repeat", "attempts": 1},
    {"user": "jürgen"},
    {"address": "alice@example.com"},
]


if __name__ == "__main__":
    codes = [SIGN_IN | DIGITS | change for change in CODES]
    for case in codes:
        case["code"] = derive(**case)
    states = [SIGN_IN | FIRST_ROUND | change for change in STATES]
    for case in states:
        case["sealed"] = seal(**case)
    print(json.dumps({"codes": codes, "states": states}, indent=2, ensure_ascii=False))
