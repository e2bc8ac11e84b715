"""Which tokens are padding: told by their number, whatever id the graph is fed there."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from graphs import linear, softmax
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from robustmm.errors import UsageError
from robustmm.runtime.foreign.session import ForeignSession, open_session
from robustmm.runtime.foreign.tokens import MARK

WORDS = {"!": 0, "good": 1, "bad": 2, "<|endoftext|>": 3, "<s>": 4, "</s>": 5}
"""Without a token for padding, and id 0 is a word, as in GPT-2's vocabulary."""

TABLE = 'classes = ["a", "b", "c"]\n[output]\nname = "logits"\n[modality.m]\nkind = "text"\nlength = 4\ninput = "ids"\n'
TABLE += 'tokenizer = "tokenizer.json"\n'


def save_tokenizer(folder: Path, more: dict[str, int] | None = None, **padding: object) -> None:
    tokenizer = Tokenizer(models.WordLevel(WORDS | (more or {}), unk_token="bad"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if padding:
        tokenizer.enable_padding(**padding)
    tokenizer.save(str(folder / "tokenizer.json"))


def opened(folder: Path, more: str = 'mask = "mask"\n') -> tuple[ForeignSession, object]:
    names = ("ids", "mask") if "mask" in more else ("ids",)
    path, theirs = linear(folder, {name: ("q", [None, 4]) for name in names})
    (folder / "m.toml").write_text(TABLE + more)
    session = open_session(path, folder / "m.toml")
    assert isinstance(session, ForeignSession)
    return session, theirs


def fed(session: ForeignSession, *texts: str) -> tuple[list[list[int]], list[list[int]]]:
    """The ids and the mask that the graph is fed."""
    seen: list[dict[str, np.ndarray]] = []
    whole = session._head
    session._head = SimpleNamespace(run=lambda given: (seen.append(given), whole.run(given))[1])  # type: ignore[assignment]
    session.predict(
        {"m": np.stack([session.modality("m").feed(text) for text in texts])}, np.ones((len(texts), 1), bool)
    )
    session._head = whole
    return seen[0]["ids"].tolist(), seen[0]["mask"].tolist() if "mask" in seen[0] else []


def test_the_mask_counts_tokens(tmp_path: Path) -> None:
    """ "good !" has two tokens, though the second has the id that fills up."""
    save_tokenizer(tmp_path)
    session, theirs = opened(tmp_path)
    ids, mask = fed(session, "good !", "! ! ! ! !", "")
    assert ids == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert mask == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    given = session.modality("m").feed("good !")
    assert given.tolist() == [1, 0, MARK, MARK]
    found = session.predict({"m": given[None]}, np.ones((1, 1), bool))
    expected = softmax(theirs(np.array([[1, 0, 0, 0]]), np.array([[1, 1, 0, 0]])))  # type: ignore[operator]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["B", "i", "q", "f"])
def test_marks_reach_no_graph(tmp_path: Path, kind: str) -> None:
    save_tokenizer(tmp_path)
    path, _ = linear(tmp_path, {"ids": (kind, [None, 4])})
    (tmp_path / "m.toml").write_text(TABLE + "padding = 3\n")
    session = open_session(path, tmp_path / "m.toml")
    assert isinstance(session, ForeignSession)
    assert fed(session, "good")[0] == [[1, 3, 3, 3]]
    for missing in (False, True):
        z = {"m": session.embed("m", session.modality("m").blank_input()[None])}
        assert session.decode(z, np.array([[missing]])).min() > 0


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"special_tokens_map.json": {"pad_token": "<|endoftext|>"}}, 3),
        ({"special_tokens_map.json": {"pad_token": {"content": "</s>", "lstrip": False}}}, 5),
        ({"tokenizer_config.json": {"pad_token": "<|endoftext|>", "model_max_length": 8}}, 3),
        ({"tokenizer_config.json": {"pad_token": None}, "special_tokens_map.json": {"pad_token": "good"}}, 1),
    ],
)
def test_the_checkpoints_files_say_with_what_it_pads(tmp_path: Path, files: dict[str, object], expected: int) -> None:
    save_tokenizer(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    session, _ = opened(tmp_path, "")
    assert fed(session, "bad bad")[0] == [[2, 2, expected, expected]]
    session, _ = opened(tmp_path, "padding = 4\n")
    assert fed(session, "bad bad")[0] == [[2, 2, 4, 4]], "the description's own comes first"


@pytest.mark.parametrize("name", ["<pad>", "[PAD]", "<|pad|>"])
def test_a_token_that_only_pads_is_in_no_mask(tmp_path: Path, name: str) -> None:
    """Of ids that come from elsewhere as well."""
    save_tokenizer(tmp_path, {name: 6})
    session, theirs = opened(tmp_path)
    assert fed(session, "good !") == ([[1, 0, 6, 6]], [[1, 1, 0, 0]])
    x = np.array([[1, 0, 6, 6]])
    expected = softmax(theirs(x, x != 6))  # type: ignore[operator]
    np.testing.assert_allclose(session.predict({"m": x}, np.ones((1, 1), bool)), expected, atol=1e-6)


def test_the_padding_section_names_a_token(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, pad_id=3, pad_token="<|endoftext|>")
    assert fed(opened(tmp_path)[0], "good") == ([[1, 3, 3, 3]], [[1, 0, 0, 0]])
    assert fed(opened(tmp_path, "")[0], "good")[0] == [[1, 3, 3, 3]]


def test_without_a_mask_the_padding_must_be_known(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    with pytest.raises(
        UsageError, match=r"m.toml:\d+: \[modality.m\] the tokenizer .* names no token for padding; give the id"
    ):
        opened(tmp_path, "")


def test_the_closing_token_of_a_cut_text_stays(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 4), ("</s>", 5)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert fed(opened(tmp_path)[0], "! ! ! !", "!") == (
        [[4, 0, 0, 5], [4, 0, 5, 0]],
        [[1, 1, 1, 1], [1, 1, 1, 0]],
    )
