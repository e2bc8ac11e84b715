"""Which parameters each loss term trains, for every method: a stop of the gradient too few or too many is seen.

Parameters stand in groups: the encoders with their projections, the parts of the bottleneck and of the fusion by name,
and the method's own modules. MCE's interaction is all of its transformer.
"""

import pytest
import torch
from toys import NAMES, ready, toy, train

from robustmm.methods import Method
from robustmm.model.fusion_model import FusionModel

PLAIN = "encoders fusion"
DRAWN = "bottleneck.parts encoders"  # through a variational bottleneck
JUDGED = "bottleneck.heads encoders"  # through guarded's quality
BOTH = "bottleneck.heads bottleneck.inner encoders"
BALANCED = {"fused": PLAIN, "unimodal": PLAIN}

EXPECTED: dict[str, dict[str, str]] = {
    "agm": {"fused": PLAIN},
    "arl": BALANCED,
    "arm": {"fused": PLAIN, "minmax": PLAIN},
    "balm": {"fused": "encoders fusion.excite fusion.inner", "heads": "own.heads", "align": "fusion.inner"},
    "cal": {"fused": f"{DRAWN} fusion", "unimodal": f"{DRAWN} fusion", "bottleneck": DRAWN},
    "dgl": {"fused": "fusion", "unimodal": "encoders"},
    "dmrnet": {
        "fused": "encoders fusion.head fusion.moments fusion.norm",
        "divergence": "encoders fusion.moments fusion.norm",
        "hard": "encoders fusion.head fusion.moments fusion.norm",
    },
    "dropout": {"fused": PLAIN},
    "guarded": {"fused": f"{JUDGED} fusion", "unimodal": f"{JUDGED} fusion", "quality": "bottleneck.heads"},
    "cggm": {"fused": PLAIN, "side": "own.heads own.hidden", "direction": "fusion"},
    "inforeg": BALANCED,
    "joint": {"fused": PLAIN},
    "mce": {
        "fused": "encoders fusion.decoder fusion.interaction",
        "completion": "encoders fusion.interaction",
        "separate": "encoders fusion.interaction own.decoders",
        "subset": "encoders fusion.decoder fusion.interaction",
    },
    "mla": {"unimodal": "encoders fusion.head"},
    "mmpareto": {"fused": PLAIN, "unimodal": "encoders own.heads"},
    "reconboost": {"fused": "encoders fusion.head fusion.scale", "boosting": "", "consolidation": ""},  # rectifying
    "remix": {"fused": PLAIN, "unimodal": "encoders own.heads"},
    "shaspec": {
        "fused": "encoders fusion.head fusion.project fusion.shared fusion.specific",
        "alignment": "encoders fusion.shared",
        "domain": "encoders fusion.specific own.domain",
    },
    "mmanet": {"fused": PLAIN, "distillation": "encoders", "regularisation": "encoders own.branch"},
    "ogm-ge": {"fused": PLAIN},
    "one-stage": {
        "fused": "encoders fusion fusion.hallucinators fusion.head",
        "auxiliary": "encoders fusion fusion.hallucinators fusion.head",
        "distillation": "encoders fusion.hallucinators",
        "teacher": "encoders own.classifiers",
    },
    "pdf": {"fused": PLAIN, "unimodal": PLAIN, "confidence": "fusion.confidence"},
    "qmf": {"fused": PLAIN, "unimodal": PLAIN, "rank": PLAIN},
    "redcore": {
        "fused": f"{DRAWN} fusion.head fusion.imputers",
        "unimodal": f"{DRAWN} fusion.imputers own.classifiers",
        "bottleneck": DRAWN,
        "imputation": f"{DRAWN} fusion.imputers",
    },
    "linear": {"unimodal": PLAIN},
    "unimodal": {"unimodal": PLAIN},
    "valuation": {"fused": PLAIN},
    "joint+unimodal": BALANCED,
    "cal+guarded": {
        "fused": f"{BOTH} fusion",
        "unimodal": f"{BOTH} fusion",
        "bottleneck": "bottleneck.inner encoders",
        "quality": "bottleneck.heads",
    },
}
COMPLETED = EXPECTED["mce"].items()
EXPECTED["cal+mce"] = EXPECTED["mce+cal"] = {
    **{term: f"bottleneck.parts {groups}" for term, groups in COMPLETED},
    "unimodal": f"{DRAWN} fusion.decoder fusion.interaction",
    "bottleneck": DRAWN,
}
EXPECTED["guarded+mce"] = {
    **{term: f"bottleneck.heads {groups}" for term, groups in COMPLETED},
    "unimodal": f"{JUDGED} fusion.decoder fusion.interaction",
    "quality": "bottleneck.heads",
}
EXPECTED["cal+guarded+mce"] = {
    **{term: f"bottleneck.heads bottleneck.inner {groups}" for term, groups in COMPLETED},
    "unimodal": f"{BOTH} fusion.decoder fusion.interaction",
    "bottleneck": "bottleneck.inner encoders",
    "quality": "bottleneck.heads",
}
ON_OTHER_FUSIONS = {
    ("mmanet", "gated"): {
        "fused": "encoders fusion.gates fusion.head fusion.hidden",
        "distillation": "encoders fusion.gates fusion.hidden",
        "regularisation": "encoders own.branch",
    },
    ("dgl", "gated"): {"fused": "fusion.gates fusion.head fusion.hidden", "unimodal": "encoders"},
    ("balm", "gated"): {"fused": "encoders fusion.excite fusion.inner", "heads": "own.heads", "align": ""},
}

SETTLED = {
    **{name: {"warmup": 0.01} for name in ("arl", "arm", "cal", "dmrnet")},
    "mmanet": {"begin": 0.01},
}
"""Warm-ups over after one epoch of the toy's hundred."""

PARTS = {
    **dict.fromkeys(("weight", "bias", "biases"), ""),
    **dict.fromkeys(("positions", "attention_norm", "qkv", "out", "ffn_norm", "ffn"), ".interaction"),
}


def group_parameters(model: FusionModel, method: Method) -> dict[str, list[torch.nn.Parameter]]:
    groups: dict[str, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        place, part = name.split(".")[:2]
        own = "encoders" if place in ("encoders", "projections") else place + PARTS.get(part, f".{part}")
        groups.setdefault(own, []).append(parameter)
    for name, parameter in method.named_parameters():
        first = next(part for part in name.split(".") if part != "methods" and not part.isdigit())
        groups.setdefault(f"own.{first}", []).append(parameter)
    return groups


def list_trained(name: str, fusion: str = "concat") -> dict[str, set[str]]:
    """The groups that get a gradient from each term, once warm-ups are over."""
    data = toy(3, missing=0.3)
    model, method = ready(name, data, fusion, SETTLED)
    train(model, method, data, range(1), torch.optim.SGD(model.parameters(), lr=0.01))
    torch.manual_seed(1)
    batch = data.batch()
    losses = method.losses(model, batch, model.embedding(batch.inputs, batch.present))
    found: dict[str, set[str]] = {term: set() for term in losses}
    for group, parameters in group_parameters(model, method).items():
        for term, loss in losses.items():
            if loss.requires_grad:
                reached = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
                found[term] |= {group} if any(g is not None and g.any() for g in reached) else set()
    return found


def test_the_table_has_an_entry_for_each_method() -> None:
    assert set(EXPECTED) == set(NAMES), "say which parameters each term of a new method trains"


@pytest.mark.parametrize("name", NAMES)
def test_each_term_trains_what_its_paper_says(name: str) -> None:
    assert list_trained(name) == {term: set(groups.split()) for term, groups in EXPECTED[name].items()}


@pytest.mark.parametrize(("name", "fusion"), ON_OTHER_FUSIONS)
def test_and_so_on_fusions_that_are_not_linear(name: str, fusion: str) -> None:
    expected = ON_OTHER_FUSIONS[name, fusion]
    assert list_trained(name, fusion) == {term: set(groups.split()) for term, groups in expected.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_trained_by_some_term(name: str) -> None:
    model, method = ready(name, toy(3))
    trained = {group for groups in EXPECTED[name].values() for group in groups.split()}
    assert trained == set(group_parameters(model, method))
