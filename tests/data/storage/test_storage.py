"""Training data in memory, in the cache and decoded anew are the same data; what is damaged or stale is never used."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from robustmm.data.manifest import Manifest, read_manifest
from robustmm.data.storage import cache
from robustmm.data.storage.choice import StorageOptions, choose_storage, estimate_bytes, parse_bytes
from robustmm.data.storage.rows import FedRows, take_rows
from robustmm.data.storage.shards import Shard, write_shard
from robustmm.data.storage.split import Split, Storage, read_split
from robustmm.errors import DataError, UsageError
from robustmm.modalities import Features, Image, Modality, Text

MODALITIES: list[Modality] = [
    Image(name="image", size=(6, 5, 3)),
    Text(name="words", length=8, vocabulary=40),
    Features(name="vector", length=3),
]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Six rows; the third has no image and the fifth no words. The cache is a folder of its own."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(cache, "SHARD_ROWS", 4)
    rng = np.random.default_rng(0)
    lines = ["id,split,label,image,words,vector"]
    for row in range(6):
        cv2.imwrite(str(tmp_path / f"{row}.png"), rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
        image, words = "" if row == 2 else f"{row}.png", "" if row == 4 else f"a wörd and {'more ' * row}"
        lines.append(f's{row},train,{"ab"[row % 2]},{image},{words},"{row},{row + 1},{row + 2}"')
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_manifest(tmp_path / "manifest.csv")


def read(table: Manifest, mode: str, **more: object) -> Split:
    return read_split(table, MODALITIES, ["a", "b"], fit=True, storage=Storage(mode, 2), **more)[0]  # type: ignore[arg-type]


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-3])
    elif how == "longer":
        path.write_bytes(content + b"x")
    elif how == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "header":
        path.write_bytes(content[:25])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(content.replace(b'"rows"', b'"raws"'))


@pytest.mark.parametrize("mode", ["cache", "decode"])
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_read_is_what_memory_holds(table: Manifest, mode: str, masked: bool) -> None:
    kept = np.ones((6, 3), dtype=bool)
    kept[1, 0] = kept[5, 2] = not masked
    memory, other = read(table, "memory", kept=kept), read(table, mode, kept=kept)
    assert other.digest() == memory.digest()
    assert other.workers == 2
    rows = np.array([5, 0, 2, 4, 0])
    for modality in MODALITIES:
        assert isinstance(other.inputs[modality.name], FedRows)
        np.testing.assert_array_equal(other.inputs[modality.name][rows], memory.inputs[modality.name][rows])
        part = take_rows(other.inputs[modality.name], rows[:2])
        np.testing.assert_array_equal(part[np.array([1])], memory.inputs[modality.name][[0]])
    assert other.signals["image"][2] is None
    assert (other.signals["image"][1] is None) == masked


def test_what_training_learns_names_no_shard(table: Manifest) -> None:
    _, fitted = read_split(table, MODALITIES, ["a", "b"], fit=True)
    for plain, learned in zip(MODALITIES, fitted, strict=True):
        assert (plain == learned) == (plain.name == "image")
        assert cache.find_shard(table, plain) == cache.find_shard(table, learned)
    other = Image(name="image", size=(5, 6, 3))
    assert cache.find_shard(table, other) != cache.find_shard(table, MODALITIES[0])


def test_a_second_training_decodes_nothing(table: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(table, "cache").digest()

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "read_cells", refuse)
    assert read(table, "cache").digest() == first


@pytest.mark.parametrize("how", ["cut", "longer", "flipped", "header", "empty", "renamed"])
def test_a_damaged_shard_is_made_again(table: Manifest, how: str) -> None:
    digest = read(table, "cache").digest()
    path = cache.find_shard(cache.split_shards(table)[0], MODALITIES[0])
    whole = path.read_bytes()
    damage(path, how)
    assert read(table, "cache").digest() == digest
    assert path.read_bytes() == whole


@pytest.mark.parametrize("name", ["3.png", "a#3.png"])
def test_a_file_that_changed_is_decoded_again(table: Manifest, name: str) -> None:
    (table.folder / "3.png").rename(table.folder / name)
    table.columns["image"][3] = name
    before = read(table, "cache")
    cv2.imwrite(str(table.folder / name), np.full((6, 5, 3), 9, np.uint8))
    os.utime(table.folder / name, ns=(1, 1))
    after = read(table, "cache")
    assert after.digest() != before.digest()
    assert after.digest() == read(table, "memory").digest()


def test_a_cell_that_cannot_be_read_is_told_as_in_memory(table: Manifest) -> None:
    (table.folder / "3.png").write_bytes(b"no picture")
    told = []
    for mode in ("memory", "cache", "decode", "cache"):
        with pytest.raises(DataError, match="line 5") as caught:
            read(table, mode)
        told.append(str(caught.value))
        found = read(table, mode, on_bad="missing")
        assert found.bad == told[:1]
        assert not found.present[3, 0]
    assert len(set(told)) == 1


def test_a_cell_that_no_one_keeps_may_be_bad(table: Manifest) -> None:
    (table.folder / "3.png").write_bytes(b"no picture")
    kept = np.ones((6, 3), dtype=bool)
    kept[3, 0] = False
    assert {read(table, mode, kept=kept).digest() for mode in ("memory", "cache", "decode")} == {
        read(table, "memory", kept=kept).digest()
    }


@pytest.mark.parametrize("change", ["removed", "cut"])
def test_a_shard_that_goes_while_it_is_used_is_a_sentence(table: Manifest, change: str) -> None:
    found = read(table, "cache")
    path = cache.find_shard(cache.split_shards(table)[0], MODALITIES[0])
    path.unlink() if change == "removed" else path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="of the cache"):
        found.inputs["image"][np.array([3])]


def test_a_file_that_changes_while_it_is_decoded_anew_is_a_sentence(table: Manifest) -> None:
    found = read(table, "decode")
    np.testing.assert_array_equal(found.inputs["image"][np.array([3])], read(table, "memory").inputs["image"][[3]])
    os.utime(table.folder / "3.png", ns=(1, 1))
    with pytest.raises(DataError, match=r"line 5 \(id 's3', image\): the file has changed since the training began"):
        found.inputs["image"][np.array([0, 3])]


def test_a_shard_holds_what_was_written(tmp_path: Path) -> None:
    signals = ["tëxt\ud800", None, np.arange(6, dtype=np.int16).reshape(2, 3), "", np.zeros((0, 2), np.float32)]
    write_shard(tmp_path / "x", signals, {1: "bad"}, {"manifest": "m"})
    shard = Shard(tmp_path / "x")
    shard.check()
    assert (len(shard), shard.present(), shard.bad) == (5, [True, False, True, True, True], {1: "bad"})
    for row, signal in enumerate(signals):
        found = shard.read(row)
        if isinstance(signal, np.ndarray):
            np.testing.assert_array_equal(found, signal)
            assert found.dtype == signal.dtype  # type: ignore[union-attr]
        else:
            assert found == signal


def test_storage_is_chosen_by_size_and_room(table: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def choose(mode: str, limit: int = 10**9) -> str:
        return choose_storage(StorageOptions(mode=mode, limit=limit), [table], MODALITIES, told.append).mode  # type: ignore[arg-type]

    assert [choose(mode) for mode in ("auto", "memory", "cache", "decode")] == ["memory", "memory", "cache", "decode"]
    monkeypatch.setattr("robustmm.data.storage.choice.IN_MEMORY", 100)
    needed = estimate_bytes(MODALITIES, 6)
    assert needed == 6 * (6 * 5 * 3 + 8 * 8 + 3 * 4)
    assert choose("auto", needed) == "cache"
    assert choose("auto", needed - 1) == "decode"
    assert "decoded anew for every batch" in told[-1]
    with pytest.raises(UsageError, match="--cache-size"):
        choose("cache", needed - 1)
    read(table, "cache")
    assert choose("cache", 0) == "cache"  # all of it is there


def test_the_cache_is_listed_and_cleared(table: Manifest, tmp_path: Path) -> None:
    assert cache.list_cache().sets == []
    read(table, "cache")
    stray = tmp_path / "cache" / "00" / "stray.signals"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"?")
    found = cache.list_cache()
    counts = {each.modality: each.samples for each in found.sets}
    assert counts == {"": 0, "image": 6, "vector": 6, "words": 6}
    whole = sum(each.bytes for each in found.sets)
    with pytest.raises(UsageError, match=r"nothing of .* is cached"):
        cache.clear_cache(tmp_path / "other.csv")
    assert cache.clear_cache(table.path) == whole - 1
    assert cache.clear_cache() == 1
    assert cache.list_cache().sets == []


@pytest.mark.parametrize(("given", "found"), [("50GB", 50 * 10**9), ("1.5 mb", 1_500_000), (7, 7), ("0", 0)])
def test_sizes_are_read(given: str | int, found: int) -> None:
    assert parse_bytes("cache_size", given) == found


@pytest.mark.parametrize("given", ["", "GB", "-1", "5 apples", "1e9", "٣GB"])
def test_what_is_no_size_is_a_sentence(given: str) -> None:
    with pytest.raises(UsageError, match="cache_size should be a size such as 50GB"):
        parse_bytes("cache_size", given)
