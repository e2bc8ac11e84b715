"""Integer inputs: a scaling that cuts a range off, or presses it into a few numbers, is refused."""

from pathlib import Path

import numpy as np
import pytest
from graphs import linear, softmax

from robustmm.errors import UsageError
from robustmm.runtime.foreign.session import open_session

HEAD = 'classes = ["a", "b", "c"]\n[output]\nname = "logits"\n[modality.m]\n'
IMAGE = 'kind = "image"\nsize = [2, 2, 1]\nlayout = "NHWC"\n'
AUDIO = 'kind = "audio"\nrate = 1000\nseconds = 0.004\n'


def described(folder: Path, kind: str, table: str) -> Path:
    dims = [None, 4] if "audio" in table else [None, 2, 2, 2, 1] if "video" in table else [None, 2, 2, 1]
    linear(folder, {"m": (kind, dims)})
    (folder / "m.toml").write_text(HEAD + table)
    return folder / "theirs.onnx"


@pytest.mark.parametrize(
    ("kind", "table", "sentence"),
    [
        ("b", IMAGE, "input: 50% of the range 0 to 255 lies outside int8 (-128 to 127) when "
         "scaled so; subtract = 128?"),
        ("B", IMAGE + "subtract = 128", "subtract: 50% of the range 0 to 255 lies outside uint8 (0 to 255)"),
        ("b", IMAGE + "subtract = 128\ndivide = 0.5", "divide: 50% of the range 0 to 255 lies outside int8"),
        ("b", IMAGE.replace("image", "video") + "frames = 2", "input: 50% of the range 0 to 255 lies outside int8"),
        ("B", IMAGE + "divide = 255", "divide: the range 0 to 255 becomes 2 numbers of uint8 when scaled so, of 256"),
        ("i", IMAGE + "divide = 255", "divide: the range 0 to 255 becomes 2 numbers of int32"),
        ("i", AUDIO, "input: the range -1 to 1 becomes 3 numbers of int32 when scaled so, of 257; "
         "divide = 4.65661287e-10?"),
    ],
)  # fmt: skip
def test_a_lost_range_is_refused(tmp_path: Path, kind: str, table: str, sentence: str) -> None:
    table = table.replace("NHWC", "NFHWC") if "video" in table else table
    path = described(tmp_path, kind, table)
    with pytest.raises(UsageError) as failure:
        open_session(path, tmp_path / "m.toml")
    assert f"[modality.m] {sentence}" in str(failure.value)


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("b", IMAGE + "subtract = 128"),
        ("b", IMAGE + "subtract = 123.7"),  # a mean of ImageNet: 4 of 256 are cut off
        ("B", IMAGE),
        ("B", IMAGE + "divide = 4"),  # six bits
        ("q", IMAGE),
        ("f", IMAGE + "divide = 255"),
        ("i", AUDIO + "divide = 3.0517578125e-5"),
    ],
)
def test_a_kept_range_is_not(tmp_path: Path, kind: str, table: str) -> None:
    path = described(tmp_path, kind, table)
    assert open_session(path, tmp_path / "m.toml").names == ["m"]


def test_pixels_of_an_int8_input(tmp_path: Path) -> None:
    """All 256 stay apart."""
    path, theirs = linear(tmp_path, {"m": ("b", [None, 16, 16, 1])})
    (tmp_path / "m.toml").write_text(HEAD + IMAGE.replace("2, 2", "16, 16") + "subtract = 128")
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    opened = open_session(path, tmp_path / "m.toml")
    assert opened.embed("m", x).ravel().tolist() == list(range(-128, 128))
    found = opened.predict({"m": x}, np.ones((1, 1), bool))
    np.testing.assert_allclose(found, softmax(theirs(x.astype(float) - 128)), atol=1e-5)
