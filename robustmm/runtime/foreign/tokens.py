"""Token ids of a foreign graph, and which of them are padding."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.modalities import Text
from robustmm.modalities.text import find_padding, load_tokenizer

MARK = -1
"""Stands for padding between the tokenizer and the graph: an id that no token has."""


class MarkedText(Text):
    """A text whose ids (length,) are `MARK` behind its last token.

    What a graph is fed there may be a token's id as well: GPT-2's tokenizer has no token for padding, and its id 0 is
    "!". So the mask comes from the number of tokens, and not from their ids.
    """

    @property
    def padding_id(self) -> int:
        return MARK

    @property
    def fed_padding(self) -> int:
        """The id that the graph is fed for padding."""
        return super().padding_id

    @property
    def padding_token(self) -> int:
        """The id of a token that only pads, which ids from elsewhere may hold; `MARK` where the tokenizer has none."""
        number = find_padding(self.tokenizer_json)
        token = None if number is None else load_tokenizer(self.tokenizer_json, self.length).id_to_token(number)
        return number if number is not None and token and "pad" in token.lower() else MARK


def split_padding(text: MarkedText, ids: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Ids (batch, length) as the graph takes them, and the mask of what is no padding."""
    held = (ids != MARK) & (ids != text.padding_token)
    return np.where(ids == MARK, text.fed_padding, ids), held
