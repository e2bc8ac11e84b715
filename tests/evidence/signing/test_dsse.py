"""The envelope: what is signed, against the specification and OpenSSL; what is not opened."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from evidence_world import write_keys

from robustmm.errors import DataError
from robustmm.evidence.signing.dsse import encode_pae, format_envelope, open_envelope, seal_payload
from robustmm.evidence.signing.keys import name_key, read_private_key, read_public_key

PAYLOAD = b'{"a": 1}'


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    write_keys(tmp_path, "k")
    return read_private_key(tmp_path / "k.pem")


def test_the_encoding_is_the_specifications() -> None:
    """The test vector of DSSE's protocol page; lengths count bytes, not characters."""
    found = encode_pae("http://example.com/HelloWorld", b"hello world")
    assert found == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert encode_pae("é", "ü".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xbc"
    assert encode_pae("", b"") == b"DSSEv1 0  0 "


def test_a_payload_comes_back_under_its_key(key: Ed25519PrivateKey) -> None:
    envelope = seal_payload(PAYLOAD, key)
    assert open_envelope(envelope, key.public_key()) == PAYLOAD
    table = json.loads(envelope)
    assert table["payloadType"] == "application/vnd.in-toto+json"
    signature = base64.b64decode(table["signatures"][0]["sig"])
    key.public_key().verify(signature, b"DSSEv1 28 application/vnd.in-toto+json 8 " + PAYLOAD)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_openssl_agrees(key: Ed25519PrivateKey, tmp_path: Path) -> None:
    table = json.loads(seal_payload(PAYLOAD, key))
    (tmp_path / "message").write_bytes(encode_pae(table["payloadType"], base64.b64decode(table["payload"])))
    (tmp_path / "sig").write_bytes(base64.b64decode(table["signatures"][0]["sig"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "k-public.pem", "-rawin", "-in", "message"]
    done = subprocess.run([*command, "-sigfile", "sig"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    command = ["openssl", "pkey", "-pubin", "-in", "k-public.pem", "-outform", "DER"]
    der = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / "der").write_bytes(der)
    said = subprocess.run(["sha256sum", "der"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == name_key(key.public_key()) == table["signatures"][0]["keyid"]


def test_no_byte_of_an_envelope_can_be_changed(key: Ed25519PrivateKey) -> None:
    """Base64 has several writings of the same bytes, and JSON of the same table: none but ours is taken."""
    envelope, public = seal_payload(PAYLOAD, key), key.public_key()
    for place in range(len(envelope)):
        for flip in (1, 2, 32, 255):
            changed = bytearray(envelope)
            changed[place] ^= flip
            with pytest.raises(DataError):
                open_envelope(bytes(changed), public)


def test_another_key(key: Ed25519PrivateKey, tmp_path: Path) -> None:
    write_keys(tmp_path, "other")
    other = read_public_key(tmp_path / "other-public.pem")
    with pytest.raises(DataError, match=r"was signed with key \w{12}…, and the key given is \w{12}…"):
        open_envelope(seal_payload(PAYLOAD, key), other)
    signature = base64.b64decode(json.loads(seal_payload(PAYLOAD, key))["signatures"][0]["sig"])
    with pytest.raises(DataError, match="does not hold under the key given"):
        open_envelope(format_envelope(PAYLOAD, name_key(other), signature), other)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"1", b"\xff", b'{"payload": 1}', b'{"payload": "", "signatures": []}',
     b'{"payload": "", "signatures": [{"keyid": 1, "sig": "!"}]}', b"[" * 100_000,
     b'{"payload": "", "signatures": [{}, {}]}', b'{"payload": "", "signatures": 7}'],
)  # fmt: skip
def test_what_is_no_envelope(key: Ed25519PrivateKey, content: bytes) -> None:
    with pytest.raises(DataError, match=r"is no DSSE envelope with one signature|is not as robustmm writes"):
        open_envelope(content, key.public_key())
