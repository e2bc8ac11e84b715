"""Training with augmentation: what the recipe asks for, what is drawn, and that nothing else sees it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from changed import fed_rows, full_table, recipe, small_split
from worlds import SIX, Nobody, manifest

from robustmm.augmentations import AUGMENTATIONS, find_augmentation
from robustmm.conditions.condition import corrupt_signal
from robustmm.config.inputs import Corrupt
from robustmm.config.recipe import Recipe, load_recipe
from robustmm.corruptions import generator
from robustmm.data.manifest import read_manifest
from robustmm.errors import UsageError
from robustmm.modalities import Image, Modality, Signal
from robustmm.training.build import effective_recipe
from robustmm.training.changes.augmentation import TrainingAugmentation, effective_augmentation
from robustmm.training.changes.epoch import Changes, find_changed
from robustmm.training.changes.noise import TrainingNoise
from robustmm.training.data import TrainingSplit
from robustmm.training.run import prepare_data, train
from robustmm.training.teachers import Teachers

CPU = torch.device("cpu")
TWO = {"vector": {"dropout": 0.5}, "series": {"shift": 0.7, "jitter": {"probability": 1, "deviation": 0.2}}}


def augmented(path: Path, augment: Any, corrupt: dict[str, Any] | None = None, **train: object) -> Recipe:
    return recipe(path, corrupt, **train).model_copy(update={"augment": augment})


def everything_augmented(probability: float = 1.0) -> dict[str, Any]:
    """Every augmentation of each of the six kinds, written in the opposite order."""
    backwards = sorted(AUGMENTATIONS, reverse=True)
    return {m.name: {n: probability for n in backwards if m.kind in AUGMENTATIONS[n]} for m in SIX}


def changes(split: Any, modalities: Sequence[Modality], augment: Any, noise: Corrupt | None = None) -> Changes:
    seed = 0
    drawn = TrainingNoise(noise or Corrupt(), modalities, seed)
    return Changes(split, modalities, TrainingAugmentation(augment, modalities, seed), drawn)


# What the recipe asks for


def test_the_effective_table_names_every_option_and_is_replayed(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    run = train(augmented(path, TWO, epochs=1), path, tmp_path / "runs", Nobody())
    replayed = load_recipe(run.folder / "recipe.toml")
    assert replayed.augment == {
        "vector": {"dropout": {"probability": 0.5, "share": 0.1}},
        "series": {"shift": {"probability": 0.7, "most": 0.1}, "jitter": {"probability": 1.0, "deviation": 0.2}},
    }
    assert effective_recipe(replayed) == replayed
    assert run.read_facts()["recipe"]["augment"]["series"]["shift"] == {"probability": 0.7, "most": 0.1}


def test_recipes_without_augmentation_read_as_before(tmp_path: Path) -> None:
    plain = recipe(tmp_path, None)
    assert "augment" not in plain.model_dump()
    assert "augment" not in effective_recipe(plain).model_dump()
    assert find_changed(effective_recipe(augmented(tmp_path, {"series": {"shift": 0}}))) == []
    assert find_changed(effective_recipe(augmented(tmp_path, TWO))) == ["vector", "series"]


@pytest.mark.parametrize(
    ("augment", "sentences"),
    [
        ({"series": {"shft": 1}}, ['[augment.series] "shft" is not an augmentation, did you mean "shift"?']),
        ({"vector": {"shift": 1}}, ['[augment.vector] the augmentation "shift" does not serve features, only audio,']),
        (
            {
                "series": {"shift": {"probability": 1, "mots": 0.1}},
                "vector": {"jitter": {"probability": 1, "deviation": "a"}},
            },
            [
                '[augment.vector] augmentation "jitter", option deviation: input should be a valid number',
                '[augment.series] "mots" is not an option of augmentation "shift", did you mean "most"?',
            ],
        ),
        ({"series": {"nowhere:at": 1}}, ['[augment.series] the augmentation "nowhere:at" cannot be imported']),
    ],
)
def test_what_cannot_be_augmented_is_a_sentence_before_anything_is_read(
    tmp_path: Path, augment: dict[str, Any], sentences: list[str]
) -> None:
    with pytest.raises(UsageError) as error:
        train(augmented(tmp_path / "no.csv", augment), tmp_path / "no.csv", tmp_path / "runs", Nobody())
    found = str(error.value).split("\n")
    assert [line.startswith(told) for line, told in zip(found, sentences, strict=True)] == [True] * len(found), found
    assert not (tmp_path / "runs").exists()


# What is drawn


@pytest.mark.parametrize("modality", SIX, ids=lambda m: m.kind)
def test_each_draws_by_seed_epoch_id_and_modality_in_the_order_of_names(modality: Modality, tmp_path: Path) -> None:
    """Recomputed from the generators alone, one augmentation after another."""
    split, tables = small_split(SIX, tmp_path), everything_augmented(0.6)
    drawn = TrainingAugmentation(tables, SIX, seed=7)
    facts: dict[str, Any] = {"mean": getattr(modality, "mean", None), "std": getattr(modality, "std", None)}
    facts |= {"rate": 16_000} if modality.kind == "audio" else {}
    happened = 0
    for epoch in range(4):
        for row, signal in enumerate(split.signals[modality.name]):
            expected: Any = signal
            for name in sorted(tables[modality.name]):
                rng = generator(7, f"s{row}", modality.name, f"augmentation {name} epoch {epoch}")
                if rng.random() < 0.6:
                    happened += 1
                    expected = find_augmentation(name, modality.kind)(expected, rng, modality.kind, **facts)
            assert signal is not None
            found = drawn.augment(signal, f"s{row}", modality, epoch)
            np.testing.assert_array_equal(found, expected)
    assert 0.3 < happened / (24 * len(tables[modality.name])) < 0.85


def test_another_seed_epoch_id_or_modality_is_another_draw(tmp_path: Path) -> None:
    two = [Image(name=name, size=(24, 24, 3)) for name in ("left", "right")]
    tables: Any = {"left": {"colour": 1}, "right": {"colour": 1}}
    signal = small_split(SIX, tmp_path).signals["image"][0]
    assert signal is not None

    def one(seed: int = 0, sample: str = "s0", modality: int = 0, epoch: int = 0) -> bytes:
        made = TrainingAugmentation(tables, two, seed).augment(signal, sample, two[modality], epoch)
        return np.asarray(made).tobytes()

    assert one() == one()
    assert len({one(), one(seed=1), one(sample="s1"), one(modality=1), one(epoch=1)}) == 5


def test_one_more_augmentation_changes_no_other_draw_nor_does_a_higher_probability(tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    picture, signal = SIX[0], split.signals["image"][0]
    assert signal is not None
    few, more = (
        TrainingAugmentation({"image": table}, SIX, 0)
        for table in ({"horizontal-flip": 0.5}, {"horizontal-flip": 0.8, "colour": 1e-12})
    )
    kept = 0
    for i in range(100):
        a, b = (np.asarray(each.augment(signal, f"s{i}", picture, 0)) for each in (few, more))
        flipped = not np.array_equal(a, np.asarray(signal))
        kept += flipped
        assert not flipped or np.array_equal(a, b)
    assert 35 < kept < 65


def test_augmentation_comes_before_noise_and_the_split_stays(tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    before = {name: values[:].copy() for name, values in split.inputs.items()}
    made = changes(split, SIX, everything_augmented(), full_table())
    inputs = {name: values[:].copy() for name, values in split.inputs.items()}
    made.apply(inputs, range(6), epoch=2)
    for modality in SIX:
        for row, signal in enumerate(split.signals[modality.name]):
            assert signal is not None
            draw = made.noise.draw(2, f"s{row}", modality.name)
            assert draw is not None
            first = made.augmentation.augment(signal, f"s{row}", modality, 2)
            then: Signal = corrupt_signal(first, draw.corruption, draw.level, draw.seed, f"s{row}", modality)
            np.testing.assert_array_equal(inputs[modality.name][row], modality.feed(then))
        np.testing.assert_array_equal(split.inputs[modality.name], before[modality.name])
        assert not np.array_equal(inputs[modality.name], before[modality.name])


def test_what_does_not_happen_leaves_the_very_signal(tmp_path: Path) -> None:
    signal = small_split(SIX, tmp_path).signals["audio"][0]
    assert signal is not None
    never = TrainingAugmentation(everything_augmented(0), SIX, 0)
    assert never.choices == {}
    assert never.augment(signal, "s0", SIX[2], 0) is signal


def batches(path: Path, size: int, epoch: int) -> dict[int, list[bytes]]:
    return fed_rows(augmented(path, TWO), path, size, epoch)


def test_nothing_depends_on_the_batch_or_the_order_and_every_epoch_is_new(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data", missing=0.2)
    one = batches(path, 1, 4)
    assert one == batches(path, 7, 4) == batches(path, 64, 4)
    other = batches(path, 7, 5)
    assert np.mean([one[row][1] != other[row][1] for row in one]) > 0.7


def test_valid_and_what_teachers_and_the_first_steps_read_stay_as_they_are(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    plain, changed = (
        prepare_data(effective_recipe(augmented(path, tables)), read_manifest(path), Nobody(), "error")
        for tables in ({}, TWO)
    )
    assert plain.digests == changed.digests
    data = TrainingSplit(changed.training, 3, CPU, changes=changed.changes)
    rows = torch.arange(len(data))
    for name, values in plain.training.inputs.items():
        assert torch.equal(data.batch(rows).inputs[name], torch.from_numpy(values[:]))
        assert torch.equal(torch.cat([b.inputs[name] for b in data.samples()]), torch.from_numpy(values[:]))
    assert data.select_modality(1, rows).changes is None


def test_teachers_are_found_again_with_augmentation_and_without(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    prepared = prepare_data(effective_recipe(augmented(path, TWO)), read_manifest(path), Nobody(), "error")
    valid = TrainingSplit(prepared.valid, 3, CPU)
    recipes = [effective_recipe(augmented(path, tables)) for tables in ({}, TWO)]
    found = [Teachers(each, prepared.modalities, valid, Nobody(), prepared.digests) for each in recipes]
    assert found[0]._key() == found[1]._key()


def test_a_text_is_augmented_before_its_tokens_are_made(tmp_path: Path) -> None:
    split = small_split(SIX, tmp_path)
    inputs = {name: values[:].copy() for name, values in split.inputs.items()}
    changes(split, SIX, {"text": {"token-dropout": {"probability": 1, "share": 0.5}}}).apply(inputs, range(6), 0)
    words = [(np.asarray(ids) != 0).sum() for ids in inputs["text"]]
    clean = [(np.asarray(ids) != 0).sum() for ids in split.inputs["text"]]
    assert all(0 < few < many for few, many in zip(words, clean, strict=True))


def test_ones_own_augmentation_is_named_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_augmentation.py").write_text(
        "from robustmm.augmentations import augmentation\n\n\n"
        '@augmentation("halve", "series")\ndef halve(x, rng, *, times: int = 1):\n    return x / 2**times\n'
    )
    monkeypatch.setattr(AUGMENTATIONS, "_entries", dict(AUGMENTATIONS._entries))
    monkeypatch.syspath_prepend(tmp_path)
    tables: Any = {"series": {"own_augmentation:halve": 1}}
    assert effective_augmentation(augmented(tmp_path, tables)) == {
        "series": {"own_augmentation:halve": {"probability": 1.0, "times": 1}}
    }
    x = np.ones((40, 3), np.float32)
    unit = SIX[4].model_copy(update={"mean": (0.0,) * 3, "std": (1.0,) * 3})
    drawn = TrainingAugmentation(tables, [unit], 0)
    np.testing.assert_array_equal(drawn.augment(x, "s", unit, 0), x / 2)
