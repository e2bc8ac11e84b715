"""Threads by measurement: what decides, that it changes nothing, and that a run keeps what it began with."""

from pathlib import Path

import pytest
import torch
from toys import fresh, toy
from worlds import Nobody, manifest, recipe

from robustmm.errors import InterruptedRun
from robustmm.runs import Run
from robustmm.training import checkpoint, threads
from robustmm.training.run import resume, train
from robustmm.training.threads import GAIN, Threads, choose_threads, measure_threads

DATA = toy(2)


def measured(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> list[int]:
    """Steps take these seconds by number of threads; gives the turns in their order."""
    turns: list[int] = []

    def time_steps(*_: object) -> list[float]:
        turns.append(torch.get_num_threads())
        return [seconds[turns[-1]]] * 3

    monkeypatch.setattr(threads, "time_steps", time_steps)
    return turns


@pytest.mark.parametrize(
    ("several", "count"), [(0.1 / GAIN / 1.01, 2), (0.1 / GAIN * 1.01, 1), (0.1, 1), (0.5, 1), (0.01, 2)]
)
def test_several_threads_only_where_they_are_much_faster(
    monkeypatch: pytest.MonkeyPatch, several: float, count: int
) -> None:
    before = torch.get_num_threads()
    turns = measured(monkeypatch, {1: 0.1, 2: several})
    found = measure_threads(fresh(DATA), DATA.batch(), 2)
    assert (found.count, found.seconds) == (count, {1: pytest.approx(0.1), 2: pytest.approx(several)})
    assert turns == [1, 2, 1, 2], "in turns: what else the machine does meets both"
    assert torch.get_num_threads() == before
    assert f"100.0 ms with 1, {1000 * several:.1f} ms with 2" in str(found)


def test_nothing_is_measured_where_nothing_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    turns = measured(monkeypatch, {})
    asked, free = recipe(tmp_path / "m.csv", threads=5), recipe(tmp_path / "m.csv", threads=None)
    model = fresh(DATA)
    assert choose_threads(asked, model, lambda rows: DATA.batch(), 8).count == 5
    assert choose_threads(free, model, lambda rows: DATA.batch(), 1).count == 1
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        assert str(choose_threads(free, model, lambda rows: DATA.batch(), 8)) == "threads: 1 (the work is the GPU's)"
    monkeypatch.setattr(threads.distributed, "world_size", lambda: 2)
    assert str(choose_threads(free, model, lambda rows: DATA.batch(), 8)) == "threads: 1 (one for each rank)"
    assert turns == []


def test_measuring_leaves_model_and_generator_as_they_were() -> None:
    model = fresh(DATA)
    model.register_module("normal", torch.nn.BatchNorm1d(2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, mode = torch.get_rng_state(), model.training
    found = measure_threads(model, DATA.batch(), 2)
    assert sorted(found.seconds) == [1, 2]
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert (torch.get_rng_state() == state).all()
    assert model.training == mode
    assert all((model.state_dict()[name] == tensor).all() for name, tensor in before.items())
    assert all(p.grad is None for p in model.parameters())


def test_a_slow_step_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PATIENCE", 0.0)
    assert len(threads.time_steps(fresh(DATA), threads.Method(), DATA.batch())) == 1
    monkeypatch.setattr(threads, "PATIENCE", 60.0)
    assert len(threads.time_steps(fresh(DATA), threads.Method(), DATA.batch())) == threads.STEPS, "the first warms up"


class Told(Nobody):
    def __init__(self, stop: bool = False) -> None:
        super().__init__()
        self.stop, self.notes, self.threads = stop, list[str](), set[int]()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, count: int = 1) -> None:
        self.threads.add(torch.get_num_threads())

    def epoch(self, row: object) -> None:
        if self.stop:
            raise KeyboardInterrupt


def test_what_was_measured_is_told_kept_and_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = manifest(tmp_path / "data")
    measured(monkeypatch, {1: 0.3, 3: 0.1})
    monkeypatch.setattr("robustmm.training.run.count_cores", lambda: 3)
    with pytest.raises(InterruptedRun):
        train(recipe(path, threads=None), path, tmp_path / "runs", (told := Told(stop=True)))
    assert told.notes == [str(Threads(3, {1: 0.3, 3: 0.1}))]
    assert 3 in told.threads
    run = Run(tmp_path / "runs" / "world-001")
    facts = run.read_facts()
    assert facts["recipe"]["train"]["threads"] == 3
    assert facts["threads"] == {"count": 3, "seconds": {"1": 0.3, "3": 0.1}, "why": ""}
    measured(monkeypatch, {1: 0.1, 3: 0.3})  # now one would win
    resume(run, (again := Told()))
    assert again.threads == {3}
    assert again.notes == []


def test_a_measured_one_gives_the_bytes_of_one_that_was_asked_for(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    told = ({"threads": None}, {"threads": 1})
    free, asked = (train(recipe(path, epochs=1, **t), path, tmp_path / "runs", Nobody()) for t in told)
    assert free.read_facts()["recipe"]["train"]["threads"] == 1, "a model this small only loses by sharing"
    tensors = [checkpoint.load_tensors(run.weights)[0] for run in (free, asked)]
    assert all((tensors[0][name] == tensors[1][name]).all() for name in tensors[1])
