"""Where a manifest is: the embedded data set by name, or a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from robustmm.config.recipe import Recipe
from robustmm.errors import UsageError
from robustmm.runs import Run

if TYPE_CHECKING:
    from robustmm.runtime.session import Session

EMBEDDED = "digits"


def resolve_manifest(name: str, beside: Path) -> Path:
    """The manifest called `digits` (unpacked on first use), or a path relative to the file that names it."""
    if name == EMBEDDED:
        from robustmm.data import digits

        return digits.unpack_to_cache()
    return beside.parent / name


def resolve_option(manifest: Path) -> Path:
    """What a user names on the command line: `digits`, or a path relative to where they are."""
    return resolve_manifest(EMBEDDED, manifest) if str(manifest) == EMBEDDED else manifest


def find_recipe_manifest(recipe: Recipe, path: Path, data: Path | None) -> Path:
    """What `train` reads: --data, or the recipe's own."""
    if data is not None:
        return resolve_option(data)
    if not recipe.data.manifest:
        source = f" of {recipe.data.source}" if recipe.data.source else ""
        raise UsageError(f"{path} names no manifest; give yours{source} with --data MANIFEST")
    return resolve_manifest(recipe.data.manifest, path)


def find_model_manifest(session: "Session", data: Path | None) -> Path:
    """What `attack` reads: --data, or what the run beside the model was trained on."""
    if data is not None:
        return resolve_option(data)
    if session.facts["manifest"] is None:
        raise UsageError(f"{session.path} was made by other tools, so its data is not known; give --data MANIFEST")
    if session.facts["manifest"] == EMBEDDED:
        return resolve_manifest(EMBEDDED, session.path)
    run = Run(session.path.parent)
    if (run.folder / "run.json").is_file():
        manifest = Path(run.read_facts().get("manifest", ""))
        if manifest.is_file():
            return manifest
        raise UsageError(f"{session.path} was trained on {manifest}, which is no longer there; give --data MANIFEST")
    raise UsageError(f"{session.path} does not stand in its run folder, so its data is not known; give --data MANIFEST")
