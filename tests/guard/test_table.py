"""The examples in columns are what the graph says of the encodings that meet in each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from bayes import Bayes
from guarded import Pair, fitted_temperature
from numpy.typing import NDArray
from scipy.special import softmax

from robustmm.api.hardening import harden
from robustmm.guard import harden as work
from robustmm.guard.examples import MISMATCHED, Encoded
from robustmm.guard.reliability import list_subsets
from robustmm.guard.table import Table


class Made(NamedTuple):
    encoded: Sequence[Sequence[Encoded]]
    clean: dict[str, NDArray[np.float32]]
    present: NDArray[np.bool_]
    target: NDArray[np.int64]
    table: Table


@pytest.fixture(scope="module")
def made(bayes: Bayes, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What one hardening put together."""
    kept: list[Made] = []
    build = work.build_table

    def watch(subject: Any, answers: Any, *given: Any) -> Table:
        kept.append(Made(*given[:-1], table=build(subject, answers, *given)))
        return kept[0].table

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "build_table", watch)
        folder: Path = tmp_path_factory.mktemp("table")
        harden(bayes.model, folder / "h.onnx", data=bayes.manifest)
    return kept[0]


def test_answers_are_those_of_the_encodings_that_meet(made: Made, three: Pair) -> None:
    """Bayes' rule over what is in the subset: the logits are the sum of the embeddings."""
    table, temperature = made.table, fitted_temperature(three)
    number = (table.faults >= 0).sum(1)
    assert set(number.tolist()) == {0, 1, 2}
    some = np.concatenate([np.random.default_rng(0).permutation(np.flatnonzero(number == n))[:150] for n in range(3)])
    for i in some:
        z = []
        for m, name in enumerate("abc"):
            row, fault = table.rows[i], table.faults[i, m]
            if fault < 0:
                z.append(made.clean[name][row, :3])
            else:
                (place,) = np.flatnonzero(made.encoded[m][fault].rows == row)
                z.append(made.encoded[m][fault].z[place, :3])
        for s, mask in enumerate(list_subsets(3)):
            expected = softmax(mask @ np.array(z, np.float64) / temperature.scale(mask))
            np.testing.assert_allclose(table.answers[i, s], expected, rtol=2e-3, atol=1e-4)


def test_columns_say_who_and_what(made: Made) -> None:
    table = made.table
    assert table.clean.sum() == len(made.target) == 60
    np.testing.assert_array_equal(table.target, made.target[table.rows])
    np.testing.assert_array_equal(table.present, made.present[table.rows])
    assert np.isfinite(table.features).all()
    picked = np.arange(len(table.rows))
    np.testing.assert_array_equal(table.true()[:, 0], table.answers[picked, 0, table.target].astype(np.float64))
    assert table.right()[table.clean, 0].mean() > 0.9
    part = table.take(table.clean)
    assert part.clean.all()
    assert len(part.features) == len(part.answers) == 60
    assert all(faults[-1].fault.family == MISMATCHED for faults in made.encoded)


def test_faults_are_stranger_than_clean_signals(made: Made) -> None:
    """Of strong noise, the features of the modality that has it; those of the others stay."""
    table = made.table
    for m in range(3):
        strong = [k for k, e in enumerate(made.encoded[m]) if e.fault.name == "gaussian" and e.fault.level == 1]
        some = np.isin(table.faults[:, m], strong) & ((table.faults >= 0).sum(1) == 1)
        assert some.any()
        distance = table.features[..., 0]
        assert np.median(distance[some, m]) > np.quantile(distance[table.clean, m], 0.9)
        other = (m + 1) % 3
        assert np.median(distance[some, other]) < np.quantile(distance[table.clean, other], 0.9)
