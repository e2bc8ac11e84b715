"""One cell of a bench, a method and a seed: trained or resumed, and scored, in a process of its own."""

import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from robustmm import files, runs
from robustmm.bench.costs import CostWatcher
from robustmm.bench.torch_session import TorchSession
from robustmm.bench.worker import BenchSpec, Cell, Parent
from robustmm.config.recipe import SELECTED, Recipe
from robustmm.data.loading import OnBad, collate_signals, read_batches, targets
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.data.storage.choice import StorageOptions
from robustmm.errors import DivergedError, RobustmmError, UnwritableError
from robustmm.evaluation.evaluate import evaluate
from robustmm.evaluation.finite import check_finite
from robustmm.metrics import contribution
from robustmm.metrics.classification import accuracy, macro_f1, nll
from robustmm.metrics.paired import CLEAN, MEAN, CellResult
from robustmm.results import TrialScore
from robustmm.runs import Run
from robustmm.runtime.session import Session
from robustmm.training.run import resume, train
from robustmm.version import __version__

ALL_SUBSETS_LIMIT = 8
"""Modalities up to which every subset is scored; above it, single modalities, all but each, and all."""


def environment() -> list[str]:
    """What the numbers depend on besides recipe and data."""
    return [__version__, torch.__version__, "cuda" if torch.cuda.is_available() else "cpu"]


def run_cell(cell: Cell, setting: BenchSpec, out: Path, answers: Path, parent: Parent) -> None:
    """Trains and scores one cell in a worker, and reports to `parent`."""
    torch.set_num_threads(cell.threads)
    warnings.filterwarnings("ignore", message="this method scales gradients")  # plan_cells has warned
    costs = CostWatcher(out / "runs" / cell.key / "costs.json", parent)
    try:
        result = train_and_score(cell, setting, out / "runs" / cell.key, answers, costs)
        files.make_folder(cell.result_file(out).parent)
        files.write_file(cell.result_file(out), result.model_dump_json(indent=1).encode())
    except UnwritableError as error:  # the bench says what is kept: its user resumes no run of a cell
        parent.send(("failed", (f"{out} cannot be written: {error.reason}", error.exit_code)))
    except RobustmmError as error:
        parent.send(("failed", (str(error), error.exit_code)))
    except Exception:
        parent.send(("broken", traceback.format_exc()))


def train_and_score(
    cell: Cell, setting: BenchSpec, root: Path, answers: Path, costs: CostWatcher
) -> CellResult | TrialScore:
    """A cell's scores on test; of a trial those on valid, or that it diverged."""
    try:
        run = train_cell(cell, setting, root, answers, costs)
    except DivergedError as error:
        if cell.setting is None:
            raise
        return TrialScore(score=0, valid_accuracy=0, valid_nll=0, kept_epoch=0, train_nll=0, diverged=str(error))
    costs.write_costs()
    if cell.setting is None:
        return score_cell(run, cell, read_manifest(setting.manifest, setting.inside).split("test"), setting, costs)
    facts = run.read_finished()
    best = facts["progress"]["best"]
    return TrialScore(
        score=best[SELECTED[facts["recipe"]["train"]["select"]]],
        valid_accuracy=best["valid_accuracy"],
        valid_nll=best["valid_nll"],
        kept_epoch=facts["progress"]["best_epoch"],
        train_nll=facts["train_nll"],
        diverged=None,
    )


def train_cell(cell: Cell, setting: BenchSpec, root: Path, answers: Path, costs: CostWatcher) -> Run:
    """The cell's finished run: found, continued from its last whole epoch, or new."""
    for run in reversed(runs.list_runs(root)):
        if run.is_finished:
            return run
        if run.checkpoint.is_file():
            return resume(run, costs, answers)
    recipe = Recipe.model_validate({**cell.recipe, "name": f"{cell.method.replace(':', '.')}-s{cell.seed}"})
    held = StorageOptions.model_validate(setting.storage)
    return train(recipe, setting.manifest, root, costs, setting.on_bad, answers, inside=setting.inside, storage=held)


def score_cell(run: Run, cell: Cell, test: Manifest, setting: BenchSpec, costs: CostWatcher) -> CellResult:
    """A finished run on the test split: clean, under each condition, and from each subset of modalities."""
    facts = run.read_finished()
    session = TorchSession(run, facts["device"])
    with torch.backends.cudnn.flags(allow_tf32=False):
        answers, present = subset_probabilities(session, test, setting.on_bad)
        noisy = setting.conditions
        records = evaluate(session, test, noisy, on_bad=setting.on_bad)[0] if noisy else []
    found = {CLEAN: answers[-1][1]}
    found |= {c.name: r.probabilities for c, r in zip(noisy, records, strict=True)}
    found |= dict(answers[:-1])
    target = targets(test, session.classes)
    scores: dict[str, dict[str, float]] = {}
    for name, score in (
        ("accuracy", accuracy),
        ("nll", nll),
        ("macro_f1", macro_f1),
    ):
        scores[name] = {column: score(p, target) for column, p in found.items()}
        if len(answers) > 1:
            scores[name][MEAN] = float(np.mean([score(p, target) for _, p in answers]))
    contributions = subset_contributions([p for _, p in answers], present, target, session.prior)
    shares = dict(zip([*subset_names(session.names)[:-1], CLEAN], contributions, strict=True)) if contributions else {}
    if shares:
        shares |= {c.name: r.phi_accuracy.mean(0) for c, r in zip(noisy, records, strict=True)}
        shares[MEAN] = np.mean(contributions, 0)
    epochs = facts["progress"]["epoch"]
    known = [costs.epochs[str(e)] for e in range(1, epochs + 1) if str(e) in costs.epochs]
    an_epoch = float(np.mean(known)) if known else 0.0
    return CellResult(
        method=cell.method,
        seed=cell.seed,
        **scores,
        contributions={
            m: {column: float(shares[column][i]) for column in scores["accuracy"]}
            for i, m in enumerate(session.names if shares else [])
        },
        subsets=[name for name, _ in answers[:-1] if not name.startswith("only ")],
        valid_accuracy=facts["progress"]["best"]["valid_accuracy"],
        kept_epoch=facts["progress"]["best_epoch"],
        train_nll=facts.get("train_nll") or float("nan"),
        optimiser=facts["recipe"]["train"]["optimiser"],
        learning_rate=facts["recipe"]["train"]["learning_rate"],
        epochs=facts["recipe"]["train"]["epochs"],
        select=facts["recipe"]["train"]["select"],
        parameters=facts["parameters"],
        seconds=an_epoch * epochs,
        teacher_seconds=facts["teacher_seconds"],
        seconds_per_epoch=an_epoch,
        peak_mb=costs.peak / 2**20,
        device=facts["device"],
        threads=cell.threads,
        samples=len(test),
    )


def subset_masks(modalities: int) -> list[list[bool]]:
    """The subsets that are scored, small ones first, all modalities last."""
    if modalities <= ALL_SUBSETS_LIMIT:
        return sorted(contribution.subset_masks(modalities)[1:].tolist(), key=sum)
    one = np.eye(modalities, dtype=bool)
    return list(np.concatenate([one, ~one, np.ones((1, modalities), bool)]).tolist())


def subset_names(names: list[str]) -> list[str]:
    """The names of the subsets' columns: "only image", "image+audio"."""
    subsets = [[name for name, kept in zip(names, mask, strict=True) if kept] for mask in subset_masks(len(names))]
    return [f"only {some[0]}" if len(some) == 1 < len(names) else "+".join(some) for some in subsets]


def subset_contributions(
    answers: Sequence[NDArray[np.float64]],
    present: NDArray[np.bool_],
    target: NDArray[np.int64],
    prior: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """Shapley values (modality,) of accuracy by subset, as in `subset_masks`, where only its modalities are there.

    `answers` (samples, class) by subset, `present` (samples, modality). None unless all subsets were scored.
    """
    M = present.shape[1]
    if M > ALL_SUBSETS_LIMIT:
        return []
    places = [sum(1 << m for m, kept in enumerate(mask) if kept) for mask in subset_masks(M)]
    outputs = np.zeros((len(target), 2**M, len(prior)))
    outputs[:, places] = np.stack(answers, 1)
    value = contribution.accuracy_game(outputs, target, prior, present).mean(0)  # Shapley values are linear
    return [contribution.shapley(value[np.arange(2**M) & place]) for place in places]


def subset_probabilities(
    session: Session, test: Manifest, on_bad: OnBad
) -> tuple[list[tuple[str, NDArray[np.float64]]], NDArray[np.bool_]]:
    """Probabilities (samples, class) by subset of modalities, and what is present (samples, modality); encoders run
    once for all subsets. Raises DataError for an answer that is NaN."""
    masks, present = subset_masks(len(session.names)), []
    parts: list[list[NDArray[np.float64]]] = [[] for _ in masks]
    for _, samples in read_batches(test, session.modalities, 64, on_bad):
        z = session.embeddings(
            {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}, len(samples.ids)
        )
        kept = samples.present() & np.array(masks)[:, None]  # (subset, sample, modality)
        p = np.stack([session.decode(z, some) for some in kept])
        check_finite(session, p, kept.any(-1), samples.ids)
        present.append(samples.present())
        for part, answers in zip(parts, p, strict=True):
            part.append(answers)
    names = subset_names(session.names)
    return [(name, np.concatenate(part)) for name, part in zip(names, parts, strict=True)], np.concatenate(present)
