"""What this machine has for robustmm, and what it lacks."""

import os
import platform
from importlib.util import find_spec

from robustmm import runs
from robustmm.catalogue.result import DoctorResult
from robustmm.config import shelf
from robustmm.corruptions import names

TRAINING = ("torch", "onnxscript", "transformers", "safetensors")


def inspect_machine() -> DoctorResult:
    return DoctorResult(found=installed_versions(), missing=missing_parts())


def installed_versions() -> dict[str, str]:
    """Versions, providers, threads and folders."""
    import onnxruntime

    facts = runs.versions((*runs.PACKAGES, "transformers", "tokenizers", "albumentations", "pyarrow"))
    facts["system"] = platform.platform()
    facts["processors"] = str(os.cpu_count())
    facts["onnxruntime providers"] = ", ".join(
        p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()
    )
    telemetry = os.environ.get("ORT_DISABLE_TELEMETRY", "")
    facts["onnxruntime telemetry"] = f"{'off' if telemetry == '1' else 'may be on'} (ORT_DISABLE_TELEMETRY={telemetry})"
    if find_spec("torch"):
        import torch

        facts["torch threads"] = str(torch.get_num_threads())
        facts["torch device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    facts["recipes"] = f"{len(shelf.list_names('models'))} in {shelf.folder('models')}"
    facts["suites"] = f"{len(shelf.list_names('attacks'))} in {shelf.folder('attacks')}"
    facts["corruptions"] = str(len(names()))
    return facts


def missing_parts() -> dict[str, str]:
    """What some command needs and this installation has not."""
    import onnxruntime

    lacking = [name for name in TRAINING if find_spec(name) is None]
    needs = {}
    if lacking:
        needs["train, export"] = f"no {', '.join(lacking)}; get it with: pip install 'robustmm[train]'"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        needs["--provider cuda"] = "this onnxruntime has no CUDA; get it with: pip install onnxruntime-gpu"
    try:
        import soundfile

        if "MP3" not in soundfile.available_formats():
            needs["MP3 files"] = "libsndfile here is older than 1.1; get it with: pip install -U soundfile"
    except OSError:
        needs["audio"] = "libsndfile cannot be loaded; get it with: pip install -U soundfile"
    return needs
