"""What every method promises, alone or chained."""

import copy

import pytest
import torch
from toys import NAMES, optimiser, ready, step, toy, train

from robustmm.errors import UsageError
from robustmm.methods import METHODS

OWN_FUSION = {"mce", "dmrnet", "mla", "one-stage", "qmf", "pdf", "reconboost", "redcore", "shaspec"}
STAGED = {"reconboost"}
"""Those in which encoders learn in different epochs."""


def brings_a_fusion(name: str) -> bool:
    return bool(OWN_FUSION & set(name.split("+")))


def test_the_registry_holds_each_method_and_each_says_what_it_is() -> None:
    assert set(METHODS) == {
        "agm", "arl", "arm", "balm", "cal", "cggm", "dgl", "dmrnet", "dropout", "guarded", "inforeg", "joint", "linear",
        "mce", "mla", "mmanet", "mmpareto", "ogm-ge", "one-stage", "pdf", "qmf", "reconboost", "redcore", "remix",
        "shaspec", "unimodal", "valuation",
    }  # fmt: skip
    assert all(METHODS[name].__doc__ for name in METHODS)
    assert "our reconstruction: we could not obtain the paper's text" in (METHODS["cal"].__doc__ or "").lower()


def test_methods_that_multiply_encoder_gradients_say_so_and_get_sgd() -> None:
    scaling = {name for name in METHODS if METHODS[name].scales_gradients}
    assert scaling == {"agm", "arl", "balm", "cal", "cggm", "dgl", "inforeg", "mla", "mmpareto", "ogm-ge"}


@pytest.mark.parametrize("M", [1, 2, 3, 6, 10])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fusion", ["concat", "attention"])
def test_one_step_returns_the_named_terms_and_reaches_every_encoder(name: str, M: int, fusion: str) -> None:
    data = toy(M, missing=0.4)
    if fusion == "attention" and brings_a_fusion(name):
        with pytest.raises(UsageError, match='brings its own fusion and has no use for "attention"'):
            ready(name, data, fusion)
        return
    if fusion == "attention" and name == "unimodal":
        return  # see test_baselines
    model, chosen = ready(name, data, fusion)
    unreached = {*model.encoders.parameters(), *model.projections.parameters()}
    for _ in range(2 * M if name in STAGED else 1):
        losses = step(model, chosen, data.batch())
        assert tuple(losses) == chosen.terms
        assert all(term.isfinite() and term.ndim == 0 for term in losses.values())
        reached = {p for p in unreached if p.grad is not None and p.grad.any()}
        assert all(p.grad.isfinite().all() for p in reached)
        unreached -= reached
        chosen.end_epoch(model, data)
    assert not unreached


@pytest.mark.parametrize("M", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_it_learns_the_toy_problem(name: str, M: int) -> None:
    data = toy(M, missing=0.2)
    model, chosen = ready(name, data, options={"cal": {"warmup": 0.03}})
    curve = train(model, chosen, data, range(12), optimiser(model, chosen))
    assert curve[-1] < (0.7 if chosen.owns_fused else 0.5) * curve[0]  # the fused term of some sees less
    model.eval()
    logits = model.decode(model.embed(data.inputs), data.present)
    assert (logits.argmax(1) == data.target).float().mean() > 0.85


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fill", [float("nan"), 1e6])
def test_what_an_absent_input_holds_changes_nothing(name: str, fill: float) -> None:
    data = toy(3, missing=0.5)
    spoilt = copy.deepcopy(data)
    for m, modality in enumerate(spoilt.modalities):
        spoilt.inputs[modality][~data.present[:, m]] = fill
    results = []
    for version in (data, spoilt):
        model, chosen = ready(name, version)
        losses = step(model, chosen, version.batch())
        gradients = [p.grad for p in (*model.parameters(), *chosen.parameters())]
        results.append(([*losses.values()], gradients, [*chosen.state_dict().values()]))
    for clean, dirty in zip(*results, strict=True):
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(name: str) -> None:
    data = toy(3, missing=0.3)
    options = {"cal": {"warmup": 0.01, "confidence": "potential"}}
    model, chosen = ready(name, data, options=options)
    steps = optimiser(model, chosen)
    train(model, chosen, data, range(2), steps)
    saved = copy.deepcopy((model.state_dict(), chosen.state_dict(), steps.state_dict()))
    train(model, chosen, data, range(2, 4), steps)

    again, resumed = ready(name, toy(3, missing=0.3, taught=False), options=options)
    steps = optimiser(again, resumed)
    for part, state in zip((again, resumed, steps), saved, strict=True):
        part.load_state_dict(state)
    train(again, resumed, data, range(2, 4), steps)
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(resumed.state_dict(), chosen.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_depends_on_no_batch_mate_and_on_no_label(name: str) -> None:
    data = toy(3, missing=0.3)
    model, chosen = ready(name, data, options={"arm": {"warmup": 0}})
    train(model, chosen, data, range(2), optimiser(model, chosen))
    model.eval()
    whole = model.decode(model.embed(data.inputs), data.present)
    for rows in (slice(0, 1), slice(5, 8)):
        part = {m: x[rows] for m, x in data.inputs.items()}
        torch.testing.assert_close(model.decode(model.embed(part), data.present[rows]), whole[rows])


@pytest.mark.parametrize("name", ["cal", "mce", "cal+mce"])
def test_class_weights_reach_every_cross_entropy(name: str) -> None:
    data = toy(2, class_weight=torch.tensor([1.0, 0.0, 0.0]))
    model, chosen = ready(name, data, options={"mce": {"dropout": 0.0}})
    model.eval()  # no noise
    losses = step(model, chosen, data.batch())
    other = data.batch()
    other.target = torch.where(other.target == 1, 2, other.target)  # moves samples between weightless classes only
    moved = step(model, chosen, other)
    for term in set(losses) & {"fused", "unimodal", "subset"}:
        torch.testing.assert_close(moved[term], losses[term])
