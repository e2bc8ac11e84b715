"""ShaSpec's slots, alignment and domain terms by hand, and how it drops."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from toys import Toy, ready, step, toy

from robustmm.errors import UsageError
from robustmm.methods import build_method
from robustmm.methods.combinations import draw_by_number
from robustmm.methods.missing.shaspec import SharedSpecific, ShaSpec, alignment
from robustmm.model.fusion_model import FusionModel


def shaspec(M: int, missing: float = 0.0, **options: float) -> tuple[Toy, FusionModel, ShaSpec]:
    data = toy(M, missing)
    model, method = ready("shaspec", data, options={"shaspec": options})
    assert isinstance(method, ShaSpec)
    return data, model, method


def test_a_missing_slot_holds_the_mean_of_what_the_present_share() -> None:
    torch.manual_seed(0)
    fusion, z = SharedSpecific(3, 4, 5), torch.randn(1, 3, 4)
    present = torch.tensor([[True, False, True]])
    r = [fusion.shared(z[0, m]) for m in range(3)]
    f = [r[m] + fusion.project(torch.cat([r[m], fusion.specific[m](z[0, m])])) for m in range(3)]
    f[1] = (r[0] + r[2]) / 2
    torch.testing.assert_close(
        fusion(torch.where(present.unsqueeze(-1), z, 0.0), present)[0], fusion.head(torch.cat(f))
    )


def test_with_one_modality_every_other_slot_is_its_shared_feature_and_with_none_zeros() -> None:
    torch.manual_seed(0)
    fusion, z = SharedSpecific(3, 4, 5), torch.randn(2, 3, 4)
    present = torch.tensor([[False, True, False], [False, False, False]])
    r = fusion.shared(z[0, 1])
    own = r + fusion.project(torch.cat([r, fusion.specific[1](z[0, 1])]))
    found = fusion(torch.where(present.unsqueeze(-1), z, 0.0), present)
    torch.testing.assert_close(found[0], fusion.head(torch.cat([r, own, r])))
    torch.testing.assert_close(found[1], fusion.head.bias)


@pytest.mark.parametrize("M", [2, 3])
def test_alignment_is_the_papers_ring_for_two_and_three(M: int) -> None:
    torch.manual_seed(0)
    r = torch.randn(6, M, 4)
    ring = [*pairwise(range(M)), (M - 1, 0)]
    expected = sum((r[:, i] - r[:, k]).abs().mean() for i, k in ring)
    torch.testing.assert_close(alignment(r, torch.ones(6, M, dtype=torch.bool)), expected)


def test_alignment_compares_where_both_are_there_only() -> None:
    r = torch.zeros(3, 3, 2)
    r[0, 1], r[1, 2], r[2] = 4.0, 100.0, 7.0
    present = torch.tensor([[True, True, False], [True, True, False], [True, False, False]])
    torch.testing.assert_close(alignment(r, present), torch.tensor(3 * (2.0 + 0 + 0) / 3))  # pair (0, 1): 4 and 0
    assert alignment(torch.randn(3, 1, 2), torch.ones(3, 1, dtype=torch.bool)) == 0
    assert alignment(r, torch.zeros(3, 3, dtype=torch.bool)) == 0


def features(model: FusionModel, data: Toy) -> tuple[Tensor, Tensor]:
    fusion = model.fusion
    assert isinstance(fusion, SharedSpecific)
    z = model.embedding(data.inputs, data.present).z
    return fusion.shared(z), torch.stack([fusion.specific[m](z[:, m]) for m in range(z.shape[1])], dim=1)


def test_the_terms_of_a_step_without_dropping() -> None:
    data, model, method = shaspec(3, 0.3, alpha=0.5, beta=0.25, full=1.0)
    losses = step(model, method, data.batch())
    r, t = features(model, data)
    told = [
        F.cross_entropy(method.domain(t[i, m]), torch.tensor(m))
        for i in range(len(t))
        for m in range(3)
        if data.present[i, m]
    ]
    z = model.embedding(data.inputs, data.present).z
    torch.testing.assert_close(losses["fused"], F.cross_entropy(model.decode(z, data.present), data.target))
    torch.testing.assert_close(losses["alignment"], 0.5 * alignment(r, data.present))
    torch.testing.assert_close(losses["domain"], 0.25 * torch.stack(told).mean())


def test_it_drops_after_its_share_of_full_epochs() -> None:
    data, model, method = shaspec(3, full=0.02)  # of the toy's hundred epochs
    assert method.count_epochs(method.full) == 2
    fused = []
    for _ in range(3):
        fused.append(float(step(model, method, data.batch())["fused"].detach()))
        method.end_epoch(model, data)
    assert fused[0] == fused[1] != fused[2]
    torch.manual_seed(0)
    model.zero_grad()
    kept = draw_by_number(data.present)
    z = model.embedding(data.inputs, data.present).z
    assert fused[2] == pytest.approx(float(F.cross_entropy(model.decode(z, kept), data.target).detach()), rel=1e-5)


def test_numbers_are_drawn_evenly_and_then_which() -> None:
    torch.manual_seed(0)
    n = 60_000
    kept = draw_by_number(torch.ones(n, 3, dtype=torch.bool))
    torch.testing.assert_close(kept.sum(1).bincount(minlength=4) / n, torch.tensor([0, 1, 1, 1]) / 3, rtol=0.03, atol=0)
    torch.testing.assert_close(kept[kept.sum(1) == 1].float().mean(0), torch.full((3,), 1 / 3), rtol=0.05, atol=0)
    two = torch.tensor([True, False, True]).expand(n, 3)
    kept = draw_by_number(two)
    assert not kept[:, 1].any()
    torch.testing.assert_close(kept.sum(1).bincount(minlength=3) / n, torch.tensor([0, 0.5, 0.5]), rtol=0.03, atol=0)
    assert not draw_by_number(torch.zeros(4, 3, dtype=torch.bool)).any()


def test_a_share_is_no_number_of_epochs_and_two_fusions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"option full: .*share"):
        build_method("shaspec", {"shaspec": {"full": 5}})
    with pytest.raises(UsageError, match="each have a fused term of their own"):
        build_method("shaspec+dropout", {})
    with pytest.raises(UsageError, match="both fill the model's fusion"):
        ready("shaspec+mce", toy(2))
