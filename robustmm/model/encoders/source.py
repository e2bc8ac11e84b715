"""Loads Hugging Face backbones. `transformers` is imported here, when the first one is built."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from robustmm.errors import UsageError, did_you_mean


def load_backbone(model: str, config: Mapping[str, Any], pretrained: bool, fits: Mapping[str, Any]) -> nn.Module:
    """The backbone of a name or folder (`model`), or of a configuration only.

    `config` overrides the model's own settings. Without pretrained weights `fits` does too, for settings that the
    configuration has and `config` does not name. Weights are read from safetensors only; code is never fetched.
    """
    try:
        from huggingface_hub.errors import StrictDataclassError
        from transformers import AutoModel
    except ImportError as error:
        raise UsageError('encoder "transformers" needs: pip install "robustmm[train]"') from error

    backbone: nn.Module
    pretrained = pretrained and bool(model)
    try:
        with hide_bars():
            settings = load_configuration(model, config, {} if pretrained else fits)
            if pretrained:
                backbone = AutoModel.from_pretrained(
                    model, config=settings, use_safetensors=True, trust_remote_code=False
                )
            else:
                backbone = AutoModel.from_config(settings, trust_remote_code=False)
    except (OSError, ValueError, TypeError, RuntimeError, StrictDataclassError) as error:
        what = f'the weights of "{model}" cannot be loaded' if pretrained else "the backbone cannot be built"
        raise UsageError(f"{what}: {reason(error)}") from error
    return backbone.float()  # checkpoints may be stored in half precision


@contextmanager
def hide_bars() -> Iterator[None]:
    """No bars of transformers and its hub meanwhile: they would stand in a log, and across our own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load_configuration(model: str, config: Mapping[str, Any], fits: Mapping[str, Any]) -> Any:
    """The configuration of `model`, or of the type `config` names, with `fits` and then `config` over it."""
    from transformers import CONFIG_MAPPING, AutoConfig

    given = dict(config)
    model_type = given.pop("model_type", None)
    if not model and model_type is None:
        raise UsageError(
            'encoder "transformers" needs a model (a name or folder) or a config with a model_type, '
            'such as {model_type = "resnet", depths = [2, 2, 2, 2]}'
        )
    if not model and model_type not in CONFIG_MAPPING:
        hint = did_you_mean(str(model_type), CONFIG_MAPPING)
        raise UsageError(f'model_type "{model_type}" is not one that transformers knows{hint}')

    def build_config(**settings: Any) -> Any:
        if model:
            return AutoConfig.from_pretrained(model, trust_remote_code=False, **settings)
        return AutoConfig.for_model(model_type, **settings)

    try:
        plain = build_config()
    except (OSError, ValueError) as error:
        raise UsageError(
            f'model "{model}" should be a folder with a config.json or a name that can be fetched from the '
            f"Hugging Face hub: {reason(error)}"
        ) from error
    for key in given:
        if not hasattr(plain, key):
            raise UsageError(
                f'"{key}" is not a setting of a {plain.model_type} backbone{did_you_mean(key, plain.to_dict())}'
            )
    return build_config(**{**{key: value for key, value in fits.items() if hasattr(plain, key)}, **given})


def reason(error: Exception) -> str:
    """The first line of a library's message, and the second where the first announces it."""
    first, *more = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return f"{first} {more[0]}" if first.endswith(":") and more else first
