"""Text: strings to token ids, by a learned vocabulary or a tokenizer.json."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.errors import UsageError
from robustmm.modalities import Text
from robustmm.modalities.text import load_tokenizer, train_tokenizer

TEXTS = ["The cat sat.", "the cat ran", "A dog ran"]


def text(**fields: Any) -> Text:
    return Text(name="text", **fields)


def test_the_signal_is_the_cell_itself() -> None:
    for cell in ("Hello  World", "a.png", "  ", "🎈\n\0"):
        assert text().read(cell, Path("nowhere")) == cell
    assert text().size_of("two  words\n", Path()) == "2 words"


def test_words_are_learned_commonest_first_then_alphabetically() -> None:
    vocabulary = load_tokenizer(train_tokenizer(TEXTS, 100)).get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__) == [
        "[PAD]", "[UNK]", "cat", "ran", "the", ".", "a", "dog", "sat",
    ]  # fmt: skip
    assert train_tokenizer(TEXTS, 100) == train_tokenizer(TEXTS[::-1], 100)


def test_ids_are_padded_with_zero_and_cut() -> None:
    fitted = text(length=5).fit_to(TEXTS)
    ids = fitted.feed("the CAT flew")
    assert (ids.dtype, ids.shape) == (fitted.dtype, fitted.shape)
    assert ids.tolist() == [4, 2, 1, 0, 0]
    assert fitted.feed("cat " * 9).tolist() == [2] * 5
    assert fitted.feed("").tolist() == fitted.blank_input().tolist() == [0] * 5
    assert fitted.vocabulary_size == 9
    assert fitted.feed("ＣＡＴ").tolist()[0] == 2, "compatibility forms are folded"


def test_a_text_of_which_less_than_half_is_read_is_told() -> None:
    fitted = text(length=4).fit_to(TEXTS)
    assert text(length=4).find_faults("cat " * 99, Path()) == [], "tokens are not known yet"
    assert fitted.find_faults("cat " * 8, Path()) == []
    assert fitted.find_faults("cat " * 9, Path()) == ["of its 9 tokens only 4 are read"]


@pytest.mark.parametrize(("size", "words"), [(1, 2), (2, 2), (3, 3), (4, 4), (9, 9), (99, 9)])
def test_the_vocabulary_is_at_most_that_large(size: int, words: int) -> None:
    fitted = text(vocabulary=size).fit_to(TEXTS)
    assert fitted.vocabulary_size == words
    assert fitted.feed("zebra").tolist()[0] == 1


def test_no_texts_at_all_make_everything_unknown() -> None:
    assert text(length=2).fit_to([]).feed("a b").tolist() == [1, 1]


def test_a_tokenizer_survives_the_way_through_its_json(tmp_path: Path) -> None:
    fitted = text().fit_to(TEXTS)
    (tmp_path / "tokenizer.json").write_text(fitted.tokenizer_json, encoding="utf-8")
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        again = text(tokenizer=str(place)).fit_to(["other words"])
        assert again.tokenizer_json == fitted.tokenizer_json
        assert (again.feed("the cat ran away") == fitted.feed("the cat ran away")).all()
    carried = Text.model_validate_json(fitted.model_dump_json())
    assert carried.fit_to(["other words"]) == fitted, "what an exported file carries is not learned anew"


def test_padding_set_in_a_tokenizer_file_is_ignored(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(train_tokenizer(TEXTS, 100))
    tokenizer.enable_padding(pad_id=5, length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert text(length=4, tokenizer=str(tmp_path)).fit_to([]).feed("cat").tolist() == [2, 0, 0, 0]


def test_a_wrong_tokenizer_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    for name, content in {"empty": "", "garbage": "x", "object": "{}", "model": '{"model": {"type": "Alien"}}'}.items():
        (tmp_path / f"{name}.json").write_text(content)
    for name in ("binary.json", "empty.json", "garbage.json", "object.json", "model.json", "none.json", "", "a\0b"):
        with pytest.raises(UsageError, match=r"should be a tokenizer\.json or a folder with one"):
            text(tokenizer=str(tmp_path / name)).fit_to(TEXTS)
    with pytest.raises(UsageError, match="a text modality has no tokenizer yet"):
        text().feed("cat")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
@settings(max_examples=60, deadline=None)
def test_any_text_is_ids_within_the_vocabulary(texts: list[str]) -> None:
    fitted = text(length=7, vocabulary=9).fit_to(texts[:3])
    for each in texts:
        ids = fitted.feed(each)
        assert ids.shape == (7,)
        assert ((ids >= 0) & (ids < fitted.vocabulary_size)).all()


def test_a_closing_token_survives_the_cut_and_the_tokenizers_own_padding_is_used() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    text = Text(name="t", length=4, tokenizer_json=tokenizer.to_str())
    assert text.feed("a b a b a b").tolist() == [0, 4, 5, 2]
    assert text.feed("a").tolist() == [0, 4, 2, 1]
    assert text.blank_input().tolist() == [1, 1, 1, 1]
