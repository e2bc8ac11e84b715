"""A file that was changed after its export says so."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

import robustmm as rm
from robustmm.errors import DataError
from robustmm.runtime.seal import CHANGED, SEAL, UNSEALED, doubt_bytes
from robustmm.runtime.session import Session, read_graph


def test_an_exported_file_is_as_it_was(world_model: Path) -> None:
    assert not Session(world_model).notes
    assert rm.attack(world_model, missing={"vector": 0.5}).notes == []


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_byte_is_refused_or_told(seed: int, world_model: Path, tmp_path: Path) -> None:
    rng, content = random.Random(seed), bytearray(world_model.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    try:
        graph = read_graph(path)
    except DataError:
        return
    assert doubt_bytes(path, graph)


def test_a_checksum_whose_name_was_changed_is_missed(world_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(world_model.read_bytes().replace(SEAL.encode(), b"robqstmm.checksum"))
    assert Session(path).notes == [UNSEALED]


def test_a_file_that_another_tool_wrote_again_is_told(
    world_model: Path, world_manifest: Path, tmp_path: Path, robustmm: Callable[..., Any]
) -> None:
    model = read_graph(world_model)
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    found = robustmm("attack", path, "--data", world_manifest, "--missing", "vector=0.5", "--limit", "9")
    assert found.code == 0
    assert CHANGED in found.err
    assert CHANGED in " ".join(found.out.split())
    assert rm.attack(path, data=world_manifest, missing={"vector": 0.5}, limit=9).notes == [CHANGED]
    assert CHANGED in robustmm("predict", path, "--vector", "1,2,3,4,5").err


@pytest.mark.parametrize("content", [b"", b"more"], ids=["cut off", "longer"])
def test_a_file_of_another_length(content: bytes, world_model: Path, tmp_path: Path) -> None:
    path, model = tmp_path / "m.onnx", read_graph(world_model)
    whole = world_model.read_bytes()
    path.write_bytes(whole + content if content else whole[:-1])
    assert doubt_bytes(path, model) == [CHANGED]


def test_an_older_export_has_no_checksum(world_model: Path, tmp_path: Path) -> None:
    model = read_graph(world_model)
    model.metadata_props.remove(next(entry for entry in model.metadata_props if entry.key == SEAL))
    onnx.save(model, tmp_path / "m.onnx")
    assert Session(tmp_path / "m.onnx").notes == [UNSEALED]
