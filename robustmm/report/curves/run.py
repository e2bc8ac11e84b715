"""The curves of one run: its page and its picture, from run.json and log.csv alone."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from robustmm.files import write_if_changed
from robustmm.report.curves.charts import Curve, choose_epochs, draw_curves
from robustmm.report.curves.log import Log, read_log
from robustmm.report.curves.svg import render_svg
from robustmm.report.formats import number, percent
from robustmm.report.page.charts import Spec
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.page import PAGE, compose_page
from robustmm.report.page.sections import chart_figure
from robustmm.report.page.tables import Row, build_details, build_table
from robustmm.runs import Run

PICTURE = "curves.svg"

Charts = dict[str, tuple[str, Spec]]
"""Heading and chart by the name of its section."""


def write_run_page(folder: Path) -> Path:
    """Writes report.html and curves.svg into the folder of a run. Raises DataError for damaged files and for a run of
    which no epoch has ended."""
    run = Run(folder)
    facts = run.read_finished() if run.is_finished else run.read_facts()
    log = read_log(run)
    write_if_changed(folder / PICTURE, render_run_picture(run, facts, log))
    write_if_changed(folder / PAGE, render_run_page(run, facts, log))
    return folder / PAGE


def render_run_page(run: Run, facts: Mapping[str, Any], log: Log) -> bytes:
    charts = draw_run(log, kept := kept_epoch(facts, log))
    said = {
        "losses": "Mean of each term over the epoch's training batches, and the log-loss on the valid split.",
        "accuracy": "On the valid split: of all modalities together, and of each alone where it is there.",
        "contributions": "Exact Shapley shares of the true class's log-probability on the valid split.",
        "rate": "At the last step of each epoch.",
    }
    parts: list[tuple[str, str, Content]] = [
        (name, heading, [
            tag("p", said[name], f" Dashed: epoch {kept}, the best on the valid split.", class_="soft"),
            chart_figure(f"{name}-chart", f"{heading} by epoch; the table at the end has the numbers."),
        ])
        for name, (heading, _) in charts.items()
    ]  # fmt: skip
    parts += [
        ("epochs", "Every number", _log_table(log, kept)),
        ("facts", "Where this comes from", _facts_table(facts)),
    ]
    header = [tag("p", describe_run(facts), class_="soft"), _state(run, log, kept), _figures(log, kept)]
    return compose_page(
        f"Training of {run.folder.name}", header, parts, {f"{k}-chart": v for k, (_, v) in charts.items()}
    )


def render_run_picture(run: Run, facts: Mapping[str, Any], log: Log) -> bytes:
    kept = kept_epoch(facts, log)
    return render_svg(f"Training of {run.folder.name}", f"{describe_run(facts)} {state_sentence(run, log, kept)}",
                      draw_run(log, kept))  # fmt: skip


def kept_epoch(facts: Mapping[str, Any], log: Log) -> int:
    """The epoch whose weights are the run's; of a run under way that of the best epoch so far."""
    progress = facts.get("progress") if facts.get("finished") else None
    select = find_fact(facts, "recipe", "train", "select")
    found = progress["best_epoch"] if progress else log.best_epoch(select)
    return min(int(found), len(log.epochs))


def draw_run(log: Log, kept: int) -> Charts:
    """Losses in panels, accuracies, contributions where there are some, and the learning rate."""
    drawn = 3 + len(log.losses) + len(log.alone) + len(log.contributions)
    epochs = choose_epochs(len(log.epochs), drawn, kept)
    losses = [Curve("loss", value, panel=term) for term, value in log.losses.items()]
    losses.append(Curve("loss", log.nll, panel="valid log-loss"))
    accuracy = [Curve("all modalities", log.accuracy), *(Curve(f"{m} alone", v) for m, v in log.alone.items())]
    shares = [Curve(m, v) for m, v in log.contributions.items()]
    charts = {
        "losses": ("Losses", draw_curves(losses, epochs, "", form=".3~g", kept=kept)),
        "accuracy": ("Accuracy", draw_curves(accuracy, epochs, "valid accuracy", form=".1%", kept=kept, top=1)),
        "contributions": ("Contributions", draw_curves(shares, epochs, "Shapley share", form=".1%", kept=kept, top=1)),
        "rate": ("Learning rate", draw_curves([Curve("learning rate", log.rate)], epochs, "", form=".2~g", kept=kept)),
    }
    return {name: chart for name, chart in charts.items() if name != "contributions" or shares}


def find_fact(facts: Mapping[str, Any], *keys: str) -> str:
    """A fact as words, a dash where run.json does not say it."""
    found: Any = facts
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return "–" if found is None else str(found)


def describe_run(facts: Mapping[str, Any]) -> str:
    recipe, method, seed = (find_fact(facts, "recipe", *k) for k in (("name",), ("method", "name"), ("train", "seed")))
    return f"Recipe {recipe}, method {method}, seed {seed}, on {find_fact(facts, 'manifest')}."


def state_sentence(run: Run, log: Log, kept: int) -> str:
    done = f"{len(log.epochs)} epoch{'s' * (len(log.epochs) > 1)}"
    if run.is_finished:
        return f"Finished after {done}; epoch {kept} was kept, the best on the valid split."
    return f"Not finished: {done} ended; epoch {kept} is the best so far."


def _state(run: Run, log: Log, kept: int) -> Markup:
    more = (
        None
        if run.is_finished
        else tag("p", "Continue with: ", tag("code", f"robustmm train --resume {quote(str(run.folder))}"))
    )
    return tag("div", tag("p", state_sentence(run, log, kept)), more, class_="verdict", role="status")


def _figures(log: Log, kept: int) -> Markup:
    figures = [("Valid accuracy", percent(log.accuracy[kept - 1])), ("Valid log-loss", number(log.nll[kept - 1]))]
    figures += [(f"{m} alone", percent(v[kept - 1])) for m, v in log.alone.items()]
    figures += [(f"{m} contributes", percent(v[kept - 1], 0)) for m, v in log.contributions.items()]
    small = f"in epoch {kept}"
    return tag("dl", [tag("div", tag("dt", a), tag("dd", b, tag("small", small))) for a, b in figures], class_="facts")


def _log_table(log: Log, kept: int) -> Markup:
    shares = {f"{m}, share": v for m, v in log.contributions.items()}
    columns = {"learning rate": log.rate, **log.losses, "valid log-loss": log.nll}
    scores = {"valid accuracy": log.accuracy, **{f"{m} alone": v for m, v in log.alone.items()}, **shares}
    chosen = choose_epochs(len(log.epochs), len(columns) + len(scores), kept)
    rows: list[Row] = [
        [f"{e} (kept)" if e == kept else f"{e}", *(f"{v[e - 1]:.4g}" for v in columns.values()),
         *(percent(v[e - 1]) for v in scores.values())]
        for e in chosen.tolist()
    ]  # fmt: skip
    left = len(log.epochs) - len(chosen)
    more = f"; {left} more, evenly left out here and in the charts, are in log.csv" if left else ""
    caption = f"{len(chosen)} of {len(log.epochs)} epochs{more}"
    return build_details("The curves as a table", build_table(caption, ["epoch", *columns, *scores], rows))


def _facts_table(facts: Mapping[str, Any]) -> Markup:
    known = (
        ("recipe", ("recipe", "name")), ("method", ("recipe", "method")), ("training", ("recipe", "train")),
        ("missing in training", ("recipe", "data", "missing")), ("data", ("manifest",)),
        ("hashes of the data", ("data",)), ("parameters", ("parameters",)), ("device", ("device",)),
        ("platform", ("platform",)), ("versions", ("versions",)),
    )  # fmt: skip
    rows: list[Row] = [[name, _say(facts, *keys)] for name, keys in known]
    bad = facts.get("bad")
    rows.append(["unreadable inputs", str(len(bad)) if isinstance(bad, list) else "–"])
    caption = "What was trained, and with what; recipe.toml beside this page is the whole recipe"
    return build_table(caption, ["fact", "value"], rows, (0, 1))


def _say(facts: Mapping[str, Any], *keys: str) -> str:
    """A table of facts in one line: `epochs 12, batch 64`."""
    found: Any = facts
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return find_fact(facts, *keys)
    return ", ".join(f"{k} {v}" for k, v in found.items()) or "none"
