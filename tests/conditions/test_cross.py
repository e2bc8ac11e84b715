from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import SIX, MeanSession, everything

from robustmm.conditions.condition import Condition
from robustmm.conditions.cross import CrossTable
from robustmm.conditions.suite import load_suite
from robustmm.config import shelf
from robustmm.errors import UsageError
from robustmm.evaluation.evaluate import evaluate

THREE = [SIX[0], SIX[2], SIX[5]]  # image, audio, features


def names(modalities: Any = THREE, **options: Any) -> list[str]:
    return [c.name for c in CrossTable(**options).conditions(modalities)]


def test_pairs_cross_every_way_of_one_modality_with_every_way_of_another() -> None:
    found = names(noise=("gaussian",), level=(0.2, 1.0))
    two = [("image", "audio"), ("image", "features"), ("audio", "features")]
    expected = [
        f"gaussian {a:g} on {one}, gaussian {b:g} on {other}"
        for one, other in two
        for a, b in product((0.2, 1.0), repeat=2)
    ]
    assert found == expected


def test_all_is_the_whole_factorial_but_nothing_happening_and_nothing_left() -> None:
    found = list(CrossTable(noise=("gaussian", "blank"), level=(0.5,), of="all", absent=True).conditions(THREE))
    assert len(found) == 4**3 - 2
    assert len({c.name for c in found}) == len(found)
    assert all(c.noises or c.present for c in found)
    assert {c.present for c in found if not c.noises} == {
        *(("image",), ("audio",), ("features",)),
        *(("image", "audio"), ("image", "features"), ("audio", "features")),
    }


def test_a_modality_that_nothing_serves_is_left_out() -> None:
    assert names(noise=("babble", "rain"), level=(1.0,)) == ["rain 1 on image, babble 1 on audio"]
    assert names(noise=("babble",), level=(1.0,)) == []
    assert names(noise=("gaussian",), level=(1.0,), kind=("image", "audio")) == [
        "gaussian 1 on image, gaussian 1 on audio"
    ]


def test_a_crossing_that_explodes_is_refused() -> None:
    with pytest.raises(UsageError, match="a crossing may make 20000 conditions, this one makes 67228"):
        names(
            list(SIX),
            noise=("gaussian", "blank"),
            level=(0.4, 0.6, 0.8),
            of="all",
            kind=("image", "audio", "series", "features", "video", "text"),
        )


def test_the_crossing_pays_for_each_way_once(tmp_path: Path) -> None:
    """The shipped factorial suite on three modalities: each encoder runs on clean and on each corruption and level."""
    calls: dict[str, int] = {}

    class Counting(MeanSession):
        def embed(self, name: str, x: Any) -> Any:
            calls[name] = calls.get(name, 0) + 1
            return super().embed(name, x)

    session: Any = Counting(THREE)
    conditions = load_suite(shelf.find_file("attacks", "factorial")).conditions(session.modalities)
    assert len(conditions) == 6**3 - 2
    data = everything(tmp_path)
    found, _ = evaluate(session, data, [Condition("clean"), *conditions])
    assert calls == dict.fromkeys(["image", "audio", "features"], 5)
    separate = {c.name: r for c, r in zip(conditions, found[1:], strict=True)}
    both = separate[BOTH]
    (again,), _ = evaluate(MeanSession(THREE), data, [next(c for c in conditions if c.name == BOTH)])  # type: ignore[arg-type]
    assert np.array_equal(both.probabilities, again.probabilities)


BOTH = "gaussian 0.8 on image, blank 0.4 on audio"


def test_errors_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[[cross]]\nof = "all"\nnoise = ["gausian"]\n\n[[search]]\nattack = "mix"\nnoise = ["rian"]\n')
    with pytest.raises(UsageError) as error:
        load_suite(path)
    first, second = str(error.value).splitlines()
    assert first.startswith(f'{path}:3: "gausian" is not a corruption, did you mean "gaussian"?')
    assert second.startswith(f'{path}:7: "rian" is not a corruption, did you mean "rain"?')
