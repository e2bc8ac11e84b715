"""A recipe: one TOML file that defines what is trained, on what, and how. All its errors are reported at once."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from robustmm.config.inputs import Augment, Corrupt, find_unknown_modalities
from robustmm.config.settings import apply_setting
from robustmm.config.toml import Section, describe_error, read_toml
from robustmm.config.tuning import Tuning, find_tuning_errors, split_tuning
from robustmm.errors import UsageError, suggest
from robustmm.modalities import KINDS, AnyModality, Modality
from robustmm.system import MOST_PROCESSES

RESERVED = {
    **dict.fromkeys(("present", "logits", "probabilities"), "is a tensor of every exported graph"),
    "id": "is a column of every table of missing inputs",
}
"""Names that no modality can have, and why."""
DEFAULT_METHOD = "joint+unimodal"  # docs/methods.md says on what evidence
LARGEST = 2**31 - 1
"""The largest whole number of a recipe (but for its seed): sizes beyond are none that a library counts with."""
SELECTED = {
    "clean": "valid_accuracy",
    "mean-over-subsets": "valid_mean_over_subsets",
    "worst-subset": "valid_worst_subset",
}
"""What an epoch, or a setting of a search, is chosen by, and the column of an epoch's scores that holds it."""
Select = Literal["clean", "mean-over-subsets", "worst-subset"]
ANSWERS = ("label", "split")
"""Columns of a manifest that no modality can read: the model would be told what it is asked for."""
Rate = Annotated[float, Field(ge=0, lt=1)]


def check_name(entry: Any) -> Any:
    if isinstance(entry, str) or (isinstance(entry, Mapping) and isinstance(entry.get("name", ""), str)):
        return entry
    raise PydanticCustomError("name", "should be a name or a table with a name")


Name = Annotated[str | dict[str, Any], BeforeValidator(check_name)]
"""A registered name, or a table `{name = "conv", option = value}`."""


class Data(Section):
    """Where the samples are. `missing` draws a fixed table: that share of training samples lacks the modality."""

    manifest: str = ""
    source: str = ""
    missing: dict[str, Rate] = {}


class Model(Section):
    width: Annotated[int, Field(ge=1)] = 64
    fusion: Name = "concat"


class Train(Section):
    """The budget and the optimiser. `optimiser` is SGD for methods that scale gradients, AdamW otherwise. `select` is
    what the kept epoch is chosen by, on the valid split. `threads` are the CPU's: sums are rounded by how they are
    shared out, so that other threads are other weights. Where none are given, a few steps are measured, and what was
    found stands in the run's recipe. A step is of `accumulate` batches, which go through the model one by one."""

    epochs: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=1)] = 64
    accumulate: Annotated[int, Field(ge=1)] = 1
    optimiser: Literal["sgd", "adamw"] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1e30)] | None = None
    weight_decay: Annotated[float, Field(ge=0, le=1e30)] = 1e-4
    schedule: Literal["cosine", "constant", "step"] = "cosine"
    warmup: Annotated[float, Field(ge=0)] = 1.0
    clip: Annotated[float, Field(gt=0)] = 40.0
    patience: Annotated[int, Field(ge=1)] | None = None
    class_weights: Literal["none", "balanced"] = "none"
    modality_dropout: Rate = 0.0
    precision: Literal["32", "bf16"] = "32"
    select: Select = "clean"
    threads: Annotated[int, Field(ge=1, le=MOST_PROCESSES)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Recipe(Section):
    """The whole recipe. `modality` tables hold a kind's fields and `encoder`; `method` holds options by method."""

    name: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]+$")]  # of run folders
    data: Data
    modality: dict[str, dict[str, Any]]
    model: Model = Model()
    method: dict[str, Any] = {"name": DEFAULT_METHOD}
    train: Train = Train()
    augment: Augment = {}
    corrupt: Corrupt | None = None

    @model_serializer(mode="wrap")
    def _leave_out_no_change(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A recipe that leaves its samples as they are reads, and is hashed, as before it could say more."""
        return {k: v for k, v in write(self).items() if v or k not in ("augment", "corrupt")}

    @property
    def modalities(self) -> list[Modality]:
        """The inputs, in the recipe's order."""
        return [_MODALITY.validate_python(_modality_fields(name, table)) for name, table in self.modality.items()]

    def encoder(self, modality: str) -> tuple[str | None, dict[str, Any]]:
        """The encoder's name (None: the kind's default) and its options."""
        name, options = split_name_options(self.modality[modality].get("encoder"))
        return name, split_tuning(options)[0]

    @property
    def tuning(self) -> dict[str, Tuning]:
        """How each modality's encoder is trained."""
        given = {name: split_name_options(table.get("encoder"))[1] for name, table in self.modality.items()}
        return {name: Tuning(**split_tuning(options)[1]) for name, options in given.items()}

    @property
    def method_name(self) -> str:
        return str(self.method["name"])

    def with_train(self, **changes: Any) -> "Recipe":
        """The recipe with some keys of [train] changed."""
        return self.model_copy(update={"train": self.train.model_copy(update=changes)})

    @property
    def method_options(self) -> dict[str, dict[str, Any]]:
        return {name: dict(table) for name, table in self.method.items() if name != "name"}


_MODALITY: TypeAdapter[Modality] = TypeAdapter(AnyModality)


def split_name_options(entry: Name | None) -> tuple[str | None, dict[str, Any]]:
    if isinstance(entry, Mapping):
        options = dict(entry)
        return options.pop("name", None), options
    return entry, {}


def _modality_fields(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in table.items() if key != "encoder"}, "name": name}


def load_recipe(path: Path, settings: Iterable[str] = ()) -> Recipe:
    """The recipe at `path` with `key=value` settings laid over it. Raises UsageError with every error found."""
    content = read_toml(path)
    for setting in settings:
        apply_setting(content, setting)
    return build_recipe(content, str(path), path.stem)


def build_recipe(content: Mapping[str, Any], where: str, name: str) -> Recipe:
    """A recipe from parsed TOML; `where` names the file in messages."""
    errors: list[str] = []
    tables = content.get("modality")
    if not isinstance(tables, Mapping) or not tables:
        errors.append(f"[modality.NAME] should describe at least one modality, found {tables or 'none'}")
        tables = {}
    for modality, table in tables.items():
        errors += _modality_errors(modality, table)
    if len(tables) > 10:
        errors.append(f"[modality] should describe 1 to 10 modalities, found {len(tables)}")
    method = content.get("method", {})
    if isinstance(method, Mapping) and "name" not in method:
        content = {**content, "method": {"name": DEFAULT_METHOD, **method}}
    if isinstance(method, Mapping):
        for key, table in method.items():
            wanted = str if key == "name" else Mapping
            if not isinstance(table, wanted):
                errors.append(f"[method] {key} should be a {'name' if key == 'name' else 'table'}, found {table!r}")
    for key, number in list_integers(content):
        if abs(number) > LARGEST and key != "train.seed":
            errors.append(f"{key} should be at most {LARGEST}, found a number of {len(str(abs(number)))} digits")
    recipe = None
    try:
        recipe = Recipe.model_validate({"name": name, **content})
    except ValidationError as error:
        errors += [describe_error(item, Recipe, "", 0) for item in error.errors() if item["loc"][0] != "modality"]
    errors += find_tuning_errors(tables, recipe.train.epochs if recipe else None)
    data = content.get("data")
    rates = data.get("missing") if isinstance(data, Mapping) else None
    unknown = rates.keys() - tables.keys() if isinstance(rates, Mapping) else ()
    errors += [f'[data] missing names "{name}"{suggest(name, tables)}' for name in sorted(unknown)]
    errors += find_unknown_modalities(recipe.augment, recipe.corrupt, tables) if recipe else ()
    if errors or recipe is None:
        raise UsageError("\n".join(f"{where}: {error}" for error in errors))
    return recipe


def list_integers(content: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number in parsed TOML, with its dotted key."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from list_integers(value, f"{place}.{key}".lstrip("."))
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from list_integers(value, place)
    elif isinstance(content, int):
        yield place, content


def _modality_errors(name: str, table: Any) -> list[str]:
    if not isinstance(table, Mapping):
        return [f"[modality.{name}] should be a table, found {table!r}"]
    errors = ['"name" is not a key here, the table\'s own name is'] if "name" in table else []
    if name in RESERVED:
        errors.append(f'"{name}" {RESERVED[name]}; call the modality otherwise')
    if not table.get("column") and name in ANSWERS:
        errors.append(f'it would read the column "{name}", which is no input; give its own with: column = "NAME"')
    try:
        check_name(table.get("encoder", ""))
    except PydanticCustomError as error:
        errors.append(f"encoder: {error.message()}, found {table['encoder']!r}")
    errors = [f"[modality.{name}] {error}" for error in errors]
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found = f'"{kind}" is not a kind' if "kind" in table else "kind is missing"
        return [*errors, f"[modality.{name}] {found}{suggest(str(kind), KINDS)}"]
    try:
        _MODALITY.validate_python(_modality_fields(name, table))
    except ValidationError as error:
        errors += [describe_error(item, KINDS[kind], f"modality.{name}", 1) for item in error.errors()]
    return errors
