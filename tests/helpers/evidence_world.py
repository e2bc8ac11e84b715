"""A small foreign model with its data, suite and keys, and the audit of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from graphs import linear

from robustmm.api.auditing import audit
from robustmm.evidence.result import VerifyResult
from robustmm.files import hash_file

DESCRIPTION = """\
classes = ["no", "yes"]
prior = [0.5, 0.5]
[output]
name = "logits"
[modality.wave]
kind = "audio"
rate = 1000
seconds = 0.05
[modality.facts]
kind = "features"
length = 4
mean = [0.0, 0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0, 1.0]
"""
SUITE = """\
[[grid]]
kind = ["audio", "features"]
level = [0.4, 1.0]
noise = ["gaussian"]
[[missing]]
rate = [0.5]
"""
TOLD = """\
[[condition]]
name = "told"
table = "missing.csv"
noise = [{ name = "background", level = 0.6, on = ["wave"], options = { folder = "noises" } }]
"""
"""A suite whose condition names files of its own."""


def write_keys(folder: Path, name: str) -> None:
    key = Ed25519PrivateKey.generate()
    private = folder / f"{name}.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}-public.pem").write_bytes(public)


def write_world(folder: Path, samples: int = 40) -> None:
    """A linear model of 50 audio samples and 4 features, and rows that it mostly answers right."""
    path, theirs = linear(folder, {"wave": ("f", [None, 50]), "facts": ("f", [None, 4])}, classes=2)
    path.rename(folder / "model.onnx")
    rng, lines = np.random.default_rng(0), ["id,split,label,site,wave,facts"]
    for i in range(samples):
        wave, facts = (0.5 * rng.normal(size=50)).clip(-1, 1).astype(np.float32), rng.normal(size=4).round(3)
        np.save(folder / f"{i}.npy", wave)
        answer = int(theirs(wave[None], facts[None])[0].argmax()) ^ (rng.random() < 0.1)
        cell = '"' + ",".join(f"{x:g}" for x in facts) + '"'
        lines.append(f"w{i},test,{['no', 'yes'][answer]},{'north' if i % 2 else 'south'},{i}.npy,{cell}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    (folder / "theirs.toml").write_text(DESCRIPTION)
    (folder / "suite.toml").write_text(SUITE)


def write_told(folder: Path, samples: int = 40) -> None:
    """The suite TOLD, and the table and the noises that it names."""
    (folder / "told.toml").write_text(TOLD)
    (folder / "missing.csv").write_text("id,facts\n" + "".join(f"w{i},{i % 3 and 1}\n" for i in range(samples)))
    (folder / "noises").mkdir()
    for i in range(2):
        noise = 0.2 * np.random.default_rng(i).normal(size=400).clip(-1, 1)
        soundfile.write(folder / "noises" / f"n{i}.wav", noise, 1000)


def run_audit(**more: Any) -> None:
    """Audits what `write_world` wrote in the current folder, into `a`."""
    asked: dict[str, Any] = {"data": "manifest.csv", "describe": "theirs.toml", "suite": "suite.toml", "by": "site"}
    audit("model.onnx", workers=1, **{"out": "a"} | asked | more)


def status(result: VerifyResult) -> dict[str, str]:
    return {check.name: check.status for check in result.checks}


def reason(result: VerifyResult, name: str) -> str:
    (found,) = [check.reason for check in result.checks if check.name == name]
    return found


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """results.json or audit.json with a change, in the form that an audit gives it."""
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table, indent=1, ensure_ascii=path.name == "audit.json") + "\n")


def follow(folder: Path) -> None:
    """audit.json as a forger brings it up to date."""

    def update(table: dict[str, Any]) -> None:
        table["results_sha256"] = hash_file(folder / "results.json")
        table["records_sha256"] = hash_file(folder / "records.parquet")
        table["cells"] = {name: hash_file(folder / "cells" / name) for name in table["cells"]}

    rewrite(folder / "audit.json", update)
