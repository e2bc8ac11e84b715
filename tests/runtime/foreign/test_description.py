"""Descriptions that do not hold: every mistake is a sentence with its line, all at once."""

from pathlib import Path

import pytest
from graphs import Inputs, linear
from tokenizers import Tokenizer, models

from robustmm.errors import DataError, UsageError
from robustmm.modalities import Features
from robustmm.runtime.foreign.description import load_description
from robustmm.runtime.foreign.session import ForeignSession, open_session
from robustmm.runtime.foreign.tokens import MarkedText

TEXT = """\
classes = ["ant", "bee", "cat"]
prior = [0.2, 0.3, 0.5]
[output]
name = "logits"
activation = "softmax"
[modality.picture]
kind = "image"
size = [4, 6, 3]
input = "pixels"
layout = "NCHW"
subtract = [1, 2, 3]
divide = 255
missing = [0, 128, 255]
[modality.near]
kind = "features"
length = 2
mean = [1, 2]
std = [1, 2]
input = "flat"
columns = [0, 2]
missing = "mean"
[modality.far]
kind = "features"
length = 3
input = "flat"
columns = [2, 5]
present = "has_far"
[modality.words]
kind = "text"
length = 7
tokenizer = "tokenizer.json"
input = "ids"
mask = "attention"
token_type = "types"
missing = "empty"
"""

INPUTS: Inputs = {
    "pixels": ("f", ["N", 3, 4, 6]),
    "flat": ("f", [None, 5]),
    "has_far": ("?", [None]),
    "ids": ("q", [None, "length"]),
    "attention": ("q", [None, 7]),
    "types": ("i", [None, 7]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A graph of all sorts of inputs, which cannot be run (its matrix takes ids to be of 2 tokens)."""
    linear(tmp_path, INPUTS)
    Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def errors_of(folder: Path, text: str, file: str = "theirs.onnx") -> list[str]:
    """The sentences about a description, without its name."""
    description = folder / "m.toml"
    description.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        open_session(folder / file, description)
    return [line.removeprefix(f"{description}:") for line in str(error.value).splitlines()]


def test_a_description_is_read(folder: Path) -> None:
    (folder / "m.toml").write_text(TEXT)
    found = load_description(folder / "m.toml")
    assert (found.table.classes, found.table.prior, found.table.batch) == (("ant", "bee", "cat"), (0.2, 0.3, 0.5), 0)
    assert [(m.name, m.kind, m.shape) for m in found.modalities] == [
        ("picture", "image", (4, 6, 3)),
        ("near", "features", (2,)),
        ("far", "features", (3,)),
        ("words", "text", (7,)),
    ]
    picture, near, far, words = found.preprocessing
    assert (picture.subtract, picture.divide, picture.missing) == ((1, 2, 3), (255,), (0, 128, 255))
    assert (near.layout, near.columns, near.missing, far.missing) == ("ND", (0, 2), "mean", "zero")
    assert (words.mask, words.token_type, words.layout) == ("attention", "types", "NL")
    text = found.modalities[3]
    assert isinstance(text, MarkedText)
    assert text.fed_padding == 0
    (folder / "m.toml").write_text(TEXT.replace('missing = "empty"', "").replace("missing = [0, 128, 255]", ""))
    assert [way.missing for way in load_description(folder / "m.toml").preprocessing] == [
        "zero",
        "mean",
        "zero",
        "empty",
    ]
    (folder / "m.toml").write_text(TEXT)
    with pytest.raises(DataError, match="cannot be run"):
        open_session(folder / "theirs.onnx", folder / "m.toml")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"ant", "bee", "cat"', '"ant", "bee", "bee"', '1: "bee" is listed twice'),
        ('["ant", "bee", "cat"]', '["ant"]', "1: classes: tuple should have at least 2 items"),
        ("[0.2, 0.3, 0.5]", "[0.5, 0.5]", "2: prior should hold 3 numbers, found 2"),
        ("[0.2, 0.3, 0.5]", "[0.2, 0.3, 0.4]", "2: prior should sum to 1, found 0.9"),
        ("[0.2, 0.3, 0.5]", "[-0.2, 0.7, 0.5]", "2: prior[0]: should be greater than or equal to 0, found -0.2"),
        ("prior", "priors", '2: "priors" is not a key here, did you mean "prior"?'),
        ('name = "logits"', "", "3: [output] name is missing"),
        ('"logits"', '"logit"', '4: [output] name: the graph has no output "logit", did you mean "logits"?'),
        ('"softmax"', '"relu"', "5: [output] activation: should be 'softmax', 'sigmoid' or 'none', found 'relu'"),
        ('"image"', '"picture"', '7: [modality.picture] "picture" is not a kind (known: audio, features, image'),
        ('kind = "image"', "", "6: [modality.picture] kind is missing"),
        ("size", "sise", '8: [modality.picture] "sise" is not a key here, did you mean "size"?'),
        ("size = [4, 6, 3]", "", "6: [modality.picture] size is missing"),
        ("[4, 6, 3]", "[4, 6, 2]", "8: [modality.picture] size[2]: should be 1 or 3, found 2"),
        ("[4, 6, 3]", "[6, 4, 3]", "9: [modality.picture] input: should be (batch, 3, 6, 4) for image in the "
         'layout NCHW, found "pixels" float32 (?, 3, 4, 6)'),
        ('input = "pixels"', 'input = ""', "9: [modality.picture] input: string should have at least 1 character"),
        ("[modality.picture]", "[modality.2]", "6: [modality.2] name: string should match pattern"),
        ('"pixels"', '"pixel"', '9: [modality.picture] input: the graph has no input "pixel", did you mean "pixels"?'),
        ("NCHW", "NHWC", "9: [modality.picture] input: should be (batch, 4, 6, 3) for image in the layout NHWC"),
        ("NCHW", "NCWW", '10: [modality.picture] layout: should be the axes of "NHWC" in its order'),
        ("NCHW", "CHWN", '10: [modality.picture] layout: N should be the axis that the graph leaves open, found'),
        ("NCHW", "CHW", '10: [modality.picture] layout: should be the axes'),
        ("NCHW", "NHW", '10: [modality.picture] layout: should be the axes'),
        ("NCHW", "NCHWL", '10: [modality.picture] layout: should be the axes'),
        ("[1, 2, 3]", "[1, 2]", "11: [modality.picture] subtract: should hold a number for each of 3 channels"),
        ("[1, 2, 3]", '"mean"', "11: [modality.picture] subtract: should be a valid tuple, found 'mean'"),
        ("divide = 255", "divide = [1, 0, 1]", "12: [modality.picture] divide: should be greater than 0, found [1.0"),
        ("[0, 128, 255]", "[0, 1]", "13: [modality.picture] missing: should hold a number for each of 3 channels"),
        ("[0, 128, 255]", '"empty"', '13: [modality.picture] missing: "empty" goes with text; or give a number'),
        ("[0, 128, 255]", '"mean"', '13: [modality.picture] missing: "mean" needs mean = [...], which series'),
        ("[0, 128, 255]", '"zeros"', '13: [modality.picture] missing: should be "zero", "mean", "empty", a number'),
        ("[0, 128, 255]", "[]", '13: [modality.picture] missing: should be "zero"'),
        ("[0, 128, 255]", "[true, 1, 2]", '13: [modality.picture] missing: should be "zero"'),
        ("mean = [1, 2]", "mean = [1]", "17: [modality.near] mean: should hold a number for each of 2 channels"),
        ("std = [1, 2]", "std = [1, 0]", "18: [modality.near] std: should be greater than 0, found [1.0, 0.0]"),
        ("[0, 2]", "[0, 3]", "20: [modality.near] columns: should be the first and the one after the last of 2"),
        ("[0, 2]", "[-1, 1]", "20: [modality.near] columns: should be the first and the one after the last"),
        ("[2, 5]", "[1, 4]", '26: [modality.far] columns: 1 is fed twice of "flat"'),
        ("[2, 5]", "[3, 6]", '26: [modality.far] columns: nobody feeds 2 to 2 of "flat"'),
        ("length = 3", "length = 2", "26: [modality.far] columns: should be the first and the one after the last of 2"),
        ("columns = [2, 5]\n", "", '25: [modality.far] the input "flat" is shared: columns should say which'),
        ("has_far", "pixels", '27: [modality.far] the input "pixels" is fed twice'),
        ("has_far", "attention", '33: [modality.words] the input "attention" is fed twice'),
        ("length = 7", "length = 8", '33: [modality.words] mask: should be (batch, 8), found "attention" int64 (?, 7)'),
        ('"tokenizer.json"', '"tokens.json"', '31: [modality.words] the tokenizer "'),
        ('tokenizer = "tokenizer.json"', "", "28: [modality.words] tokenizer is missing: the tokenizer.json that"),
        ('length = 7', "length = 7\nvocabulary = 9", '31: [modality.words] "vocabulary" is not a key here'),
        ('token_type = "types"', "", '1: nobody feeds the graph\'s input "types" int32 (?, 7)'),
        ('"types"', '"attention"', '34: [modality.words] the input "attention" is fed twice'),
        ('missing = "empty"', 'missing = ""', '35: [modality.words] missing: should be "zero", "mean", "empty"'),
        ('missing = "empty"', 'missing = 0', '35: [modality.words] missing: should be "zero" or "empty" for text'),
        ('missing = "empty"', 'divide = 2', "35: [modality.words] token ids are not scaled"),
        ('divide = 255', 'mask = "attention"', "12: [modality.picture] mask: goes with text"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_sentence(folder: Path, old: str, new: str, sentence: str) -> None:
    assert TEXT.count(old) >= 1
    found = errors_of(folder, TEXT.replace(old, new, 1))
    assert [line for line in found if line.startswith(sentence)], found
    others = [line for line in found if "nobody feeds the graph's input" in line]
    assert len(found) - len(others) <= 2


def test_texts_have_masks_of_their_own(folder: Path) -> None:
    """And ids are no flags."""
    again = TEXT[TEXT.index("[modality.words]") :].replace("words", "more").replace('token_type = "types"\n', "")
    assert '41: [modality.more] the input "attention" is fed twice' in errors_of(folder, TEXT + again)
    found = errors_of(folder, TEXT.replace('input = "ids"', 'input = "has_far"'))
    assert '32: [modality.words] input: should take token ids, found "has_far" bool (?)' in found


def test_all_mistakes_come_at_once_in_their_order(folder: Path) -> None:
    text = TEXT.replace("[0.2, 0.3, 0.5]", "[1]").replace("NCHW", "X").replace("[0, 2]", "[2, 0]")
    assert [line.partition(":")[0] for line in errors_of(folder, text)] == ["2", "10", "20"]


@pytest.mark.parametrize("text", ["", "classes = 3\nmodality = 4", "[modality]\npicture = 3"])
def test_what_is_no_description(folder: Path, text: str) -> None:
    found = errors_of(folder, text)
    assert any("classes" in line for line in found)
    assert any(
        "should describe at least one modality" in line or "should be a table, found 3" in line for line in found
    )
    head = 'classes = ["a", "b"]\n[output]\nname = "logits"\n[modality]'
    assert errors_of(folder, head) == ["1: [modality.NAME] should describe at least one modality, found none"]


def test_what_cannot_be_read(folder: Path) -> None:
    assert "is not valid TOML" in errors_of(folder, "[")[0]
    with pytest.raises(UsageError, match=r"none.toml cannot be read"):
        open_session(folder / "theirs.onnx", folder / "none.toml")


TABLE = 'classes = [{}]\n[output]\nname = "logits"\nactivation = "{}"\n[modality.m]\nkind = "features"\nlength = 3\n'


@pytest.mark.parametrize(
    ("classes", "columns", "activation", "sentence"),
    [
        (2, 3, "softmax", '1: the output "logits" should have 2 columns for 2 classes (softmax), found 3'),
        (2, 1, "softmax", '1: the output "logits" should have 2 columns for 2 classes (softmax), found 1'),
        (2, 2, "sigmoid", '1: the output "logits" should have 1 column for 2 classes (sigmoid), found 2'),
        (3, 1, "sigmoid", '1: the output "logits" should have 1 column for 2 classes (sigmoid), found 1'),
        (3, 1, "none", '1: the output "logits" should have 3 columns for 3 classes (none), found 1'),
        (3, 3, "none", '4: [output] activation: "logits" should hold probabilities, found ['),
        (2, 1, "none", '4: [output] activation: "logits" should hold probabilities, found ['),
    ],
)
def test_answers_unlike_what_is_described(
    tmp_path: Path, classes: int, columns: int, activation: str, sentence: str
) -> None:
    linear(tmp_path, {"m": ("f", [None, 3])}, columns, ("logits", [None, "c"]))
    labels = ", ".join(f'"{i}"' for i in range(classes))
    (found,) = errors_of(tmp_path, TABLE.format(labels, activation) + "missing = 9")
    assert found.startswith(sentence)


def test_probabilities_are_not_taken_for_logits_nor_nan_for_an_answer(tmp_path: Path) -> None:
    from graphs import saved
    from onnx import helper

    saved(tmp_path, [helper.make_node("Softmax", ["m"], ["logits"])], {"m": ("f", [None, 3])}, ("logits", [None, 3]))
    table = TABLE.format('"a", "b", "c"', "softmax")
    assert errors_of(tmp_path, table) == [
        '4: [output] activation: "logits" holds probabilities already, after a Softmax; expected "none"'
    ]
    sentence = '3: the output "logits" is not finite where every input is missing; fill it otherwise'
    assert errors_of(tmp_path, table.replace('"softmax"', '"none"') + "missing = nan") == [sentence]


@pytest.mark.parametrize(
    ("kind", "dims", "more", "sentence"),
    [
        (
            "q",
            [None, 3],
            "missing = nan",
            '8: [modality.m] missing: only floating-point inputs hold NaN, found "m" int64',
        ),
        ("s", [None, 3], "", '5: [modality.m] input: should be a tensor of numbers, found "m" (no numbers) (?, 3)'),
        ("f", [None, 3, 1], "", "5: [modality.m] input: should be (batch, 3) for features in the layout ND"),
        ("f", [None, 3], 'layout = "N"', '8: [modality.m] layout: should be the axes of "ND"'),
        ("f", [None], "", "5: [modality.m] input: should be (batch, 3) for features in the layout ND"),
        ("f", [None, 5], "columns = [0, 3]", "5: [modality.m] input: should be (batch, 3) for features"),
        ("f", [None, 5], "columns = [2, 5]", '8: [modality.m] columns: nobody feeds 0 to 1 of "m"'),
    ],
)
def test_what_does_not_fit_the_input(tmp_path: Path, kind: str, dims: list[int], more: str, sentence: str) -> None:
    linear(tmp_path, {"m": ("f", [None, 3])})
    import onnx
    from graphs import value

    model = onnx.load(tmp_path / "theirs.onnx")
    model.graph.input[0].CopyFrom(value("m", kind, dims))
    onnx.save(model, tmp_path / "theirs.onnx")
    (found,) = errors_of(tmp_path, TABLE.format('"a", "b", "c"', "softmax") + more)
    assert found.startswith(sentence)


@pytest.mark.parametrize(("shape", "fits"), [([], False), ([1], False), ([2], True), ([None], True), ([2, 1], False)])
def test_presence_of_two_modalities(tmp_path: Path, shape: list[int | None], fits: bool) -> None:
    linear(tmp_path, {"a": ("f", [None, 1]), "b": ("f", [None, 1]), "present": ("?", [None, *shape])})
    text = 'classes = ["x", "y", "z"]\n[output]\nname = "logits"\n'
    text += "".join(f'[modality.{n}]\nkind = "features"\nlength = 1\npresent = "present"\n' for n in "ab")
    if fits:
        (tmp_path / "m.toml").write_text(text)
        assert open_session(tmp_path / "theirs.onnx", tmp_path / "m.toml").names == ["a", "b"]
    else:
        assert errors_of(tmp_path, text)[0].startswith("11: [modality.b] present: should be (batch, 2), found")


def test_a_graph_that_says_nothing_of_its_shapes(tmp_path: Path) -> None:
    import onnx
    from graphs import value

    linear(tmp_path, {"m": ("f", [None, 3])})
    model = onnx.load(tmp_path / "theirs.onnx")
    model.graph.input[0].CopyFrom(value("m", "f", None))
    onnx.save(model, tmp_path / "theirs.onnx")
    (tmp_path / "m.toml").write_text(TABLE.format('"a", "b", "c"', "softmax"))
    foreign = open_session(tmp_path / "theirs.onnx", tmp_path / "m.toml")
    assert isinstance(foreign, ForeignSession)
    assert foreign._head.batch == 0


@pytest.mark.parametrize("table", ['kind = "audio"\nrate = 1000\nseconds = 0.003', 'kind = "image"\nsize = [3, 1, 1]'])
def test_columns_need_channels(tmp_path: Path, table: str) -> None:
    linear(tmp_path, {"m": ("f", [None, 3])})
    text = TABLE.format('"a", "b", "c"', "softmax").partition("kind")[0] + table
    layout = "NT" if "audio" in table else "NHW"
    found = errors_of(tmp_path, f'{text}\nlayout = "{layout}"\ncolumns = [0, 1]')
    assert found == [f'{9 + (layout == "NT")}: [modality.m] columns: should go with a layout that has channels, '
                     f'found "{layout}"']  # fmt: skip


def test_every_modality_of_a_shared_input_fits_it(tmp_path: Path) -> None:
    linear(tmp_path, {"rgbd": ("f", [None, 4, 5, 6])})
    text = 'classes = ["x", "y", "z"]\n[output]\nname = "logits"\n'
    for name, width, size, columns in (("colour", 3, 7, [0, 3]), ("depth", 1, 6, [3, 4])):
        text += f'[modality.{name}]\nkind = "image"\nsize = [5, {size}, {width}]\nlayout = "NCHW"\n'
        text += f'input = "rgbd"\ncolumns = {columns}\n'
    (found,) = errors_of(tmp_path, text)
    assert found.startswith(
        "8: [modality.colour] input: should be (batch, 4, 5, 7) for image in the layout NCHW, found"
    )


SHARED = """classes = ["x", "y", "z"]
[output]
name = "logits"
[input.X]
mean = [1, 2, 3]
std = [4, 5, 6]
[modality.a]
kind = "features"
length = 1
input = "X"
columns = [0, 1]
missing = "mean"
[modality.b]
kind = "features"
length = 2
input = "X"
columns = [1, 3]
mean = [7, 8]
"""


def test_statistics_stand_once_for_an_input(tmp_path: Path) -> None:
    """Each modality takes its own columns, and its own numbers come first."""
    linear(tmp_path, {"X": ("f", [None, 3])})
    (tmp_path / "m.toml").write_text(SHARED)
    a, b = load_description(tmp_path / "m.toml").modalities
    assert isinstance(a, Features)
    assert isinstance(b, Features)
    assert (a.mean, a.std, b.mean, b.std) == ((1,), (4,), (7, 8), (5, 6))
    opened = open_session(tmp_path / "theirs.onnx", tmp_path / "m.toml")
    assert opened.blank_embedding("a", 1).tolist() == [[1]]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[input.X]", "[input.Y]", '4: [input.Y] no modality has this input (known: X)'),
        ("std = [4, 5, 6]", "std = [4, 5]", "13: [modality.b] std: should hold a number for each of 2 channels, found"),
        ("std = [4, 5, 6]", "sdt = [4, 5, 6]", '6: [input.X] "sdt" is not a key here'),
        ("[1, 2, 3]", '"mean"', "5: [input.X] mean: should be a valid tuple, found 'mean'"),
    ],
)  # fmt: skip
def test_statistics_of_an_input_that_do_not_fit(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    linear(tmp_path, {"X": ("f", [None, 3])})
    found = errors_of(tmp_path, SHARED.replace(old, new, 1))
    assert any(line.startswith(sentence) for line in found), found
