import re
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import SIX, MeanSession, everything

from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.suite import is_suite, load_suite
from robustmm.config import shelf
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError
from robustmm.evaluation.evaluate import evaluate
from robustmm.modalities import Audio, Image, Modality, Text

TWO = [Audio(name="audio", rate=8000, seconds=1), Image(name="image", size=(8, 8, 3))]
THREE = [*TWO, Text(name="text")]


def conditions_of(folder: Path, toml: str, modalities: list[Modality]) -> list[Condition]:
    (folder / "s.toml").write_text(toml)
    return load_suite(folder / "s.toml").conditions(modalities)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return everything(tmp_path_factory.mktemp("six"))


@pytest.mark.parametrize(
    "name", sorted({*shelf.list_names("attacks")} - {"factorial", "search"})
)  # see test_suite_cross
def test_every_shipped_suite_runs_on_every_kind(name: str, six: Manifest) -> None:
    """Each condition changes what it says it touches, or what is present; none changes the clean records."""
    session: Any = MeanSession()
    conditions = load_suite(shelf.find_file("attacks", name)).conditions(session.modalities)
    (clean, *records), _ = evaluate(session, six, [Condition("clean"), *conditions])
    assert len(records) == len(conditions) > 0
    for condition, found in zip(conditions, records, strict=True):
        assert np.isfinite(found.probabilities).all()
        if condition.noises and all(n.probability == 1 and n.level == 1 for n in condition.noises):
            assert found.untouched < len(six), condition.name  # weak ones may corrupt none of so few and short signals
        lost = condition.present and len(condition.present) < 6
        assert bool(lost) == (not np.array_equal(found.present, clean.present)) or condition.missing


@pytest.mark.parametrize("name", shelf.list_names("attacks"))
def test_a_shipped_suite_names_its_source(name: str) -> None:
    first = shelf.read_text(shelf.find_file("attacks", name)).splitlines()[0]
    assert re.match(r"# \S.{40,}", first)


def test_the_named_suites_are_there() -> None:
    assert set(shelf.list_names("attacks")) >= {
        *("quick", "common", "imagenet-c", "speech", "text", "sensors", "missing", "imbalanced-missing"),
        *("qmf", "qmf-exact", "rgbd-missing", "deployment"),
    }


def test_imagenet_c_is_fifteen_at_five_levels_on_images_only() -> None:
    found = load_suite(shelf.find_file("attacks", "imagenet-c")).conditions(SIX)
    assert len(found) == 75
    assert {c.noises[0].on for c in found} == {("image",)}
    assert len({c.noises[0].name for c in found}) == 15
    assert {c.noises[0].level for c in found} == {0.2, 0.4, 0.6, 0.8, 1.0}


def test_qmf_strikes_each_modality_with_a_half_and_its_epsilons_are_the_papers() -> None:
    found = {c.name: c for c in load_suite(shelf.find_file("attacks", "qmf")).conditions([TWO[1], THREE[2]])}
    modalities = [TWO[1], THREE[2]]
    for epsilon in (5, 10):
        image, text = found[f"gaussian, epsilon {epsilon}"].resolve_steps(modalities)
        assert image.strength("image")[0] == 10 * epsilon
        assert text.strength("text")[0] == epsilon / 10
        assert (image.probability, text.probability) == (0.5, 0.5)
        salt = found[f"salt and pepper, epsilon {epsilon}"].resolve_steps(modalities)[0]
        assert salt.strength("image")[0] == pytest.approx(0.1)
        assert salt.probability == 0.5 * epsilon / 10
        assert (
            found[f"gaussian on NYUD2, epsilon {epsilon}"].resolve_steps(modalities)[0].strength("image")[0] == epsilon
        )
    exact = {c.name: c for c in load_suite(shelf.find_file("attacks", "qmf-exact")).conditions(modalities)}
    for epsilon in (5, 10):
        salt = exact[f"salt and pepper, epsilon {epsilon}"].resolve_steps(modalities)[0]
        assert salt.probability == pytest.approx(0.5 * epsilon / 100)
        assert exact[f"gaussian, epsilon {epsilon}"].noises[0].name == "qmf-gaussian-exact"


def test_the_missing_suites_hold_what_the_papers_report() -> None:
    three = SIX[:3]
    seven = load_suite(shelf.find_file("attacks", "rgbd-missing")).conditions(three)
    assert len({c.present for c in seven}) == 7
    imbalanced = load_suite(shelf.find_file("attacks", "imbalanced-missing")).conditions(three)
    rates = [tuple(c.missing.values()) for c in imbalanced if c.missing]
    assert sorted(rates) == sorted(permutations((0.2, 0.5, 0.8)))
    rising = [c for c in load_suite(shelf.find_file("attacks", "missing")).conditions(three) if c.missing]
    assert [set(c.missing.values()) for c in rising] == [{round(0.1 * i, 1)} for i in range(10)]


def test_missing_star_means_every_modality_not_named(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[[condition]]\nname = "x"\nmissing = { "*" = 0.3, audio = 0.1 }\n')
    (condition,) = load_suite(path).conditions(TWO)
    assert condition.missing == {"audio": 0.1, "image": 0.3}
    (condition,) = conditions_of(tmp_path, '[[condition]]\nname = "x"\nmissing = { audio = 0.1, adio = 0.2 }\n', TWO)
    with pytest.raises(UsageError, match='no modality "adio", did you mean "audio"'):
        condition.resolve_steps(TWO)


def test_a_condition_carries_all_it_says(tmp_path: Path) -> None:
    toml = """[[condition]]
name = "full"
present = ["image", "text"]
burst = 3
table = "mask.csv"
fill = "stale"
noise = [{ name = "salt-pepper", level = 0.4, probability = 0.25, on = ["image"] },
         { name = "stale", level = 1, options = { age = 5 } }]
[[condition]]
name = "empty"
"""
    full, empty = conditions_of(tmp_path, toml, THREE)
    noises = (Noise("salt-pepper", 0.4, ("image",), 0.25), Noise("stale", 1.0, (), 1.0, {"age": 5}))
    assert full == Condition("full", noises, {}, ("image", "text"), 3, "mask.csv", "stale")
    assert empty == Condition("empty")


def test_a_noise_of_some_kinds_strikes_these_and_an_optional_one_may_have_none(tmp_path: Path) -> None:
    toml = """[[condition]]
name = "mixed"
noise = [{ name = "gaussian", level = 1, kind = ["image"], optional = true },
         { name = "blank", level = 1, kind = ["audio", "text"], optional = true },
         { name = "blank", level = 1, kind = ["audio", "text"], on = ["text"] },
         { name = "gaussian", level = 1 }]
[[condition]]
name = "pictures"
noise = [{ name = "salt-pepper", level = 1, optional = true }]
[[condition]]
name = "missing"
missing = { "*" = 0.5 }
"""
    mixed, pictures, missing = conditions_of(tmp_path, toml, THREE)
    assert [noise.on for noise in mixed.noises] == [("image",), ("audio", "text"), ("text",), ()]
    assert pictures.noises == (Noise("salt-pepper", 1.0),)
    assert not missing.noises
    without, none = conditions_of(tmp_path, toml, TWO[:1])
    assert [(noise.name, noise.on) for noise in without.noises] == [
        ("blank", ("audio",)),
        ("blank", ("text",)),
        ("gaussian", ()),
    ]
    assert none.name == "missing"
    needed = conditions_of(tmp_path, toml.replace("1, optional = true }]", "1 }]"), TWO[:1])
    assert [c.name for c in needed] == ["mixed", "pictures", "missing"]
    with pytest.raises(UsageError, match='"salt-pepper" serves features, image, series, video; the model has audio'):
        needed[1].resolve_steps(TWO[:1])


def test_conditions_come_before_grids_and_patterns_and_the_first_of_a_name_counts(tmp_path: Path) -> None:
    toml = """[[missing]]
rate = [0.1, 0.1]
[[grid]]
noise = ["stale"]
level = [0.5, 1]
[[condition]]
name = "stale 1"
noise = [{ name = "stale", level = 1, options = { age = 7 } }]
"""
    found = conditions_of(tmp_path, toml, TWO)
    assert [c.name for c in found] == ["stale 1", "stale 0.5", "missing 0.1"]
    assert [c.noises[0].options for c in found[:2]] == [{"age": 7}, {}]


def test_a_suite_is_told_by_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for text, expected in (
        ("[[grid]]\nnoise = []\n", True),
        ("[[missing]]\nrate = [1]\n[oddity]\nx = 1\n", True),
        ('[data]\nmanifest = "m.csv"\n', False),
        ("", False),
        ("[[grid", False),
    ):
        path.write_text(text)
        assert is_suite(path) == expected
    assert not is_suite(tmp_path / "none.toml")


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        '[[condition]]\nname = "x"\nnoise = [{ name = "gaussian", level = 2 }]\nmising = 1\n'
        "[[condition]]\nmissing = {a = 7}\n"
    )
    with pytest.raises(UsageError) as caught:
        load_suite(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{n}" for n in (3, 4, 5, 6)]
    assert any(("level" in line and line.endswith("found 2.0")) or line.endswith("found 2") for line in lines)
    assert any('"mising" is not a key' in line for line in lines)
    path.write_text(
        '[[condition]]\nname = "x"\nnoise = [{ name = "gausian", level = 0.2 }]\n[[condition]]\nname = "x"\n'
    )
    with pytest.raises(UsageError, match=r'two conditions are called "x"\n.*did you mean "gaussian"'):
        load_suite(path)


def test_errors_are_in_the_files_order(tmp_path: Path) -> None:
    toml = "[[missing]]\nrate = [2]\n[[grid]]\nnoise = []\n[[condition]]\nname = 1\n"
    with pytest.raises(UsageError) as caught:
        conditions_of(tmp_path, toml, TWO)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["2", "4", "6"]


def test_a_suite_without_conditions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("")
    with pytest.raises(UsageError, match=r"one of \[\[condition\]\], \[\[grid\]\].* should be given, found none"):
        load_suite(path)


def test_a_grid_is_every_noise_at_every_level_on_each_modality_it_serves(tmp_path: Path) -> None:
    toml = '[[grid]]\nnoise = ["gaussian", "salt-pepper", "blank"]\nlevel = [0.2, 1]\nprobability = 0.5\n'
    found = conditions_of(tmp_path, toml, THREE)
    assert [c.name.removesuffix(", met by 0.5") for c in found] == [
        *("gaussian 0.2 on audio", "gaussian 1 on audio", "gaussian 0.2 on image", "gaussian 1 on image"),
        *("salt-pepper 0.2 on image", "salt-pepper 1 on image", "blank 0.2 on audio", "blank 1 on audio"),
        *("blank 0.2 on image", "blank 1 on image", "blank 0.2 on text", "blank 1 on text"),
    ]
    assert found[1].noises == (Noise("gaussian", 1.0, ("audio",), 0.5),)
    at_once = conditions_of(tmp_path, toml + 'on = "all"\n', THREE)
    assert [(c.name.removesuffix(", met by 0.5"), c.noises[0].on) for c in at_once if c.noises[0].level == 1] == [
        ("gaussian 1", ("audio", "image")),
        ("salt-pepper 1", ("image",)),
        ("blank 1", ("audio", "image", "text")),
    ]
    only = conditions_of(tmp_path, toml + 'kind = ["image"]\n', THREE)
    assert {c.noises[0].on for c in only} == {("image",)}


def test_a_grid_has_five_levels_and_takes_whole_samples_once(tmp_path: Path) -> None:
    found = conditions_of(tmp_path, '[[grid]]\nnoise = ["stale"]\noptions = { age = 3 }\n', TWO)
    assert {c.noises[0].options["age"] for c in found} == {3}
    assert [(c.name, c.noises[0].on) for c in found] == [
        (f"stale {level}, age 3", ("audio", "image")) for level in ("0.2", "0.4", "0.6", "0.8", "1")
    ]


def test_what_serves_no_modality_is_left_out_and_all_of_it_is_refused(tmp_path: Path) -> None:
    toml = '[[grid]]\nnoise = ["salt-pepper", "gaussian"]\nlevel = [1]\n'
    assert [c.name for c in conditions_of(tmp_path, toml, TWO[:1])] == ["gaussian 1 on audio"]
    for noises in (toml, '[[grid]]\nnoise = ["desynchronise"]\n', '[[grid]]\nnoise = ["gaussian"]\non = "all"\n'):
        with pytest.raises(UsageError, match="none of the suite's conditions serves text"):
            conditions_of(tmp_path, noises, THREE[2:])


@pytest.mark.parametrize(
    ("subsets", "kept"),
    [
        ("only", ["audio", "image", "text"]),
        ("all-but", ["image+text", "audio+text", "audio+image"]),
        ("all", ["audio", "image", "text", "audio+image", "audio+text", "image+text", "audio+image+text"]),
    ],
)
def test_subsets(tmp_path: Path, subsets: str, kept: list[str]) -> None:
    found = conditions_of(tmp_path, f'[[missing]]\nsubsets = "{subsets}"\n', THREE)
    assert [c.name for c in found] == [f"with {some}" for some in kept]
    assert ["+".join(c.present) for c in found] == kept
    assert {c.fill for c in found} == {"masked"}
    (single, *more) = conditions_of(tmp_path, f'[[missing]]\nsubsets = "{subsets}"\nfill = "zero"\n', TWO[:1])
    assert (single.name, single.present, single.fill, more) == ("with audio, filled with zeros", ("audio",), "zero", [])


def test_all_subsets_are_of_eight_modalities_at_most(tmp_path: Path) -> None:
    toml = '[[missing]]\nsubsets = "all"\n'
    assert len(conditions_of(tmp_path, toml, [Text(name=f"t{i}") for i in range(8)])) == 255
    with pytest.raises(UsageError, match=r'subsets = "all" takes up to 8 modalities, found 9'):
        conditions_of(tmp_path, toml, [Text(name=f"t{i}") for i in range(9)])


def test_rates_shared_and_apart(tmp_path: Path) -> None:
    toml = "[[missing]]\nrate = [0.3]\n"
    assert [(c.name, c.missing) for c in conditions_of(tmp_path, toml, TWO)] == [
        ("missing 0.3", {"audio": 0.3, "image": 0.3})
    ]
    found = conditions_of(tmp_path, toml + 'on = "each"\nburst = 5\nfill = "zero"\n', TWO)
    assert [(c.name, c.missing, c.burst, c.fill) for c in found] == [
        (f"missing {m} 0.3 in bursts of 5, filled with zeros", {m: 0.3}, 5, "zero") for m in ("audio", "image")
    ]


def test_imbalanced_rates_in_every_order(tmp_path: Path) -> None:
    toml = "[[missing]]\nimbalanced = [0.2, 0.5, 0.8]\n"
    three = conditions_of(tmp_path, toml, THREE)
    assert len({tuple(c.missing.values()) for c in three}) == len(three) == 6
    assert all(sorted(c.missing.values()) == [0.2, 0.5, 0.8] for c in three)
    assert [c.name for c in conditions_of(tmp_path, toml, TWO)] == ["missing 0.2/0.8", "missing 0.8/0.2"]
    five = [Text(name=f"t{i}") for i in range(5)]
    rates = (0.2, 0.35, 0.5, 0.65, 0.8)
    assert [tuple(c.missing.values()) for c in conditions_of(tmp_path, toml, five)] == [
        (*rates[i:], *rates[:i]) for i in range(5)
    ]
    thirds = conditions_of(tmp_path, '[[missing]]\nimbalanced = [0, 1]\nburst = 2\nfill = "stale"\n', five[:4])
    assert sorted(tuple(c.missing.values()) for c in thirds) == sorted(permutations((0.0, 0.333, 0.667, 1.0)))
    assert {(c.burst, c.fill) for c in thirds} == {(2, "stale")}
    assert thirds[0].name == "missing 0/0.333/0.667/1 in bursts of 2, filled with the last value"
    assert len(conditions_of(tmp_path, "[[missing]]\nimbalanced = [0.2, 0.2, 0.8]\n", THREE)) == 3


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('[[missing]]\nsubsets = "al"\n', r":2: \[missing\[0\]\] subsets: .*found 'al'"),
        ("[[missing]]\n", "should hold one of subsets, rate and imbalanced"),
        ('[[missing]]\nsubsets = "all"\nrate = [0.1]\n', "should hold one of"),
        ("[[grid]]\nnoise = []\n", ":2: .*noise"),
        ('[[grid]]\nnoise = ["gausian"]\n', ':2: "gausian" is not a corruption, did you mean "gaussian"'),
        ('[[grid]]\nnoise = ["stalle"]\n', 'did you mean "stale"'),
        ('[[grid]]\nnoise = ["blank"]\nkind = ["pictures"]\n', '"pictures" is not a kind'),
        ('[[grid]]\nnoise = ["low-pass"]\nkind = ["image"]\n', ':2: "low-pass" serves audio, not image'),
        ('[[grid]]\nnoise = ["stale"]\noptions = { ages = 2 }\n', '"ages" is not an option of corruption "stale"'),
        ('[[grid]]\nnoise = ["stale"]\noptions = { age = "x" }\n', "option age: .*found 'x'"),
        ('[[grid]]\nnoise = ["gaussian"]\noptions = { x = 1 }\n', '"x" is not an option of corruption "gaussian"'),
        ('[[grid]]\nnoise = ["blank"]\nprobability = 1.5\n', ":3: .*probability.*found 1.5"),
        (
            '[[condition]]\nname = "x"\nnoise = [{ name = "blank", level = 1, probability = -1 }]\n',
            ":3: .*probability.*found -1",
        ),
        (
            '[[condition]]\nname = "x"\nnoise = [{ name = "stale", level = 1, options = { ages = 2 } }]\n',
            ':3: condition "x": "ages" is not an option of corruption "stale"',
        ),
        ('# a\n[[condition]]\nname = "x"\nmissing = { audio = 2 }\n', ":4: .*found 2"),
    ],
)
def test_each_error_has_its_line(tmp_path: Path, toml: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        conditions_of(tmp_path, toml, TWO)


def test_grids_that_differ_in_options_or_probability_keep_their_conditions(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    grid = '[[grid]]\nnoise = ["stale"]\nlevel = [1.0]\n'
    path.write_text(f"{grid}{grid}options = {{ age = 9 }}\n{grid}probability = 0.5\n")
    found = load_suite(path).conditions(SIX)
    assert [c.name for c in found] == ["stale 1", "stale 1, age 9", "stale 1, met by 0.5"]


@pytest.mark.parametrize(
    ("noise", "sentence"),
    [
        ('kind = ["pictures"]', '"pictures" is not a kind'),
        ('kind = ["image"]', "gaussian on image serves no modality of the model (features: features)"),
    ],
)
def test_a_condition_never_strikes_what_it_was_not_meant_for(tmp_path: Path, noise: str, sentence: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f'[[condition]]\nname = "c"\nnoise = [{{ name = "gaussian", level = 1.0, {noise} }}]\n')
    with pytest.raises(UsageError) as error:
        load_suite(path).conditions(SIX[5:])
    assert sentence in str(error.value)
