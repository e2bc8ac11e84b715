"""A checksum at the end of an exported file: whether its bytes are still those that were exported and proved.

Protobuf reads fields one after the other, so an entry of the metadata that is appended to a file's bytes belongs to the
model, and all bytes before it can be hashed as they lie on disk. It finds accidents; whoever means harm makes another.
"""

import os
from hashlib import blake2b
from pathlib import Path

import onnx

SEAL = "robustmm.checksum"
"""The entry's key."""
CHUNK = 1 << 20
"""Bytes that are hashed at once."""
CHANGED = "the file was changed after its export: its bytes are not those whose parity was proved"
UNSEALED = "the file has no checksum of its bytes: an older robustmm exported it, or it was changed since"


def seal_model(content: bytes) -> bytes:
    """The bytes of a model, with their checksum appended."""
    return content + _entry(blake2b(content, digest_size=20).hexdigest())


def doubt_bytes(path: Path, model: onnx.ModelProto) -> list[str]:
    """What is to be said of the bytes of a file that we exported, a sentence: nothing where they are as they were
    sealed. `model` is what was read from it."""
    if not any(entry.key == SEAL for entry in model.metadata_props):
        return [UNSEALED]
    found, length = blake2b(digest_size=20), len(_entry("0" * 40))
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - length
        while left > 0 and (part := file.read(min(CHUNK, left))):
            found.update(part)
            left -= len(part)
        return [CHANGED] * (file.read() != _entry(found.hexdigest()))


def _entry(checksum: str) -> bytes:
    """A ModelProto of this one entry, whose bytes may follow those of another."""
    model = onnx.ModelProto()
    model.metadata_props.add(key=SEAL, value=checksum)
    return bytes(model.SerializeToString())
