"""The Dead Simple Signing Envelope (DSSE v1.0.2, https://github.com/secure-systems-lab/dsse) with one Ed25519
signature."""

import base64
import binascii
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from robustmm.errors import DataError
from robustmm.evidence.signing.keys import name_key

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def encode_pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed, the pre-authentication encoding: `DSSEv1 29 http://example.com/HelloWorld 11 hello world`."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal_payload(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """The envelope of a payload, as a file holds it."""
    signature = key.sign(encode_pae(PAYLOAD_TYPE, payload))
    return format_envelope(payload, name_key(key.public_key()), signature)


def format_envelope(payload: bytes, keyid: str, signature: bytes) -> bytes:
    table = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
    }
    return (json.dumps(table, indent=1) + "\n").encode()


def open_envelope(content: bytes, key: Ed25519PublicKey) -> bytes:
    """The payload of an envelope that this key signed. Raises DataError, without a subject, for another key, another
    payload, or anything that `seal_payload` does not write: then no byte can be changed unseen."""
    try:
        table: Any = json.loads(content)
        payload = base64.b64decode(table["payload"], validate=True)
        (signed,) = table["signatures"]
        keyid, signature = signed["keyid"], base64.b64decode(signed["sig"], validate=True)
        same = format_envelope(payload, keyid, signature) == content
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise DataError("is no DSSE envelope with one signature") from error
    if not same:
        raise DataError("is not as robustmm writes an envelope: it was changed since")
    if keyid != name_key(key):
        raise DataError(f"was signed with key {str(keyid)[:12]}…, and the key given is {name_key(key)[:12]}…")
    try:
        key.verify(signature, encode_pae(PAYLOAD_TYPE, payload))
    except InvalidSignature as error:
        raise DataError("does not hold under the key given: the statement or the signature was changed") from error
    return payload
