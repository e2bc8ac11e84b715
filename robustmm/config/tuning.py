"""How an encoder is trained: frozen or not, for how long, and at which rate; keys beside the encoder's own options."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from robustmm.config.toml import Section, describe_error


class Tuning(Section):
    """Keys that every encoder's table takes. They hold for its `backbone` where it has one (every Hugging Face encoder
    does), else for the whole encoder; the projection behind it learns as ever.

    `freeze`: its weights and statistics stay as they are, and it runs as in evaluation. `unfreeze`: for that many
    epochs only. `learning_rate_factor`: its learning rate over that of the rest.
    """

    freeze: bool = False
    unfreeze: Annotated[int, Field(ge=1)] | None = None
    learning_rate_factor: Annotated[float, Field(gt=0, le=1e6)] = 1.0

    def is_frozen(self, epoch: int) -> bool:
        """Whether the encoder is frozen in an epoch, counted from 0."""
        return self.freeze and (self.unfreeze is None or epoch < self.unfreeze)

    def contradiction(self, epochs: int) -> str:
        """What makes no sense in a training of so many epochs; empty where all does."""
        if self.unfreeze is not None and not self.freeze:
            return f"unfreeze = {self.unfreeze} needs freeze = true: this encoder learns from the first epoch"
        if self.unfreeze is not None and self.unfreeze >= epochs:
            return (
                f"unfreeze: should be below the {epochs} epochs of [train], found {self.unfreeze}; "
                "leave it out to keep the encoder frozen"
            )
        if self.freeze and self.unfreeze is None and self.learning_rate_factor != 1:
            return (
                f"learning_rate_factor = {self.learning_rate_factor:g} has no use for an encoder that stays frozen; "
                "say when it learns, with: unfreeze = EPOCHS"
            )
        return ""


def split_tuning(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of an encoder's table that are its own, and those of `Tuning`."""
    keys = Tuning.model_fields
    return {k: v for k, v in options.items() if k not in keys}, {k: v for k, v in options.items() if k in keys}


def find_tuning_errors(tables: Mapping[str, Any], epochs: int | None) -> Iterator[str]:
    """A sentence for each wrong key of `Tuning` in the modalities' tables; contradictions where `epochs` is known."""
    for name, table in tables.items():
        encoder = table.get("encoder") if isinstance(table, Mapping) else None
        if not isinstance(encoder, Mapping):
            continue
        place = f"modality.{name}.encoder"
        try:
            tuning = Tuning(**split_tuning(encoder)[1])
        except ValidationError as error:
            yield from (describe_error(item, Tuning, place, 0) for item in error.errors())
        else:
            if epochs and (wrong := tuning.contradiction(epochs)):
                yield f"[{place}] {wrong}"


def shorten_freezing(tables: Mapping[str, dict[str, Any]], share: float) -> dict[str, dict[str, Any]]:
    """The modalities' tables for a training of that share of the epochs: encoders are frozen for the same share of it,
    in whole epochs; for none at all where that is less than one."""
    shorter = {name: dict(table) for name, table in tables.items()}
    for table in shorter.values():
        encoder = table.get("encoder")
        if isinstance(encoder, Mapping) and "unfreeze" in encoder:
            epochs = int(encoder["unfreeze"] * share)
            own, tuning = split_tuning(encoder)
            kept = {k: v for k, v in tuning.items() if k not in ("freeze", "unfreeze")}
            table["encoder"] = own | (tuning | {"unfreeze": epochs} if epochs else kept)
    return shorter
