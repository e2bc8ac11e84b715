"""Ed25519 keys in PEM files, as `openssl genpkey -algorithm ed25519` makes them."""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from robustmm.errors import UsageError, check_regular

PASSWORD = "ROBUSTMM_KEY_PASSWORD"
"""The variable of the environment with the password of an encrypted key: an option would stand in the shell's history
and in the list of processes."""
LONGEST = 65_536
"""Bytes of a key's file that are read."""
MAKE = "make one with: openssl genpkey -algorithm ed25519 -out KEY.pem"


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises UsageError for a file that is no Ed25519 key, or an encrypted one without its password."""
    content, password = _read(path), os.environ.get(PASSWORD)
    try:
        key = load_pem_private_key(content, password.encode() if password else None)
    except TypeError as error:  # a password too few, or one too many
        if password:
            return _require_private(load_pem_private_key(content, None), path)
        raise UsageError(f"{path} is encrypted; put its password into the environment variable {PASSWORD}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        also = f", or {PASSWORD} is not its password" if password else ""
        raise UsageError(f"{path} should be a private key in PEM, and cannot be read as one{also}; {MAKE}") from error
    return _require_private(key, path)


def _require_private(key: object, path: Path) -> Ed25519PrivateKey:
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise UsageError(f"{path} should be an Ed25519 key, found {type(key).__name__.removeprefix('_')}; {MAKE}")


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Raises UsageError for a file that is no public Ed25519 key."""
    content = _read(path)
    get = "the public one comes from: openssl pkey -in KEY.pem -pubout -out PUBLIC.pem"
    if b"PRIVATE KEY" in content:
        raise UsageError(f"{path} is a private key, which is not for those who verify; {get}")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} should be a public key in PEM, and cannot be read as one; {get}") from error
    if isinstance(key, Ed25519PublicKey):
        return key
    raise UsageError(f"{path} should be an Ed25519 key, found {type(key).__name__.removeprefix('_')}")


def doubt_permissions(path: Path) -> str:
    """A sentence where others on this machine can read a private key; empty where they cannot."""
    if os.name != "posix" or not path.stat().st_mode & 0o077:
        return ""
    return f"others on this machine may read the private key {path}; keep it to yourself with: chmod 600 {path}"


def name_key(key: Ed25519PublicKey) -> str:
    """SHA-256 of a public key in DER, which names it: `openssl pkey -pubin -in PUBLIC.pem -outform DER | sha256sum`."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _read(path: Path) -> bytes:
    check_regular(path, UsageError)
    try:
        with path.open("rb") as file:
            return file.read(LONGEST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"the key {path} cannot be read: {reason}") from error
