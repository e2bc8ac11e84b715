"""Loads Hugging Face backbones. `transformers` is imported here, when the first one is built."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from robustmm.errors import UsageError, did_you_mean


def load_backbone(
    model: str, config: Mapping[str, Any], pretrained: bool, fits: Mapping[str, Any], reads: Sequence[str]
) -> tuple[nn.Module, bool]:
    """The backbone of a name or folder (`model`), or of a configuration only, and whether its pooling has no weights.

    `config` overrides the model's own settings. Without pretrained weights `fits` does too, for settings that the
    configuration has and `config` does not name. Of a model of several towers it is the one for `reads`, of an encoder
    with a decoder the encoder. Weights are read from safetensors only; code is never fetched.
    """
    try:
        from huggingface_hub.errors import StrictDataclassError
        from transformers import AutoModel
    except ImportError as error:
        raise UsageError('encoder "transformers" needs: pip install "robustmm[train]"') from error

    backbone: nn.Module
    missing: list[str] = []
    pretrained = pretrained and bool(model)
    try:
        with hide_bars():
            settings = load_configuration(model, config, {} if pretrained else fits, reads)
            if pretrained:
                backbone, told = AutoModel.from_pretrained(
                    model, config=settings, use_safetensors=True, trust_remote_code=False, output_loading_info=True
                )
                missing = sorted(key for key in told["missing_keys"] if not key.endswith("masked_spec_embed"))
            else:
                backbone = AutoModel.from_config(settings, trust_remote_code=False)
    except ImportError as error:
        needs = "timm, which is not installed: pip install timm" if "timm" in str(error) else reason(error)
        raise UsageError(f"this backbone needs {needs}") from error
    except (OSError, ValueError, TypeError, RuntimeError, StrictDataclassError) as error:
        what = f'the weights of "{model}" cannot be loaded' if pretrained else "the backbone cannot be built"
        raise UsageError(f"{what}: {reason(error)}") from error
    if others := [key for key in missing if "pooler." not in key]:
        raise UsageError(f'the weights of "{model}" lack {len(others)} of the backbone, such as {others[0]}')
    if getattr(settings, "is_encoder_decoder", False):
        backbone = backbone.get_encoder()  # type: ignore[operator]
    return backbone.float(), bool(missing)  # checkpoints may be stored in half precision


def load_preprocessor(model: str, sort: str) -> dict[str, Any]:
    """What the files beside a model's weights say of its inputs, empty where there are none. `sort` is
    "image_processor" or "feature_extractor". Raises UsageError for a file that is no JSON, or cannot be fetched."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            path = find_file(model, name)
            if path is not None:
                content = json.loads(path.read_text(encoding="utf-8"))
                return dict(content.get(sort, content))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f'{name} of "{model}" should be a table in JSON: {reason(error)}') from error
    return {}


def find_tokenizer_folder(model: str) -> Path | None:
    """The folder of a model's tokenizer.json, on this machine or fetched; None where there is none, or no network."""
    try:
        found = find_file(model, "tokenizer.json")
        if found is not None:
            for name in ("special_tokens_map.json", "tokenizer_config.json"):  # which may say with what it pads
                find_file(model, name)
    except OSError:
        return None
    return None if found is None else found.parent


def find_file(model: str, name: str) -> Path | None:
    """A file of a model, which is a folder or a name on the Hugging Face hub; None where it has no such file. Raises
    OSError where it cannot be fetched."""
    from transformers.utils.hub import cached_file

    with hide_bars():
        path = cached_file(model, name, _raise_exceptions_for_missing_entries=False)
    return None if path is None else Path(path)


@contextmanager
def hide_bars() -> Iterator[None]:
    """No bars of transformers and its hub meanwhile: they would stand in a log, and across our own. Nor its tables of
    weights: those of another tower are no news, and what is missing is told by us."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


TOWERS = {"pixel_values": "vision_config", "input_ids": "text_config"}
"""Where the configuration of a model of several towers (CLIP) holds the one that reads this."""


def load_configuration(model: str, config: Mapping[str, Any], fits: Mapping[str, Any], reads: Sequence[str]) -> Any:
    """The configuration of `model`, or of the type `config` names, with `fits` and then `config` over it; of a model of
    several towers that of the one for `reads`."""
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
    towers = [TOWERS[read] for read in reads if read in TOWERS and hasattr(plain, TOWERS[read])]
    tower = getattr(plain, towers[0]) if towers else None
    plain = plain if tower is None else tower
    if given.get("apply_spec_augment"):
        raise UsageError("apply_spec_augment draws from a generator that no seed of a recipe reaches; leave it out")
    for key in given:
        if not hasattr(plain, key):
            raise UsageError(
                f'"{key}" is not a setting of a {plain.model_type} backbone{did_you_mean(key, plain.to_dict())}'
            )
    changed = {**{key: value for key, value in fits.items() if hasattr(plain, key)}, **given}
    found = build_config(**changed) if tower is None else type(tower).from_dict(tower.to_dict() | changed)
    if hasattr(found, "mask_time_prob"):
        found.apply_spec_augment = False  # its masks are drawn by numpy's global generator
    return found


def reason(error: Exception) -> str:
    """The first line of a library's message, and the second where the first announces it."""
    first, *more = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return f"{first} {more[0]}" if first.endswith(":") and more else first
