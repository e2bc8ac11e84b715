"""A model that robustmm exported: cut at its embeddings, with an input that says what is there."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from robustmm.guard.detectors.modality import COLUMNS, InputDetectors
from robustmm.guard.graph.operators import PLACE, Operators, sort_nodes
from robustmm.guard.subjects.subject import Array, Embedding, Given, Masks, Subject
from robustmm.runtime.graph import extract_part
from robustmm.runtime.metadata import HARDENED_FORMAT, KEY
from robustmm.runtime.runner import Runner
from robustmm.runtime.seal import SEAL, seal_model
from robustmm.runtime.session import Session, read_graph

ANSWERS = ("logits", "probabilities")


class OwnSubject(Subject):
    exact = True

    def lay_out(self, name: str, x: Array) -> Array:
        return x

    def embed(self, name: str, x: Array) -> Embedding:
        return self.session.embed(name, x)

    def widen(self, fitted: Mapping[str, InputDetectors]) -> None:
        """The decoder reads on what it did: the first numbers of what is put out."""
        consumers = {f"z.{name}": f"{PLACE}z/{name}" for name in self.session.names}
        for node in self.model.graph.node:
            node.input[:] = [consumers.get(name, name) for name in node.input]
            node.output[:] = [f"{PLACE}encoded/{name[2:]}" if name in consumers else name for name in node.output]
        super().widen(fitted)
        sort_nodes(self.model)

    def declare_wide(self, wide: Mapping[str, onnx.ValueInfoProto]) -> None:
        for value in self.model.graph.output:
            if value.name in wide:
                value.CopyFrom(wide[value.name])

    def is_silent(self, ops: Operators) -> str:
        changed = ops.reduce("ReduceMax", ops.cast(ops("Xor", "used", self.presence)), [1])
        return ops("Less", changed, ops.constant(0.5))

    def write_facts(self, thresholds: NDArray[np.float64], budget: float) -> None:
        """The metadata of the plain file, its wide embeddings, and that it has a guard."""
        model = self.model
        facts = json.loads(next(entry.value for entry in model.metadata_props if entry.key == KEY))
        facts |= {
            "format": HARDENED_FORMAT,
            "width": int(facts["width"]) + COLUMNS,
            "guard": {"thresholds": thresholds.tolist(), "clean_cost": budget},
        }
        kept = [(entry.key, entry.value) for entry in model.metadata_props if entry.key not in (KEY, SEAL)]
        del model.metadata_props[:]
        for key, value in [*kept, (KEY, json.dumps(facts, ensure_ascii=False))]:
            model.metadata_props.add(key=key, value=value)

    def seal(self) -> bytes:
        return seal_model(self.model.SerializeToString())

    def feed_plain(self, inputs: Mapping[str, Array], present: Masks) -> dict[str, Array]:
        return {**inputs, "present": present}

    feed_hardened = feed_plain

    def to_probabilities(self, answers: Sequence[Array]) -> NDArray[np.float64]:
        return answers[ANSWERS.index("probabilities")].astype(np.float64)

    def open_plain(self) -> Runner:
        return Runner(self.session.path, outputs=ANSWERS)


def open_own(session: Session) -> OwnSubject:
    """Of a session on a file that is not hardened."""
    model, names = read_graph(session.path), session.names
    decoder = extract_part(model, ["present", *(f"z.{name}" for name in names)], ANSWERS)
    return OwnSubject(
        session=session, model=model, decoder=decoder,
        given={m.name: Given(m.name, m.shape, m.dtype) for m in session.modalities},
        widths=dict.fromkeys(names, int(session.facts["width"])), presence="present", scores="logits",
        precision=str(session.facts["precision"]),
        answers=dict.fromkeys(ANSWERS, len(session.classes)),
    )  # fmt: skip
