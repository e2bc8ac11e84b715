import csv
import hashlib
import itertools
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from robustmm.data import digits
from robustmm.errors import DataError, UsageError

COUNTS = {"train": 800, "valid": 200, "test": 400}


def table(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(directory: Path) -> dict[str, bytes]:
    return {x.relative_to(directory).as_posix(): x.read_bytes() for x in directory.rglob("*") if x.is_file()}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits.write(tmp_path_factory.mktemp("digits") / "new" / "data").parent


@pytest.fixture(scope="module")
def rows(unpacked: Path) -> list[dict[str, str]]:
    return table(unpacked / "manifest.csv")


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the archive would unpack to if its index had 20 rows only."""
    archive = Path(shutil.copytree(digits.ARCHIVE, tmp_path_factory.mktemp("small") / "archive"))
    lines = (archive / "index.csv").read_text().splitlines(keepends=True)
    (archive / "index.csv").write_text("".join(lines[:21]))
    monkeypatch.setattr(digits, "ARCHIVE", archive)
    return digits.build_files()


@pytest.fixture
def cache(tmp_path: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(digits.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    return tmp_path / "robustmm"


def test_the_archive_is_three_plain_files_under_3_mb():
    found = [path for path in digits.ARCHIVE.rglob("*") if path.is_file()]
    assert {path.name for path in found} == {"images.png", "clips.flac", "index.csv"}
    assert sum(path.stat().st_size for path in found) < 3_000_000


def test_the_header_and_the_ids(rows: list[dict[str, str]]):
    assert list(rows[0]) == ["id", "split", "label", "speaker", "image", "audio"]
    assert len({row["id"] for row in rows}) == len(rows) == sum(COUNTS.values())


def test_every_split_holds_every_digit_equally_often(rows: list[dict[str, str]]):
    found = Counter((row["split"], row["label"]) for row in rows)
    assert found == {(split, str(label)): COUNTS[split] // 10 for split in COUNTS for label in range(10)}


def test_every_speaker_says_every_digit_twice_in_one_split_only(rows: list[dict[str, str]]):
    said = Counter((row["speaker"], row["label"]) for row in rows)
    assert set(said.values()) == {2}
    home = {(row["speaker"], row["split"]) for row in rows}
    assert len(home) == len({speaker for speaker, _ in home}) == 70


def test_no_voice_variant_is_heard_in_two_splits_whatever_its_accent(rows: list[dict[str, str]]):
    home = {(row["speaker"].split("+")[1], row["split"]) for row in rows}
    assert len(home) == len({variant for variant, _ in home})


def test_the_test_split_has_accents_that_training_lacks(rows: list[dict[str, str]]):
    accents = {split: {r["speaker"].split("+")[0] for r in rows if r["split"] == split} for split in COUNTS}
    assert accents["test"] - accents["train"] - accents["valid"] == {"en-029", "en-gb-scotland", "en-gb-x-gbcwmd"}


def test_the_order_of_rows_tells_nothing_of_the_label(rows: list[dict[str, str]]):
    labels = [row["label"] for row in rows]
    repeats = sum(a == b for a, b in itertools.pairwise(labels))
    assert 0.05 * len(labels) < repeats < 0.15 * len(labels)


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_no_content_occurs_twice(unpacked: Path, rows: list[dict[str, str]], modality: str):
    hashes = {hashlib.sha256((unpacked / row[modality]).read_bytes()).digest() for row in rows}
    assert len(hashes) == len(rows)


def test_no_scan_is_used_twice():
    sources = [row["source"] for row in table(digits.ARCHIVE / "index.csv")]
    assert len(set(sources)) == len(sources)


def test_every_image_decodes_to_a_picture(unpacked: Path, rows: list[dict[str, str]]):
    for row in rows:
        image = cv2.imread(str(unpacked / row["image"]), cv2.IMREAD_UNCHANGED)
        assert (image.shape, image.dtype) == ((16, 16), np.uint8), row["id"]
        assert image.std() > 5, row["id"]


def test_every_clip_decodes_to_sound(unpacked: Path, rows: list[dict[str, str]]):
    for row in rows:
        clip, rate = soundfile.read(unpacked / row["audio"])
        assert (rate, clip.ndim) == (8000, 1), row["id"]
        assert 0.1 < len(clip) / rate <= 0.8, row["id"]
        assert np.abs(clip).max() > 0.5, row["id"]
    assert soundfile.info(unpacked / rows[0]["audio"]).subtype == "PCM_16"


def test_files_hold_the_archive_bit_by_bit(unpacked: Path, rows: list[dict[str, str]]):
    sheet = cv2.imread(str(digits.ARCHIVE / "images.png"), cv2.IMREAD_GRAYSCALE)
    sound, _ = soundfile.read(digits.ARCHIVE / "clips.flac", dtype="int16")
    index = table(digits.ARCHIVE / "index.csv")
    assert sum(int(row["length"]) for row in index) == len(sound)
    for i in (0, 39, 40, 777, 1399):
        tile = sheet[i // 40 * 16 :, i % 40 * 16 :][:16, :16]
        np.testing.assert_array_equal(cv2.imread(str(unpacked / rows[i]["image"]), cv2.IMREAD_GRAYSCALE), tile)
        clip, _ = soundfile.read(unpacked / rows[i]["audio"], dtype="int16")
        start = int(index[i]["start"])
        np.testing.assert_array_equal(clip, sound[start : start + int(index[i]["length"])])


def nearest(train: np.ndarray, seen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label of the training sample with the largest correlation."""
    train, seen = ((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True) for x in (train, seen))
    return labels[(seen @ train.T).argmax(1)]


def test_the_files_fit_their_labels_but_are_not_easy(unpacked: Path, rows: list[dict[str, str]]):
    images = np.stack([cv2.imread(str(unpacked / row["image"]), cv2.IMREAD_GRAYSCALE).ravel() for row in rows])
    clips = [soundfile.read(unpacked / row["audio"])[0] for row in rows]
    spectra = []
    for clip in clips:
        frames = np.stack([clip[start : start + 256] for start in np.linspace(0, len(clip) - 256, 12).astype(int)])
        power = np.abs(np.fft.rfft(frames * np.hanning(256))) ** 2
        spectra.append(np.log(power[:, :128].reshape(12, 16, 8).mean(2) + 1e-3).ravel())
    labels = np.array([row["label"] for row in rows])
    train, test = (np.array([row["split"] == split for row in rows]) for split in ("train", "test"))
    for features in (images.astype(float), np.stack(spectra)):
        accuracy = np.mean(nearest(features[train], features[test], labels[train]) == labels[test])
        assert 0.4 < accuracy < 0.9


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (28, 28)])
def test_png_is_read_by_opencv(shape: tuple[int, int]):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = np.frombuffer(digits.encode_png(image), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), image)


def test_wav_is_read_by_soundfile_and_its_sizes_are_right(tmp_path: Path):
    sound = np.array([0, 1, -1, 32767, -32768], np.int16)
    data = digits.encode_wav(sound)
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    (tmp_path / "x.wav").write_bytes(data)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "x.wav", dtype="int16")[0], sound)


def test_unpacking_again_gives_the_same_bytes(unpacked: Path, tmp_path: Path):
    assert contents(digits.write(tmp_path / "again").parent) == contents(unpacked)


def test_an_empty_folder_is_filled(tmp_path: Path, small: dict[str, bytes]):
    (tmp_path / "data").mkdir()
    assert digits.write(tmp_path / "data").is_file()
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


def test_the_same_data_set_is_left_as_it_is(tmp_path: Path, small: dict[str, bytes]):
    manifest = digits.write(tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert digits.write(tmp_path / "data") == manifest
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def edited(directory: Path) -> None:
    (directory / "manifest.csv").write_text("id\n")


def extended(directory: Path) -> None:
    (directory / "image" / "mine.png").write_bytes(b"")


def shortened(directory: Path) -> None:
    (directory / "audio" / "d0007.wav").unlink()


@pytest.mark.parametrize("change", [edited, extended, shortened])
def test_a_folder_with_anything_else_in_it_is_refused_and_untouched(tmp_path: Path, small: dict[str, bytes], change):
    directory = digits.write(tmp_path / "data").parent
    change(directory)
    before = contents(directory)
    with pytest.raises(UsageError, match="expected a new or empty folder"):
        digits.write(directory)
    assert contents(directory) == before
    assert list(tmp_path.iterdir()) == [directory]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path, small: dict[str, bytes]):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(UsageError, match="found something else"):
        digits.write(tmp_path / "data")
    with pytest.raises(DataError, match="below cannot hold the digits: Not a directory"):
        digits.write(tmp_path / "data" / "below")
    assert (tmp_path / "data").read_text() == "mine"


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch):
    written: list[Path] = []
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 10:
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="data cannot hold the digits: No space left"):
        digits.write(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_comes_first_is_no_error(
    tmp_path: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
):
    real = Path.rename

    def late(path: Path, target: Path) -> Path:
        shutil.copytree(path, target)
        return real(path, target)

    monkeypatch.setattr(Path, "rename", late)
    digits.write_folder(tmp_path / "data", small)
    assert contents(tmp_path / "data") == small
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


def test_the_cached_manifest_is_unpacked_once(cache: Path, small: dict[str, bytes]):
    manifest = digits.unpack_to_cache()
    assert contents(manifest.parent) == small
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert digits.unpack_to_cache() == manifest
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_the_cache_is_named_after_format_and_archive(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = digits.unpack_to_cache().parent.name
    monkeypatch.setattr(digits, "FORMAT", 2)
    second = digits.unpack_to_cache().parent.name
    changed = Path(shutil.copytree(digits.ARCHIVE, tmp_path / "archive"))
    index = changed / "index.csv"
    index.write_text(index.read_text().replace("en-us+Alex", "en-us+Alec"))
    monkeypatch.setattr(digits, "ARCHIVE", changed)
    third = digits.unpack_to_cache().parent.name
    assert first.startswith("digits-1-")
    assert second == first.replace("digits-1-", "digits-2-")
    assert third.startswith("digits-2-")
    assert third != second


def test_a_damaged_cache_is_mended(cache: Path, small: dict[str, bytes]):
    directory = digits.unpack_to_cache().parent
    (directory / "manifest.csv").unlink()
    (directory / "image" / "d0003.png").write_bytes(b"")
    shutil.rmtree(directory / "audio")
    assert contents(digits.unpack_to_cache().parent) == small


def test_a_damaged_cache_that_cannot_be_mended_is_named(cache: Path):
    directory = digits.unpack_to_cache().parent
    shutil.rmtree(directory / "audio")
    (directory / "audio").write_text("")
    with pytest.raises(DataError, match=r"audio cannot be made a folder: File exists"):
        digits.unpack_to_cache()


def test_the_draft_of_a_killed_process_is_no_obstacle(cache: Path, small: dict[str, bytes]):
    name = digits.unpack_to_cache().parent.name
    shutil.rmtree(cache)
    (cache / f".{name}-0123" / "image").mkdir(parents=True)
    assert contents(digits.unpack_to_cache().parent) == small


def test_processes_at_once_end_with_one_whole_data_set(tmp_path: Path, unpacked: Path):
    code = "import sys, pathlib; from robustmm.data import digits; digits.write(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert contents(tmp_path / "data") == contents(unpacked)
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]
