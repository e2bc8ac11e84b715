"""What a search over settings tried, what came of it, and what was chosen."""

from typing import Any

from pydantic import Field

from robustmm.results import Number, Result

Options = dict[str, float | int | bool | str | None]
"""A setting: `optimiser`, `learning_rate`, and `METHOD.OPTION` for what a method lists."""


class TrialScore(Result):
    """A trial at the epoch that it keeps, on the valid split."""

    score: float = Field(description="what the search selects by, unrounded; 0 where it diverged")
    valid_accuracy: float
    valid_nll: float
    kept_epoch: int
    train_nll: Number = Field(description="cross-entropy of the fused answers to the training split, at the last epoch")
    diverged: str | None = Field(description="why it has no score: its numbers stopped being finite")


class Trial(TrialScore):
    """A setting of a method, trained for a rung's epochs. `kept`: it went on to the next rung, or was chosen."""

    method: str
    setting: Options
    epochs: int
    kept: bool


class Search(Result):
    """A search by successive halving: all trials, in their order, and the setting chosen for each method."""

    select: str
    seed: int = Field(description="of every trial; none of the seeds that are reported")
    rungs: list[int] = Field(description="epochs; between rungs the better half goes on")
    trials: list[Trial]
    chosen: dict[str, Options]

    def rows(self) -> list[dict[str, Any]]:
        """A row a trial."""
        return [{**t.model_dump(exclude={"setting"}), **t.setting} for t in self.trials]

    def of(self, method: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.method == method]

    def find_chosen(self, method: str) -> Trial:
        """The trial of the last rung that was chosen."""
        return next(t for t in self.of(method) if t.epochs == self.rungs[-1] and t.kept)
