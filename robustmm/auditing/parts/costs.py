"""What the tasks of a plan cost, in seconds of one process."""

from pydantic import BaseModel, ConfigDict, FiniteFloat

from robustmm.auditing.cost import Timings
from robustmm.auditing.noise_floor import REPEATS
from robustmm.auditing.spec import OpenedSpec
from robustmm.conditions.tables import MixTable, SearchTable


class Costs(BaseModel):
    """Seconds of every stage. Where it is not said otherwise they are per sample."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reading: FiniteFloat
    deciding: FiniteFloat
    writing: FiniteFloat
    """Per cell."""
    projecting: list[FiniteFloat]
    """Per chunk: the additive projection of the clean condition."""
    embeddings: list[FiniteFloat]
    """Every way in which an input is corrupted, with its encoding."""
    wanted: list[list[int]]
    """Numbers of the embeddings that a condition is decided from, the clean condition's first."""
    floor: FiniteFloat
    """The noise floor, whole."""
    searches: list[FiniteFloat]
    """Every search, whole. An upper bound: samples that break early cost less."""
    finish: FiniteFloat
    """What the merge does: statistics, and the levels that bisection tries."""


def price_tasks(timed: Timings, opened: OpenedSpec, searches: tuple[SearchTable, ...]) -> Costs:
    """The costs of an audit's tasks, from a measurement of every stage."""
    numbers = {part: number for number, part in enumerate(timed.embeddings)}
    projected = [opened.measures_emap(chunk) for chunk in range(len(opened.chunks))]
    return Costs(
        reading=timed.reading,
        deciding=timed.deciding,
        writing=timed.keeping / len(opened.chunks),
        projecting=[timed.projecting / sum(projected) if here else 0.0 for here in projected],
        embeddings=list(timed.embeddings.values()),
        wanted=[[numbers[part] for part in parts] for parts in timed.wanted],
        floor=REPEATS * len(opened.chunks[0]) * (timed.reading + timed.sum_new()[0]),
        searches=[_bound_search(timed, opened, table) for table in searches],
        finish=timed.sum_finish(len(opened.rows)),
    )


def _bound_search(timed: Timings, opened: OpenedSpec, table: SearchTable) -> float:
    """Seconds of a search that no sample ends early: every query encodes what is attacked, and decodes one row."""
    encoding = sum(timed.embeddings[name, ""] for name in opened.session.names)
    samples = min(table.samples or len(opened.rows), len(opened.rows))
    if isinstance(table, MixTable):  # every choice is embedded once; mixes are decoded
        return samples * len(table.level) * (len(table.noise) * encoding + timed.deciding)
    runs = 2 * len(table.scale) + 1  # each modality alone and all together, and the whole range
    return samples * (timed.reading + runs * table.queries * (encoding + timed.decoding))
