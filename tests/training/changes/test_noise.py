"""Training with noise: what is drawn, what it does to a batch, and that runs stay what they were, bit for bit."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from changed import fed_rows, full_table, recipe, small_split, weights
from worlds import SIX, Nobody, everything, manifest

from robustmm.conditions.condition import Condition, Noise, corrupt_signal
from robustmm.config.inputs import Corrupt
from robustmm.config.recipe import Recipe, build_recipe, load_recipe
from robustmm.config.toml import to_toml
from robustmm.corruptions import KINDS, kinds, list_families, names
from robustmm.data.loading import collate_signals, read_samples
from robustmm.data.manifest import read_manifest
from robustmm.data.storage.split import Split
from robustmm.errors import InterruptedRun, UsageError
from robustmm.evaluation.evaluate import evaluate
from robustmm.exporting import export
from robustmm.methods import build_method
from robustmm.metrics.classification import accuracy
from robustmm.modalities import Features, Image, Modality
from robustmm.runs import Run
from robustmm.runtime.session import Session
from robustmm.training.build import effective_recipe
from robustmm.training.changes.augmentation import TrainingAugmentation
from robustmm.training.changes.epoch import Changes
from robustmm.training.changes.noise import TrainingNoise, effective_noise
from robustmm.training.data import TrainingSplit, look_ahead
from robustmm.training.run import prepare_data, resume, train

CPU = torch.device("cpu")


def only_noise(split: Split, modalities: Sequence[Modality], noise: TrainingNoise) -> Changes:
    return Changes(split, modalities, TrainingAugmentation({}, modalities, 0), noise)


# What the recipe asks for


def test_without_a_table_nothing_is_corrupted_and_recipes_read_as_before(tmp_path: Path) -> None:
    plain = recipe(tmp_path, None)
    assert effective_recipe(plain).corrupt is None
    assert "corrupt" not in plain.model_dump()
    assert (
        prepare_data(effective_recipe(recipe(manifest(tmp_path / "d"), None)), *reading(tmp_path / "d")).changes is None
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


def several(tmp_path: Path, corrupt: dict[str, Any]) -> Recipe:
    """A recipe with a picture, a sound and a series."""
    kinds_of = {
        "picture": {"kind": "image", "size": [8, 8, 3]},
        "sound": {"kind": "audio", "rate": 8000, "seconds": 0.2},
        "series": {"kind": "series", "steps": 12, "channels": 2},
    }
    content = {"modality": kinds_of, "data": {}, "method": {"name": "joint"}, "corrupt": corrupt}
    return build_recipe(content, "world", "world")


def test_a_family_is_its_corruptions_on_each_kind(tmp_path: Path) -> None:
    """`noise` holds gaussian on pictures and sound; on series gaussian stands in another family, and is not meant."""
    own = several(tmp_path, {"noise": ["noise", "blur", "drift"], "level": [0.2, 0.6]})
    found = effective_recipe(own).corrupt
    assert found is not None
    assert isinstance(found.noise, dict)
    assert found.on == ("picture", "sound", "series")
    assert set(found.noise["picture"]) == {
        "gaussian", "impulse-noise", "salt-pepper", "shot-noise", "speckle-noise", "defocus-blur", "gaussian-blur",
        "glass-blur", "motion-blur", "zoom-blur",
    }  # fmt: skip
    assert {"gaussian", "babble", "wind"} < set(found.noise["sound"])
    assert found.noise["series"] == ("drift",)
    drawn = TrainingNoise(found, own.modalities[:2], 0)
    assert {c.name for c in drawn.choices["picture"]} == set(found.noise["picture"])
    assert {c.kind for c in drawn.choices["sound"]} == {"audio"}
    replayed = effective_recipe(own.model_copy(update={"corrupt": found}))
    assert replayed.corrupt == found
    assert build_recipe(tomllib.loads(to_toml(replayed.model_dump())), "again", "world").corrupt == found


def test_each_modality_may_have_a_list_of_its_own(tmp_path: Path) -> None:
    noise = {"picture": ["weather", "Gaussian_Noise".lower()], "sound": ["reverberation"], "series": []}
    found = effective_recipe(several(tmp_path, {"noise": noise})).corrupt
    assert found is not None
    assert isinstance(found.noise, dict)
    assert found.noise["picture"] == ("fog", "frost", "snow", "spatter", "gaussian")
    assert found.noise["sound"] == ("reverberation",)
    assert set(found.noise["series"]) == {name for name in names() if "series" in kinds(name)}, "none named: all"
    some = effective_recipe(several(tmp_path, {"noise": {"sound": ["device"]}, "on": ["sound"]})).corrupt
    assert some is not None
    assert some.on == ("sound",)


def test_every_corruption_is_in_one_family_of_its_kind() -> None:
    for kind in KINDS:
        members = [name for found in list_families(kind).values() for name in found]
        assert sorted(members) == sorted(name for name in names() if kind in kinds(name))
    assert set(list_families("image")) == {"blur", "camera", "digital", "noise", "qmf", "scene", "weather"}
    every = {family for kind in KINDS for family in list_families(kind)}
    assert every & set(names()) == {"delay"}, "a name means one thing; the family of delay is delay"


@pytest.mark.parametrize(
    ("corrupt", "sentence"),
    [
        ({"noise": ["blurr"]}, r'noise: "blurr" is not a corruption, did you mean "blur"\?'),
        ({"noise": ["characters"]}, r'noise: "characters" serves text; there is picture \(image\), sound'),
        ({"noise": {"sound": ["blur"]}}, r'noise: "blur" serves image, video; there is sound \(audio\)$'),
        ({"noise": {"sound": ["hum"]}, "on": ["series"]}, r'\[corrupt\] noise names "sound", which on leaves out'),
        ({"noise": ["blur"], "on": ["picture", "sound"]}, r'on: none of blur serves the modality "sound"'),
    ],
)
def test_a_family_that_cannot_be_meant_is_a_sentence(tmp_path: Path, corrupt: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        effective_recipe(several(tmp_path, corrupt))


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


def test_a_modality_without_a_unit_of_noise_is_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"noise on plain is in units of the training data, which are not known"):
        TrainingNoise(Corrupt(noise=("gaussian",), on=("plain",)), [Features(name="plain", length=20)], 0)


# What is drawn


def test_every_draw_is_of_seed_epoch_id_and_modality() -> None:
    noise = TrainingNoise(full_table(), SIX, 3)
    first = noise.draw(0, "s0", "image")
    assert first == noise.draw(0, "s0", "image")
    others = [noise.draw(1, "s0", "image"), noise.draw(0, "s1", "image"), noise.draw(0, "s0", "video")]
    others.append(TrainingNoise(full_table(), SIX, 4).draw(0, "s0", "image"))
    assert first not in others
    assert len({draw.seed for draw in others if draw}) == 4


def test_the_share_the_levels_and_the_choice_are_those_of_the_table() -> None:
    table = full_table(probability=0.3, level=(0.2, 0.6), noise=("gaussian", "blank", "fog"), on=("image", "audio"))
    noise = TrainingNoise(table, SIX, 0)
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


def test_a_higher_probability_corrupts_more_and_the_same_in_the_same_way() -> None:
    rare, often = (TrainingNoise(full_table(probability=p), SIX, 0) for p in (0.2, 0.7))
    ids = [f"s{i}" for i in range(200)]
    some = {sample: draw for sample in ids if (draw := rare.draw(0, sample, "series"))}
    assert 10 < len(some) < 80
    assert all(often.draw(0, sample, "series") == draw for sample, draw in some.items())


# What it does to a batch


@pytest.mark.parametrize("modality", SIX, ids=lambda m: m.kind)
def test_a_batch_holds_what_the_corruption_makes_of_the_canonical_signal(modality: Modality, tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    noise = TrainingNoise(full_table(), SIX, 0)
    inputs = {name: values.copy() for name, values in split.inputs.items()}
    only_noise(split, SIX, noise).apply(inputs, range(6), epoch=2)
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
    noise = TrainingNoise(full_table(noise=("white-balance",), on=("image",)), [modality], 0)
    inputs = {"image": split.inputs["image"].copy()}
    only_noise(split, [modality], noise).apply(inputs, [0], epoch=0)
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
    return fed_rows(recipe(path, corrupt), path, size, epoch)


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
    data = TrainingSplit(noisy.training, 3, CPU, changes=noisy.changes)
    rows = torch.arange(len(data))
    for name, values in plain.training.inputs.items():
        assert torch.equal(data.batch(rows).inputs[name], torch.from_numpy(values))
    part = data.select_modality(1, rows)
    assert part.changes is None
    assert data.changes is not None
    assert data.without_changes().changes is None


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
    joint, guarded = scores(path, "joint", None, 0), scores(path, "guarded", {"noise": SEEN}, 0)
    assert guarded[1] > joint[1] + 0.03
    assert guarded[0] > joint[0] - 0.03


def test_a_chain_exports_with_proof_and_the_file_answers_as_the_model(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data", missing=0.2)
    run = train(recipe(path, None, "cal+guarded+mce"), path, tmp_path / "runs", Nobody())
    assert export.export(run, run.model).parity_error() is None
    assert "quality" in run.log_file.read_text()
    assert run.read_facts()["recipe"]["corrupt"]["probability"] == 0.5
