"""A trained model under the session's interface, so that a bench need not export every file it scores."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from robustmm.exporting.export import rebuild_model
from robustmm.runs import Run
from robustmm.runtime.session import Embeddings, Session, softmax


class TorchSession(Session):
    """A finished run in torch: `embed`, `decode`, `predict` as the exported file answers them, up to rounding."""

    def __init__(self, run: Run, device: str = "cpu") -> None:
        self.facts = run.read_finished()
        self.device = torch.device(device)
        self.model, self.modalities = rebuild_model(run)
        self.model.to(self.device)
        self.path = run.weights
        self.names = [m.name for m in self.modalities]
        self.classes = self.facts["classes"]
        self.prior = np.array(self.facts["prior"])

    @torch.no_grad()
    def embed(self, name: str, x: NDArray[Any]) -> NDArray[np.float32]:
        z: NDArray[np.float32] = self.model.embed_one(name, self._to_tensor(x)).cpu().numpy()
        return z

    @torch.no_grad()
    def decode(self, z: Embeddings, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        stacked = torch.stack([self._to_tensor(z[name]) for name in self.names], 1)
        return softmax(self.model.decode(stacked, self._to_tensor(present)).cpu().numpy())

    def _to_tensor(self, x: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)
