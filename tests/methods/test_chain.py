from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import Doubling, fresh, ready, step, toy

from robustmm.errors import UsageError
from robustmm.methods import Chain, Method, build_method
from robustmm.methods.balance.cal import CAL
from robustmm.methods.bottleneck import VariationalBottleneck
from robustmm.methods.missing.completion import Completion
from robustmm.methods.missing.mce import MCE


class Weighing(Method):
    def sample_weights(self, epoch: int) -> Tensor | None:
        return torch.tensor([1.0, 2.0, epoch])


def test_a_name_builds_a_method_with_its_options() -> None:
    cal = build_method("cal", {"cal": {"gamma": 3, "sign": -1}})
    assert isinstance(cal, CAL)
    assert (cal.gamma, cal.sign, cal.eta) == (3, -1, 1)
    assert isinstance(build_method("mce", {}), MCE)
    chained = build_method("cal + mce", {"mce": {"valuation": "shapley"}, "cal": {"warmup": 0}})
    assert isinstance(chained, Chain)
    cal, mce = chained.methods
    assert isinstance(cal, CAL)
    assert isinstance(mce, MCE)
    assert (cal.warmup, mce.valuation) == (0, "shapley")


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("jiont", {}, r'"jiont" is not a method, did you mean "joint"\? '),
        ("cal+", {}, r'"" is not a method'),
        ("cal", {"cal": {"gama": 4}}, r'"gama" is not an option of method "cal", did you mean "gamma"\?'),
        ("cal", {"cal": {"gamma": "four"}}, r'method "cal", option gamma: input should be a valid number.*four'),
        ("cal", {"cal": {"mix": 1.5}}, "option mix: input should be less than or equal to 1"),
        ("cal", {"cal": {"sign": 0}}, "option sign: input should be 1 or -1"),
        ("mce", {"mce": {"valuation": "papr"}}, "option valuation: input should be 'paper' or 'shapley'"),
        ("cal+mce", {"mec": {}}, r'options are given for "mec", which is not a method, did you mean "mce"\?'),
        ("cal+cal", {}, 'methods cal and cal both have a loss term "unimodal"'),
        ("toys:Doubling+toys:Steering", {}, "each run their own backward pass"),
        ("mla+cal", {}, "mla decides itself which modality learns in a step; it cannot be chained"),
        ("toys:Turns+toys:Turns", {}, "methods toys:Turns and toys:Turns each arrange the batches; chain only one"),
        ("toys:Toy", {}, 'the method "toys:Toy" should be a subclass of robustmm.methods.Method'),
        ("nowhere.at:All", {}, 'the method "nowhere.at:All" cannot be imported'),
    ],
)
def test_what_cannot_be_built_is_a_sentence(name: str, options: dict[str, dict[str, object]], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        build_method(name, options)


def test_options_of_a_method_not_used_wait_for_a_run_that_uses_it() -> None:
    assert isinstance(build_method("mce", {"cal": {"gamma": 2}}), MCE)


def test_a_users_own_method_is_imported_and_chained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("mymethod.py").write_text(
        "from robustmm.methods import Method\n\n\nclass Mine(Method):\n"
        "    def __init__(self, *, strength: float = 1.0) -> None:\n"
        "        super().__init__()\n        self.strength = strength\n"
    )
    chained = build_method("cal+mymethod:Mine", {"mymethod:Mine": {"strength": 2}})
    assert isinstance(chained, Chain)
    assert chained.methods[1].strength == 2
    assert chained.terms == ("fused", "unimodal", "bottleneck")


@pytest.mark.parametrize("name", ["cal+mce", "mce+cal"])
def test_a_chain_fills_both_places_and_merges_the_terms(name: str) -> None:
    data = toy(2, missing=0.3)
    model, chained = ready(name, data)
    assert isinstance(model.bottleneck, VariationalBottleneck)
    assert isinstance(model.fusion, Completion)
    assert chained.scales_gradients
    losses = step(model, chained, data.batch())
    terms = ["fused", "unimodal", "bottleneck", "completion", "separate", "subset"]
    assert tuple(losses) == chained.terms
    assert sorted(losses) == sorted(terms)
    assert "methods.0.epoch" in chained.state_dict()
    assert len(list(chained.parameters())) == len(set(chained.parameters())) == 4  # two decoders


def test_both_orders_train_alike_and_fused_counts_once() -> None:
    data, found = toy(2, missing=0.3), []
    options = {"mce": {"dropout": 0.0}}
    for name in ("cal+mce", "mce+cal"):
        model, chained = ready(name, data, options=options)
        torch.manual_seed(3)
        for parameter in (*dict(sorted(model.named_parameters())).values(), *chained.parameters()):
            parameter.data.uniform_(-0.5, 0.5)
        losses = step(model, chained, data.batch())
        found.append((dict(sorted(losses.items())), {n: p.grad for n, p in model.named_parameters()}))
        torch.manual_seed(0)
        embedding = model.embedding(data.inputs, data.present)
        plain = torch.nn.functional.cross_entropy(model.decode(embedding.z, data.present), data.target)
        torch.testing.assert_close(losses["fused"], plain)
    torch.testing.assert_close(found[0], found[1])


def test_a_place_filled_twice_is_refused() -> None:
    class Again(MCE):
        terms = ("fused",)

    chained = Chain(["mce", "again"], [MCE(), Again()])
    with pytest.raises(UsageError, match="both fill the model's fusion; chain only one"):
        chained.setup(fresh(toy(2)), toy(2))


def test_epochs_are_counted_for_each_and_weights_multiply() -> None:
    data = toy(2)
    chained = Chain(["cal", "a", "b"], [CAL(), Weighing(), Weighing()])
    model = fresh(data)
    chained.setup(model, data)
    chained.end_epoch(model, data)
    assert [int(part.epoch) for part in (chained, *chained.methods)] == [1, 1, 1, 1]
    weights = chained.sample_weights(3)
    assert weights is not None
    assert weights.tolist() == [1, 4, 9]
    assert Chain(["cal"], [CAL()]).sample_weights(0) is None


def test_the_one_backward_of_a_chain_is_used() -> None:
    data, gradients = toy(2), []
    for chained in (
        Chain(["cal", "plain"], [CAL(warmup=0), Method()]),
        Chain(["cal", "d"], [CAL(warmup=0), Doubling()]),
    ):
        model = fresh(data)
        chained.setup(model, data)
        torch.manual_seed(0)
        losses = chained.losses(model, data.batch(), model.embedding(data.inputs, data.present))
        losses.pop("extra", None)
        chained.backward(model, losses)
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close([2 * g for g in gradients[0]], gradients[1])
    assert len(chained.state_dict()) == len({k for k in chained.state_dict() if not k.startswith("steering")})
