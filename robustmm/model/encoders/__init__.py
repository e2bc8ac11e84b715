"""Encoders: from a modality's canonical batch to one vector a sample."""

from collections.abc import Callable, Mapping
from typing import Any

from robustmm.config.options import instantiate
from robustmm.config.registry import Registry
from robustmm.errors import UsageError
from robustmm.modalities import Modality
from robustmm.model.encoders.base import Encoder
from robustmm.model.encoders.conv import CONV
from robustmm.model.encoders.handcrafted import HANDCRAFTED
from robustmm.model.encoders.huggingface import BACKBONES
from robustmm.model.encoders.mlp import MLPS
from robustmm.model.encoders.spectrogram import LogMel
from robustmm.model.encoders.wide_deep import WIDE_DEEP

Constructor = Callable[..., Encoder]

ENCODERS: Registry[Mapping[str, Constructor] | Constructor] = Registry("encoder")
"""A constructor per kind; or one constructor for any kind, as a user's own `package.module:Name` is."""

ENCODERS.register("conv")(CONV)
ENCODERS.register("handcrafted")(HANDCRAFTED)
ENCODERS.register("mlp")(MLPS)
ENCODERS.register("transformers")(BACKBONES)
ENCODERS.register("wide-deep")(WIDE_DEEP)


def default_encoder(kind: str) -> str:
    """The encoder a kind gets when the recipe names none."""
    return "conv" if kind in CONV else "mlp"


def build_encoder(modality: Modality, name: str, **options: Any) -> Encoder:
    """The encoder registered as `name` for `modality`: (batch, *modality.shape) -> (batch, encoder.width)."""
    entry, kind = ENCODERS[name], str(getattr(modality, "kind", ""))
    if isinstance(entry, Mapping):
        if kind not in entry:
            fitting = [other for other in ENCODERS if kind in ENCODERS[other]]  # type: ignore[operator]
            raise UsageError(
                f'modality "{modality.name}": encoder "{name}" serves {", ".join(entry)}, not {kind} '
                f"(encoders for {kind}: {', '.join(fitting)})"
            )
        entry = entry[kind]
    try:
        encoder = instantiate("encoder", name, entry, modality, **options)
    except UsageError as error:
        raise UsageError(f'modality "{modality.name}": {error}') from error
    if not isinstance(getattr(encoder, "width", None), int):
        raise UsageError(
            f'modality "{modality.name}": encoder "{name}" should say its width, the length of its vectors'
        )
    return encoder


__all__ = ["ENCODERS", "Encoder", "LogMel", "build_encoder", "default_encoder"]
