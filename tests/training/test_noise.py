"""Training with noise: what is drawn, what it does to a batch, and that runs stay what they were, bit for bit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from worlds import SIX, Nobody, everything, manifest, tables

from robustmm.conditions.condition import Condition, Noise, corrupt_signal
from robustmm.config.recipe import Corrupt, Recipe, build_recipe, load_recipe
from robustmm.corruptions import kinds, names
from robustmm.data.loading import collate_signals, read_samples
from robustmm.data.manifest import read_manifest
from robustmm.data.storage.split import Split, share_memory
from robustmm.errors import InterruptedRun, UsageError
from robustmm.evaluation.evaluate import evaluate
from robustmm.exporting import export
from robustmm.methods import Method, build_method
from robustmm.metrics.classification import accuracy
from robustmm.modalities import Features, Image, Modality
from robustmm.runs import Run
from robustmm.runtime.session import Session
from robustmm.training import checkpoint
from robustmm.training.build import effective_recipe
from robustmm.training.data import TrainingSplit
from robustmm.training.noise import TrainingNoise, effective_noise, look_ahead
from robustmm.training.run import prepare_data, resume, train

CPU = torch.device("cpu")


def recipe(path: Path, corrupt: dict[str, Any] | None, method: str = "joint", **train: object) -> Recipe:
    content: dict[str, Any] = tables(path) | {"method": {"name": method}, "train": {"epochs": 3, "batch": 16, **train}}
    return build_recipe(content | ({} if corrupt is None else {"corrupt": corrupt}), "world", "world")


def weights(run: Run) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in checkpoint.load_tensors(run.weights)[0].items()}


def small_split(modalities: Sequence[Modality], folder: Path, samples: int = 6) -> Split:
    """A split of a sample of each kind, every signal kept."""
    table = everything(folder, samples)
    found = read_samples(table, modalities)
    inputs = {m.name: collate_signals(m, found.signals[m.name]) for m in modalities}
    kept = {m.name: share_memory(m, found.signals[m.name], inputs[m.name]) for m in modalities}
    return Split(table.ids, inputs, found.present(), np.arange(samples) % 2, [], kept)


def full_table(**keys: Any) -> Corrupt:
    """Every corruption of the catalogue, on every kind."""
    keys = {"probability": 1.0, "level": (0.5, 1.0), "noise": tuple(names()), "on": tuple(m.name for m in SIX)} | keys
    return Corrupt(**keys)


# What the recipe asks for


def test_without_a_table_nothing_is_corrupted_and_recipes_read_as_before(tmp_path: Path) -> None:
    plain = recipe(tmp_path, None)
    assert effective_recipe(plain).corrupt is None
    assert "corrupt" not in plain.model_dump()
    assert (
        prepare_data(effective_recipe(recipe(manifest(tmp_path / "d"), None)), *reading(tmp_path / "d")).noise is None
    )


def reading(folder: Path) -> tuple[Any, Any, Any]:
    return read_manifest(folder / "manifest.csv"), Nobody(), "error"


def test_an_empty_table_means_the_whole_catalogue_on_all_that_it_serves(tmp_path: Path) -> None:
    found = effective_recipe(recipe(tmp_path, {})).corrupt
    assert found is not None
    assert found.on == ("vector", "series")
    assert set(found.noise) == {name for name in names() if {"features", "series"} & set(kinds(name))}
    assert (found.probability, found.level) == (0.5, (0.0, 1.0))


def test_the_recipes_keys_lie_over_those_of_the_method(tmp_path: Path) -> None:
    own = effective_noise(recipe(tmp_path, None), build_method("guarded", {}))
    assert own is not None
    assert (own.probability, own.level) == (0.5, (0.0, 1.0))
    laid = effective_noise(
        recipe(tmp_path, {"noise": ["gaussian_noise"], "level": [0, 0.5]}), build_method("guarded", {})
    )
    assert laid == Corrupt(noise=("gaussian",), probability=0.5, level=(0, 0.5), on=("vector", "series"))
    assert effective_noise(recipe(tmp_path, None), build_method("cal+guarded", {})) == own
    assert effective_noise(recipe(tmp_path, None), build_method("cal", {})) is None


def test_the_effective_table_is_replayed_from_the_runs_recipe(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    run = train(recipe(path, None, "guarded", epochs=1), path, tmp_path / "runs", Nobody())
    replayed = load_recipe(run.folder / "recipe.toml")
    assert replayed.corrupt is not None
    assert len(replayed.corrupt.noise) > 10
    assert effective_recipe(replayed) == replayed
    assert weights(train(replayed, path, tmp_path / "runs", Nobody())) == weights(run)


@pytest.mark.parametrize(
    ("corrupt", "sentence"),
    [
        ({"noise": ["gausian"]}, r'\[corrupt\] noise: "gausian" is not a corruption, did you mean "gaussian"\?'),
        ({"noise": ["fog"]}, r'\[corrupt\] noise: "fog" serves image, video; there is vector \(features\), series \('),
        ({"noise": ["drift"], "on": ["vector"]}, r'"drift" serves series; there is vector \(features\)$'),
        ({"noise": ["stale"]}, r'"stale" is a fault of whole samples; training takes those of one modality'),
        ({"noise": ["nowhere:at"]}, r"\[corrupt\] noise: the corruption \"nowhere:at\" cannot be imported"),
        ({"noise": ["drift"], "on": ["series", "vector"]}, r'on: none of drift serves the modality "vector"'),
    ],
)
def test_what_cannot_be_corrupted_is_a_sentence_before_anything_is_read(
    tmp_path: Path, corrupt: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence) as error:
        train(recipe(tmp_path / "no.csv", corrupt), tmp_path / "no.csv", tmp_path / "runs", Nobody())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_modality_without_a_unit_of_noise_is_a_sentence(tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    with pytest.raises(UsageError, match=r"noise on plain is in units of the training data, which are not known"):
        TrainingNoise(Corrupt(noise=("gaussian",), on=("plain",)), [Features(name="plain", length=20)], split, 0)


# What is drawn


def test_every_draw_is_of_seed_epoch_id_and_modality(tmp_path: Path) -> None:
    noise = TrainingNoise(full_table(), SIX, small_split(SIX, tmp_path), 3)
    first = noise.draw(0, "s0", "image")
    assert first == noise.draw(0, "s0", "image")
    others = [noise.draw(1, "s0", "image"), noise.draw(0, "s1", "image"), noise.draw(0, "s0", "video")]
    others.append(TrainingNoise(full_table(), SIX, small_split(SIX, tmp_path), 4).draw(0, "s0", "image"))
    assert first not in others
    assert len({draw.seed for draw in others if draw}) == 4


def test_the_share_the_levels_and_the_choice_are_those_of_the_table(tmp_path: Path) -> None:
    table = full_table(probability=0.3, level=(0.2, 0.6), noise=("gaussian", "blank", "fog"), on=("image", "audio"))
    noise = TrainingNoise(table, SIX, small_split(SIX, tmp_path), 0)
    found = [noise.draw(epoch, f"s{i}", "image") for epoch in range(20) for i in range(100)]
    drawn = [draw for draw in found if draw]
    assert abs(len(drawn) / len(found) - 0.3) < 0.03
    levels = np.array([draw.level for draw in drawn])
    assert 0.2 <= levels.min() < 0.21 < 0.59 < levels.max() <= 0.6
    assert abs(levels.mean() - 0.4) < 0.02
    for name in table.noise:
        assert abs(np.mean([draw.corruption.name == name for draw in drawn]) - 1 / 3) < 0.06
    assert {draw.corruption.name for i in range(100) if (draw := noise.draw(0, f"s{i}", "audio"))} == {
        "gaussian",
        "blank",
    }


def test_a_higher_probability_corrupts_more_and_the_same_in_the_same_way(tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    rare, often = (TrainingNoise(full_table(probability=p), SIX, split, 0) for p in (0.2, 0.7))
    ids = [f"s{i}" for i in range(200)]
    some = {sample: draw for sample in ids if (draw := rare.draw(0, sample, "series"))}
    assert 10 < len(some) < 80
    assert all(often.draw(0, sample, "series") == draw for sample, draw in some.items())


# What it does to a batch


@pytest.mark.parametrize("modality", SIX, ids=lambda m: m.kind)
def test_a_batch_holds_what_the_corruption_makes_of_the_canonical_signal(modality: Modality, tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    noise = TrainingNoise(full_table(), SIX, split, 0)
    inputs = {name: values.copy() for name, values in split.inputs.items()}
    noise.apply(inputs, range(6), epoch=2)
    clean = read_samples(everything(tmp_path, 6), [modality]).signals[modality.name]
    for row, signal in enumerate(clean):
        assert signal is not None
        draw = noise.draw(2, f"s{row}", modality.name)
        assert draw is not None
        made = corrupt_signal(signal, draw.corruption, draw.level, draw.seed, f"s{row}", modality)
        np.testing.assert_array_equal(inputs[modality.name][row], modality.feed(made))
    assert not np.array_equal(inputs[modality.name], split.inputs[modality.name])
    np.testing.assert_array_equal(split.inputs[modality.name], collate_signals(modality, clean)), "the split stays"


def test_it_is_the_signal_before_feed_that_is_corrupted(tmp_path: Path) -> None:
    """A picture fed as BGR loses its red where RGB says red."""
    modality = Image(name="image", size=(24, 24, 3), colours="bgr")
    split = small_split([modality], tmp_path)
    assert not np.shares_memory(split.signals["image"][0], split.inputs["image"]), "feeding turns the colours"
    noise = TrainingNoise(full_table(noise=("white-balance",), on=("image",)), [modality], split, 0)
    inputs = {"image": split.inputs["image"].copy()}
    noise.apply(inputs, [0], epoch=0)
    draw = noise.draw(0, "s0", "image")
    assert draw is not None
    signal = read_samples(everything(tmp_path, 1), [modality]).signals["image"][0]
    made = corrupt_signal(signal, draw.corruption, draw.level, draw.seed, "s0", modality)  # type: ignore[type-var]
    assert isinstance(made, np.ndarray)
    np.testing.assert_array_equal(inputs["image"][0], made[..., ::-1])


def test_signals_that_feeding_leaves_alone_are_not_held_twice(tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    shared = {name for name, kept in split.signals.items() if np.shares_memory(np.asarray(kept[0]), split.inputs[name])}
    assert shared == {"image", "video", "audio", "series", "features"}
    assert isinstance(split.signals["text"][0], str)


def batches(path: Path, size: int, epoch: int, corrupt: dict[str, Any]) -> dict[int, list[bytes]]:
    """What each row of an epoch was fed, whatever its batch."""
    own = effective_recipe(recipe(path, corrupt))
    prepared = prepare_data(own, read_manifest(path), Nobody(), "error")
    data = TrainingSplit(prepared.training, 3, CPU, noise=prepared.noise)
    torch.manual_seed(size)
    found: dict[int, list[bytes]] = {}
    for batch in data.batches(Method().arrange(data.draw_order(None), size), 0.0, epoch):
        for place, row in enumerate(batch.index.tolist()):
            found[row] = [values[place].numpy().tobytes() for values in batch.inputs.values()]
    return found


def test_what_is_corrupted_depends_on_no_batch_and_on_no_order(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data", missing=0.2)
    one = batches(path, 1, 4, {})
    assert one == batches(path, 7, 4, {}) == batches(path, 64, 4, {})
    assert one != batches(path, 7, 5, {}), "anew in every epoch"
    clean = batches(path, 7, 4, {"probability": 0})
    assert 0.3 < np.mean([one[row][0] != clean[row][0] for row in clean]) < 0.7 * 1.0


def test_valid_test_and_what_teachers_read_stay_clean(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    plain, noisy = (
        prepare_data(effective_recipe(recipe(path, corrupt)), read_manifest(path), Nobody(), "error")
        for corrupt in (None, {"probability": 1, "level": [1, 1]})
    )
    assert plain.digests == noisy.digests
    data = TrainingSplit(noisy.training, 3, CPU, noise=noisy.noise)
    rows = torch.arange(len(data))
    for name, values in plain.training.inputs.items():
        assert torch.equal(data.batch(rows).inputs[name], torch.from_numpy(values))
    part = data.select_modality(1, rows)
    assert part.noise is None
    assert data.noise is not None
    assert data.without_noise().noise is None


def test_the_next_batch_is_made_meanwhile_and_its_error_is_raised() -> None:
    made: list[int] = []

    def make(item: int) -> int:
        made.append(item)
        return 10 // (3 - item)

    found = look_ahead(make, range(5))
    assert next(found) == 3
    assert next(found) == 5
    assert made[:2] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        list(found)
    assert list(look_ahead(make, [])) == []


# Runs


@pytest.mark.parametrize("method", ["joint", "guarded", "guarded+mce"])
def test_a_resumed_run_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path: Path, method: str) -> None:
    path = manifest(tmp_path / "data")
    settings = recipe(path, {"probability": 0.8}, method, epochs=4)
    whole = train(settings, path, tmp_path / "whole", Nobody())

    class Stops(Nobody):
        def epoch(self, row: object) -> None:
            super().epoch(row)
            if len(self.rows) == (10 if "mce" in method else 2):  # two teachers of four epochs before
                raise KeyboardInterrupt

    with pytest.raises(InterruptedRun):
        train(settings, path, tmp_path / "runs", Stops())
    run = Run(tmp_path / "runs" / "world-001")
    assert len(run.log_file.read_text().splitlines()) == 3
    assert weights(resume(run, Nobody())) == weights(whole)


def test_noise_changes_what_is_learned_and_probability_0_nothing(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    runs = [train(recipe(path, c), path, tmp_path / "runs", Nobody()) for c in (None, {}, {}, {"probability": 0})]
    plain, noisy, again, none = map(weights, runs)
    assert noisy == again
    assert noisy != plain
    assert none == plain


def test_teachers_are_the_same_with_noise_and_without(tmp_path: Path) -> None:
    path, answers = manifest(tmp_path / "data"), tmp_path / "answers"
    for corrupt in (None, {}):
        train(recipe(path, corrupt, "mce", epochs=1), path, tmp_path / "runs", Nobody(), answers=answers)
    assert len(list(answers.iterdir())) == 1


UNSEEN = [
    Condition(name, (Noise(name, 1.0, ("picture",)),))
    for name in ("gaussian", "contrast", "salt-pepper", "occlusion", "under-exposure")
]
SEEN = [
    "blank",
    "fog",
    "brightness",
    "rotation",
    "translation",
    "defocus-blur",
    "shadow",
    "gain",
    "offset",
    "sign-flips",
]


def planted(folder: Path, samples: int = 384) -> Path:
    """Three classes that a picture tells easily, by which third of it is bright, and a vector less well."""
    rng, target = np.random.default_rng(0), np.arange(samples) % 3
    folder.mkdir()
    np.save(folder / "vector.npy", (rng.normal(size=(samples, 5)) + 2 * np.eye(5)[target]).astype(np.float32))
    pictures = rng.integers(60, 140, (samples, 9, 9, 1))
    pictures += 60 * (np.arange(9) // 3 == target[:, None])[:, None, :, None]
    np.save(folder / "picture.npy", pictures.astype(np.uint8))
    splits = np.array(["train"] * 4 + ["valid"] + ["test"] * 3)[np.arange(samples) // 3 % 8]
    rows = [f"s{i},{splits[i]},c{target[i]},vector.npy#{i},picture.npy#{i}\n" for i in range(samples)]
    (folder / "manifest.csv").write_text("id,split,label,vector,picture\n" + "".join(rows))
    return folder / "manifest.csv"


def scores(path: Path, method: str, corrupt: dict[str, Any] | None, seed: int) -> tuple[float, float]:
    """Accuracy clean, and the mean under the unseen corruptions of the picture, of the exported file."""
    settings = recipe(path, corrupt, method, epochs=20, seed=seed)
    picture = {"kind": "image", "size": [9, 9, 1], "encoder": {"name": "conv", "channels": [4, 8]}}
    modality = {"vector": settings.modality["vector"], "picture": picture}
    run = train(settings.model_copy(update={"modality": modality}), path, path.parent / "runs", Nobody())
    assert export.export(run, run.model).parity_error() is None
    found, _ = evaluate(Session(run.model), read_manifest(path).split("test"), [Condition("clean"), *UNSEEN])
    clean, *noisy = [accuracy(records.probabilities, records.target) for records in found]
    return clean, float(np.mean(noisy))


@pytest.mark.slow
def test_guarded_withstands_what_it_never_saw_better_than_joint(tmp_path: Path) -> None:
    """Joint training leans on the picture, which breaks at test time in ways that training did not see."""
    path = planted(tmp_path / "data")
    joint = np.mean([scores(path, "joint", None, seed) for seed in (0, 1)], axis=0)
    guarded = np.mean([scores(path, "guarded", {"noise": SEEN}, seed) for seed in (0, 1)], axis=0)
    assert guarded[1] > joint[1] + 0.03
    assert guarded[0] > joint[0] - 0.03


@pytest.mark.parametrize("method", ["cal+guarded", "guarded+mce", "cal+guarded+mce"])
def test_chains_export_with_proof_and_the_file_answers_as_the_model(tmp_path: Path, method: str) -> None:
    path = manifest(tmp_path / "data", missing=0.2)
    run = train(recipe(path, None, method), path, tmp_path / "runs", Nobody())
    assert export.export(run, run.model).parity_error() is None
    assert "quality" in run.log_file.read_text()
    assert run.read_facts()["recipe"]["corrupt"]["probability"] == 0.5
