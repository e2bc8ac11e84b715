"""The kinds of modality, one file each."""

from typing import Annotated

from pydantic import Field

from robustmm.modalities.audio import Audio
from robustmm.modalities.base import Modality, Signal
from robustmm.modalities.features import Features
from robustmm.modalities.image import Image
from robustmm.modalities.series import Series
from robustmm.modalities.text import Text
from robustmm.modalities.video import Video

AnyModality = Annotated[Image | Audio | Video | Text | Series | Features, Field(discriminator="kind")]

KINDS: dict[str, type[Modality]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
    "text": Text,
    "series": Series,
    "features": Features,
}

__all__ = ["KINDS", "AnyModality", "Audio", "Features", "Image", "Modality", "Series", "Signal", "Text", "Video"]
