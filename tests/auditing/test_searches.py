"""Which samples a search gets, and what is refused before anything is measured."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from audits import forget

from robustmm.auditing import searches
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.tables import MixTable, SquareTable
from robustmm.data.manifest import Manifest
from robustmm.data.sample import sample_rows
from robustmm.errors import UsageError
from robustmm.modalities import Features

TABLES = (SquareTable(attack="square", samples=9), MixTable(attack="mix", noise=("gaussian",), samples=9))


@pytest.mark.parametrize("table", TABLES, ids=["square", "mix"])
def test_a_search_on_some_samples_has_all_classes(
    table: Any, world_model: Path, world_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget()
    asked, given = Spec(world_model, world_manifest), []

    def search(session: Any, rows: Manifest, *others: Any, **options: Any) -> Any:
        given.append(rows)
        return SimpleNamespace(model_dump=lambda mode: {"attack": table.attack})

    monkeypatch.setattr(searches, "run_square_attack", search)
    monkeypatch.setattr(searches, "find_worst_mix", search)
    searches.run_search(asked, table, tmp_path / "s.json")
    whole = open_spec(asked).rows
    assert given[0].ids == [whole.ids[i] for i in sample_rows(whole.ids, whole.labels, 9)]
    assert Counter(given[0].labels) == {"ant": 3, "bee": 3, "cat": 3}
    assert json.loads((tmp_path / "s.json").read_text().partition("\n")[2]) == {"attack": table.attack}


@pytest.mark.parametrize("table", TABLES, ids=["square", "mix"])
def test_a_search_in_units_that_are_not_known_is_refused(table: Any) -> None:
    session: Any = SimpleNamespace(modalities=[Features(name="f", length=2)])
    session.modality = lambda name: session.modalities[0]
    with pytest.raises(UsageError, match=r"noise on f is in units of the training data, which are not known"):
        searches.check_search(session, table)
    session.modalities = [Features(name="f", length=2, mean=(0, 0), std=(1, 1))]
    searches.check_search(session, table)
