"""Frozen teachers, trained by the same loop with the same missing table and budget, on clean inputs; only their answers
are kept."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robustmm import files
from robustmm.config.recipe import Recipe
from robustmm.methods import Method
from robustmm.metrics.classification import MIN_PROBABILITY
from robustmm.modalities import Modality
from robustmm.model.fusion import apply_mask
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Watcher
from robustmm.training import checkpoint
from robustmm.training.build import build_model
from robustmm.training.data import TrainingSplit
from robustmm.training.loop import Tensors, fit
from robustmm.training.validation import subset_probabilities


class Teachers:
    """Trained when a method first asks. Where `folder` is given, answers are kept there and found again by the next
    run on the same data with the same recipe, whatever its method. `seconds` is the training time of all teachers that
    were asked for, whichever run trained them: a method's cost does not depend on the order of runs. `precomputed` are
    the modalities whose inputs are features of a frozen encoder."""

    def __init__(
        self,
        recipe: Recipe,
        modalities: Sequence[Modality],
        valid: TrainingSplit,
        watcher: Watcher,
        digests: Mapping[str, str],
        folder: Path | None = None,
        precomputed: frozenset[str] = frozenset(),
    ) -> None:
        self.recipe, self.modalities, self.valid, self.watcher = recipe, modalities, valid, watcher
        self.digests, self.folder, self.precomputed = digests, folder, precomputed
        self.seconds = 0.0

    def teach_unimodal(self, data: TrainingSplit) -> Tensor:
        """(samples, modality, class): see TrainingData.unimodal_logits."""
        return self._read_or_train("unimodal", data, self._train_unimodal)["logits"]

    def teach_joint(self, data: TrainingSplit) -> tuple[Tensor, Tensor]:
        """(samples, width) and (samples, class): see TrainingData.joint_answers."""
        found = self._read_or_train("fused", data, self._train_joint)
        return found["features"], found["logits"]

    def _read_or_train(
        self, kind: str, data: TrainingSplit, teach: Callable[[TrainingSplit], dict[str, Tensor]]
    ) -> Tensors:
        path = None if self.folder is None else self.folder / f"{kind}-{self._key()}.safetensors"
        kept = None if path is None else read_answers(path)
        if kept is not None:
            answers, facts = kept
        else:
            random, began = torch.get_rng_state(), time.perf_counter()
            answers = teach(data.without_changes())
            facts = {"seconds": time.perf_counter() - began}
            torch.set_rng_state(random)
            if path is not None:
                files.make_folder(path.parent)
                checkpoint.save_tensors(path, answers, facts)
        self.seconds += facts["seconds"]
        return {name: tensor.to(data.device) for name, tensor in answers.items()}

    def _key(self) -> str:
        """Everything the answers depend on."""
        facts = self.recipe.model_dump(exclude={"name", "method", "augment", "corrupt"}), dict(self.digests)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def _train_unimodal(self, data: TrainingSplit) -> Tensors:
        logits = torch.zeros(len(data), len(self.modalities), data.classes, device=data.device)
        for m, modality in enumerate(self.modalities):
            rows, valid_rows = data.present[:, m].nonzero()[:, 0], self.valid.present[:, m].nonzero()[:, 0]
            if len(valid_rows):
                part = data.select_modality(m, rows)
                model = self._train_model([modality], part, self.valid.select_modality(m, valid_rows), m)
                p = subset_probabilities(model, part, torch.ones(1, 1, dtype=torch.bool))[0]
                logits[rows, m] = torch.from_numpy(np.log(np.maximum(p, MIN_PROBABILITY))).float().to(data.device)
        return {"logits": logits}

    @torch.no_grad()
    def _train_joint(self, data: TrainingSplit) -> Tensors:
        with torch.enable_grad():
            model = self._train_model(self.modalities, data, self.valid, len(self.modalities)).eval()
        features, logits = [], []
        for batch in data.samples():
            z = apply_mask(model.embed(batch.inputs), batch.present)
            features.append(model.fusion.fuse(z, batch.present))
            logits.append(model.decode(z, batch.present))
        return {"features": torch.cat(features), "logits": torch.cat(logits)}

    def _train_model(
        self, modalities: Sequence[Modality], data: TrainingSplit, valid: TrainingSplit, number: int
    ) -> FusionModel:
        """Plain joint training of these modalities, at its best valid epoch."""
        torch.manual_seed(self.recipe.train.seed + 1 + number)
        model = build_model(self.recipe, modalities, data.classes).to(data.device)
        model.precomputed = self.precomputed
        plain = Method().to(data.device)
        plain.setup(model, data)
        title = f"teacher {modalities[0].name}" if len(modalities) < len(self.modalities) else "teacher"
        settings, tuning = self.recipe.train, self.recipe.tuning
        model.load_state_dict(fit(model, plain, data, valid, settings, self.watcher, tuning=tuning, title=title))
        return model


def read_answers(path: Path) -> tuple[Tensors, dict[str, float]] | None:
    """Answers and the seconds they took; None where there are none, or damaged ones, which are then made again."""
    try:
        return checkpoint.load_tensors(path)
    except checkpoint.Damage:
        return None
