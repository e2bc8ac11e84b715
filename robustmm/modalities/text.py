"""Text: a Python string as the signal, int64 token ids (length,) in the graph, by Hugging Face tokenizers."""

import json
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from robustmm.errors import UsageError, check_regular
from robustmm.modalities.base import Modality, Positive, Signal

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PADDING_TOKENS = ("[PAD]", "<pad>", "<PAD>", "<|pad|>", "<|padding|>")
"""Names of tokens that are there to pad."""


class Text(Modality):
    """A string, cut or padded to `length` tokens.

    `tokenizer` is a tokenizer.json or a folder holding one (a Hugging Face checkpoint); when empty, a word-level
    vocabulary of at most `vocabulary` words is learned from the training texts. `padding` is the id that fills up
    short texts, where the tokenizer does not say it itself. `tokenizer_json` is what the exported file carries, so that
    an audit needs nothing else.
    """

    kind: Literal["text"] = "text"
    length: Positive = 64
    vocabulary: Positive = 8000
    tokenizer: str = ""
    padding: Annotated[int, Field(ge=0)] | None = None
    tokenizer_json: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int64)

    @property
    def vocabulary_size(self) -> int:
        """The size of the vocabulary, padding and unknown included."""
        return int(load_tokenizer(self.tokenizer_json, self.length).get_vocab_size())

    @property
    def padding_id(self) -> int:
        """The id that fills up short texts: `padding`, else the tokenizer's own (RoBERTa's is 1), else 0."""
        found = self.padding if self.padding is not None else find_padding(self.tokenizer_json)
        return 0 if found is None else found

    def blank_input(self) -> NDArray[np.int64]:
        return np.full(self.length, self.padding_id, np.int64)

    def read(self, cell: str, folder: Path) -> str:
        return cell

    def size_of(self, cell: str, folder: Path) -> str:
        return f"{len(cell.split())} words"

    def find_faults(self, cell: str, folder: Path) -> list[str]:
        if not self.tokenizer_json:
            return []
        encoded = load_tokenizer(self.tokenizer_json, self.length).encode(cell)
        kept, *rest = [part.special_tokens_mask.count(0) for part in (encoded, *encoded.overflowing)]
        return [f"of its {kept + sum(rest)} tokens only {kept} are read"] if sum(rest) > kept else []

    def feed(self, signal: Signal) -> NDArray[np.int64]:
        encoded = load_tokenizer(self.tokenizer_json, self.length).encode(str(signal)).ids
        ids = np.full(self.length, self.padding_id, np.int64)
        ids[: len(encoded)] = encoded[: self.length]
        return ids

    def fit_to(self, signals: Iterable[Signal]) -> Self:
        if self.tokenizer_json:
            return self
        content = read_tokenizer(Path(self.tokenizer)) if self.tokenizer else train_tokenizer(signals, self.vocabulary)
        if self.padding is None and find_padding(content) is None:
            raise UsageError(
                f'the tokenizer "{self.tokenizer}" names no token for padding; give the id that fills up short texts, '
                "as padding = ID"
            )
        return self.model_copy(update={"tokenizer_json": content})


@lru_cache(maxsize=8)
def load_tokenizer(content: str, length: int = 64) -> "Tokenizer":
    """The tokenizer, cutting texts to `length` tokens so that its closing special token stays."""
    from tokenizers import Tokenizer

    if not content:
        raise UsageError("a text modality has no tokenizer yet: it is learned or loaded when training starts")
    tokenizer = Tokenizer.from_str(content)
    tokenizer.no_padding()
    special = int(tokenizer.num_special_tokens_to_add(False))
    if special < length:
        tokenizer.enable_truncation(length)
    return tokenizer


def train_tokenizer(texts: Iterable[Signal], size: int) -> str:
    """A lower-casing word-level tokenizer of the `size` commonest words, as JSON."""
    from collections import Counter

    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(str(text))))
    commonest = sorted(counts, key=lambda word: (-counts[word], word))[: max(0, size - 2)]
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *commonest])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    return str(tokenizer.to_str())


@lru_cache(maxsize=8)
def find_padding(content: str) -> int | None:
    """The id that a tokenizer pads with: of the token that its padding section names, else of [PAD] or <pad>;
    None where it has neither, as GPT-2's."""
    tokenizer = load_tokenizer(content)
    section = json.loads(content).get("padding") or {}
    found = (tokenizer.token_to_id(token) for token in (section.get("pad_token", ""), *PADDING_TOKENS))
    return next((number for number in found if number is not None), None)


def read_tokenizer(path: Path) -> str:
    """The content of a tokenizer.json, or of the one in a folder; where it does not say with what it pads, the padding
    token of the Hugging Face files beside it is written into it."""
    from tokenizers import Tokenizer

    file = path / "tokenizer.json" if path.is_dir() else path
    check_regular(file, UsageError)
    try:
        content = file.read_text(encoding="utf-8")
        tokenizer = Tokenizer.from_str(content)
    except Exception as error:  # tokenizers raises Exception itself
        raise UsageError(f'the tokenizer "{path}" should be a tokenizer.json or a folder with one ({error})') from error
    token = "" if json.loads(content).get("padding") else read_padding_token(file.parent)
    number = tokenizer.token_to_id(token) if token else None
    if number is None or number == find_padding(content):
        return content
    tokenizer.enable_padding(pad_id=number, pad_token=token)
    return str(tokenizer.to_str())


def read_padding_token(folder: Path) -> str:
    """The `pad_token` that a Hugging Face checkpoint names beside its tokenizer.json, empty where it names none."""
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        with suppress(OSError, ValueError, AttributeError, UsageError):
            check_regular(folder / name, UsageError)
            token = json.loads((folder / name).read_text(encoding="utf-8")).get("pad_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str) and token:
                return token
    return ""
