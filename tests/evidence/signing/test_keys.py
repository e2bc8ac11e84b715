"""Keys in PEM files: those that are taken, and a sentence for each that is not."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from evidence_world import write_keys

from robustmm.errors import UsageError
from robustmm.evidence.signing.keys import PASSWORD, doubt_permissions, name_key, read_private_key, read_public_key


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PASSWORD, raising=False)
    write_keys(tmp_path, "k")
    return tmp_path


def test_the_two_halves_have_one_name() -> None:
    private, public = read_private_key(Path("k.pem")), read_public_key(Path("k-public.pem"))
    assert name_key(private.public_key()) == name_key(public)
    assert len(name_key(public)) == 64


def test_an_encrypted_key_takes_its_password_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    key = Ed25519PrivateKey.generate()
    path = Path("locked.pem")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open")))
    with pytest.raises(UsageError, match=f"locked.pem is encrypted; put its password into .* {PASSWORD}"):
        read_private_key(path)
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(UsageError, match=f"or {PASSWORD} is not its password"):
        read_private_key(path)
    monkeypatch.setenv(PASSWORD, "open")
    assert name_key(read_private_key(path).public_key()) == name_key(key.public_key())
    assert read_private_key(Path("k.pem")), "one without a password is read all the same"


def test_other_keys_are_refused() -> None:
    key = rsa.generate_private_key(65537, 2048)
    Path("rsa.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    Path("rsa-public.pem").write_bytes(public)
    with pytest.raises(UsageError, match="should be an Ed25519 key, found RSAPrivateKey; make one with: openssl"):
        read_private_key(Path("rsa.pem"))
    with pytest.raises(UsageError, match="should be an Ed25519 key, found RSAPublicKey"):
        read_public_key(Path("rsa-public.pem"))


def test_the_halves_are_not_taken_for_each_other() -> None:
    with pytest.raises(UsageError, match=r"k\.pem is a private key, which is not for those who verify"):
        read_public_key(Path("k.pem"))
    with pytest.raises(UsageError, match=r"k-public\.pem should be a private key in PEM"):
        read_private_key(Path("k-public.pem"))


@pytest.mark.parametrize("read", [read_private_key, read_public_key])
def test_what_is_no_key(read: object, keys: Path) -> None:
    assert callable(read)
    os.mkfifo(keys / "pipe")
    Path("text").write_text("-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----\n")
    for name, said in (("gone", "cannot be read: No such file"), (".", "cannot be read: Is a directory"),
                       ("pipe", "should be a file, found a pipe"), ("text", "cannot be read as one")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            read(Path(name))


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_private_key_that_others_can_read_is_told(keys: Path, mode: int, told: bool) -> None:
    (keys / "k.pem").chmod(mode)
    said = doubt_permissions(Path("k.pem"))
    assert bool(said) is told
    assert ("chmod 600 k.pem" in said) is told
