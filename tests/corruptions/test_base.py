"""The contract of design §7, over the whole registry: a new corruption is held to it by being registered."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from signals import natural, statistics, voice

from robustmm.corruptions import KINDS, corrupt, find_corruption, generator, kinds, names

NESTED = {"gaussian", "salt-pepper", "blank"}
"""Corruptions whose every element is damaged no less at a higher level; of the others only the whole is."""
DETERMINISTIC = {
    "band-pass",
    "bit-depth",
    "brightness",
    "chromatic-aberration",
    "clipping",
    "contrast",
    "dc-offset",
    "defocus-blur",
    "delay",
    "downscale",
    "echo",
    "frame-rate-loss",
    "freeze",
    "gain-loss",
    "gaussian-blur",
    "high-pass",
    "jpeg-compression",
    "long-exposure",
    "low-pass",
    "mp3",
    "offset",
    "opus",
    "over-exposure",
    "overdrive",
    "pixelate",
    "posterize",
    "pumping",
    "qmf-gaussian-exact",
    "quantisation",
    "resampling",
    "saturate",
    "smoothing",
    "tilt",
    "truncation-text",
    "under-exposure",
    "video-compression",
    "vignetting",
    "vorbis",
    "white-balance",
    "wrong-scale",
    "zoom-blur",
}
"""Corruptions that draw nothing: every sample meets the same."""
FEW = {"numbers-to-words"}
"""Corruptions with few places to strike, so that two samples may meet the same."""
MOVING = {"delay"}
"""Corruptions that move a signal in time: their damage is how far (a mean square only knows that it moved)."""
LITERATURE = {"elastic-transform", "glass-blur", "saturate", "snow"}
"""Where ImageNet-C's own tables are not monotone (hendrycks/robustness#10; glass-blur at 32 px)."""
CORRUPTIONS = [find_corruption(name, kind) for name in names() for kind in kinds(name)]
every_corruption = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: f"{c.name}-{c.kind}")
RNG = np.random.default_rng(0)


def sound(length):
    return (0.4 * np.sin(np.arange(length) / 7)).astype(np.float32)


def pixels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def normals(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


NAN, INF = np.nan, np.inf


def floats(*rows):
    return np.array(rows, np.float32)


ODD = {
    "image": [pixels(*s) for s in [(1, 1, 3), (1, 1, 1), (28, 28, 1), (33, 7, 4), (1, 40, 3), (0, 5, 3), (32, 32, 3)]],
    "video": [pixels(*s) for s in [(1, 1, 1, 1), (1, 9, 9, 3), (4, 16, 12, 3), (0, 4, 4, 3), (2, 5, 30, 4)]],
    "audio": [
        *(sound(8000), sound(19), sound(1), floats(0.5), floats()),
        *(floats(*[0] * 100), floats(*[1] * 50), floats(*[1e-40] * 9)),  # silence, full scale, denormal
    ],
    "text": [
        *("", " ", "one", "a b\tc\n\n d ", "_ __", "\ud800 x", "🙂 👩‍👩‍👧 ok"),
        *("שלום עולם", "مرحبا بالعالم", "我喜歡貓。 です", "हिन्दी भाषा"),
    ],
    "series": [
        *(normals(40, 3), normals(1, 1), normals(3, 0), normals(0, 3), floats([7, 7], [7, 7], [7, 7])),
        *(floats([NAN, 1], [2, INF], [3, 4]), np.full((4, 2), NAN)),
    ],
    "features": [
        *(normals(50), normals(1), normals(0), floats(0, 0, 0), np.array([NAN, 1, -INF, 2, -0.0])),
        *(floats(3.4e38, -3.4e38, 0), np.full(3, NAN)),
    ],
}
numbers = st.floats(width=32)
SIGNALS = {
    "image": arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3, 4]))),
    "video": arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.just(3))),
    "audio": arrays(np.float32, st.integers(1, 60), elements=st.floats(-1, 1, width=32)),
    "text": st.text(max_size=40),
    "series": arrays(np.float32, st.tuples(st.integers(1, 25), st.integers(1, 3)), elements=numbers),
    "features": arrays(np.float32, st.integers(1, 30), elements=numbers),
}
levels = st.floats(0, 1)


def digest(x):
    raw = x.encode("utf-8", "surrogatepass") if isinstance(x, str) else x.tobytes() + repr((x.shape, x.dtype)).encode()
    return hashlib.sha256(raw).hexdigest()


def run(corruption, x, level, seed=0, **facts):
    facts = statistics(corruption.kind, x) | facts
    return corrupt(x, corruption, level, seed=seed, sample_id="s1", modality="m", **facts)


def damage(x, y):
    """Per element; for text the edit distance."""
    if not isinstance(x, str):
        finite = np.isfinite(x)
        return np.abs(y[finite].astype(np.float64) - x[finite].astype(np.float64))
    places = np.arange(len(y) + 1)
    other, row = np.array([ord(c) for c in y], np.int64), places.copy()
    for i, a in enumerate(x, start=1):  # Levenshtein's recurrence; insertions are a running minimum
        row[1:] = np.minimum(row[1:] + 1, row[:-1] + (other != ord(a)))
        row[0] = i
        row = np.minimum.accumulate(row - places) + places
    return row[-1]


def hold_the_contract(corruption, x, low, high, seed):
    before = digest(x)
    assert digest(run(corruption, x, 0, seed)) == before
    mild, harsh = run(corruption, x, low, seed), run(corruption, x, high, seed)
    assert digest(x) == before, "the input was written to"
    assert digest(run(corruption, x, high, seed)) == digest(harsh), "two runs differ"
    assert type(harsh) is type(x)
    if not isinstance(x, str):
        assert (harsh.shape, harsh.dtype) == (x.shape, x.dtype)
        np.testing.assert_array_equal(np.isfinite(harsh), np.isfinite(x))
    if corruption.kind == "audio":
        assert np.abs(harsh).max(initial=0) <= 1
    if corruption.name in NESTED:
        assert (damage(x, mild) <= damage(x, harsh)).all()


@every_corruption
def test_contract_on_odd_signals(corruption):
    for x in ODD[corruption.kind]:
        for low, high in [(0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1), (0.01, 0.95)]:
            hold_the_contract(corruption, x, low, high, seed=3)


@every_corruption
def test_contract_on_any_signal(corruption):
    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(SIGNALS[corruption.kind], levels, levels, st.integers(0, 2**63))
    def check(x, one, other, seed):
        hold_the_contract(corruption, x, min(one, other), max(one, other), seed)

    check()


def distance(x, y, moves=False):
    """How far two signals are apart: mean square, for text the edit distance; for what moves, how far the energy of the
    one is to be carried along time to give the other's (Wasserstein)."""
    if isinstance(x, str):
        return float(damage(x, y))
    if moves:
        energy = [np.square(a - x[:1].mean(0), dtype=np.float64).reshape(len(a), -1).sum(1) for a in (x, y)]
        first, second = (np.cumsum(e) / e.sum() for e in energy)
        return float(np.abs(first - second).mean())
    return float(np.mean(damage(x, y) ** 2))


@every_corruption
def test_every_severity_does_damage_and_no_less_than_the_one_before(corruption):
    x = [natural(corruption.kind, seed) for seed in range(8)]

    def total(level):
        moves = corruption.name in MOVING
        return sum(distance(a, run(corruption, a, level, seed), moves) for seed, a in enumerate(x))

    found = [total(severity / 5) for severity in range(6)]
    assert found[0] == 0
    assert min(found[1:]) > 0
    if corruption.monotone:
        assert all(harsh >= 0.97 * mild for mild, harsh in pairwise(found)), found
        assert found[5] > 1.2 * found[1]


def test_only_what_the_literature_itself_left_so_is_not_monotone():
    assert {c.name for c in CORRUPTIONS if not c.monotone} <= LITERATURE


@every_corruption
def test_a_read_only_input_will_do_and_the_result_can_be_written_to(corruption):
    x = natural(corruption.kind)
    if isinstance(x, str):
        return
    x.flags.writeable = False
    assert run(corruption, x, 1).flags.writeable


@every_corruption
def test_views_and_other_memory_layouts_give_the_same_bytes(corruption):
    x = natural(corruption.kind)
    if isinstance(x, str):
        return
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        np.testing.assert_array_equal(run(corruption, other, 0.6), run(corruption, x, 0.6))


@every_corruption
def test_samples_modalities_and_seeds_have_noise_of_their_own_in_any_order(corruption):
    x = natural(corruption.kind)
    own = statistics(corruption.kind, x)
    keys = [(seed, sample, modality) for seed in (0, 1) for sample in ("a", "b") for modality in ("m", "n")]

    def bytes_of(order):
        return {k: digest(corrupt(x, corruption, 0.9, seed=k[0], sample_id=k[1], modality=k[2], **own)) for k in order}

    assert bytes_of(keys) == bytes_of(keys[::-1])
    found = len(set(bytes_of(keys).values()))
    if corruption.name in FEW:
        assert found > len(keys) / 2
    else:
        alike = {corruption.name, f"{corruption.name}-{corruption.kind}"} & DETERMINISTIC
        assert found == (1 if alike else len(keys))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_side_by_side_give_the_bytes_of_one_after_the_other(kind):
    """Nothing is kept between samples: no global generator, no cache that another thread writes to."""
    x = natural(kind, 1)
    jobs = [(c, f"s{i}") for i in range(3) for c in CORRUPTIONS if c.kind == kind]

    def work(job):
        return digest(corrupt(x, job[0], 0.7, seed=1, sample_id=job[1], modality="m", **statistics(kind, x)))

    alone = [work(job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, jobs)) == alone


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("corruption", [c for c in CORRUPTIONS if c.kind == "audio"], ids=lambda c: c.name)
def test_audio_runs_at_every_rate(corruption, rate):
    """AVRobustBench's low-pass crashes where its cut-off passes the Nyquist frequency."""
    x = voice(0.3, rate)
    harsh = [run(corruption, x, severity / 5, rate=rate) for severity in range(1, 6)]
    assert all(y.shape == x.shape and np.isfinite(y).all() for y in harsh)
    assert not np.array_equal(harsh[-1], x)


SCRIPT = """
import hashlib
import numpy as np
from robustmm.corruptions import corrupt, find_corruption, kinds, names
x = dict(image=np.full((9, 9, 3), 90, "u1"), video=np.full((2, 9, 9, 3), 90, "u1"), text="a b c d e f g h",
         audio=np.linspace(-1, 1, 99, dtype="f4"), features=np.arange(9, dtype="f4"),
         series=np.arange(90, dtype="f4").reshape(45, 2))
h = hashlib.sha256()
for name in names():
    for kind in kinds(name):
        own = {key: np.ones(x[kind].shape[-1:]) for key in ("mean", "std")} if kind in ("series", "features") else {}
        y = corrupt(x[kind], find_corruption(name, kind), 0.7, seed=5, sample_id="é", modality="m", **own)
        h.update(y.encode() if kind == "text" else y.tobytes())
print(h.hexdigest())
"""


def test_two_fresh_processes_give_the_same_bytes():
    first, second = (
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment)
        for environment in ({**os.environ, "PYTHONHASHSEED": salt} for salt in "12")
    )
    assert first.stdout == second.stdout
    assert len(first.stdout.strip()) == 64


def test_the_package_loads_nothing_that_few_corruptions_need():
    banned = ("torch", "onnx", "onnxruntime", "albumentations", "soundfile")
    code = f"import sys, robustmm.corruptions; print([m for m in {banned} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_generator_of_a_key_is_pinned():
    """Whoever changes the key changes every audit that was ever recorded."""
    assert generator(7, "row-1", "image", "gaussian").integers(2**32, size=3).tolist() == [
        3745140692,
        121280634,
        3214302670,
    ]


@example("a", "bc", "ab", "c")
@example('a", "b', "c", "a", 'b", "c')
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(*[st.text(max_size=4)] * 4)
def test_different_keys_have_different_generators(sample, modality, other_sample, other_modality):
    draw = generator(0, sample, modality, "x").integers(2**63)
    other = generator(0, other_sample, other_modality, "x").integers(2**63)
    assert (draw == other) == ((sample, modality) == (other_sample, other_modality))


def test_the_name_and_the_seed_are_part_of_the_key():
    draws = {generator(seed, "s", "m", name).integers(2**63) for seed in (0, 1, -1) for name in ("a", "b")}
    assert len(draws) == 6


def test_every_kind_is_served():
    assert {c.kind for c in CORRUPTIONS} == set(KINDS)
