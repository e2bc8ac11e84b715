"""Fills the draft of a description with what a manifest knows: classes, their prior, columns, sizes, statistics.

Numbers come from the train split alone, since a test split must not shape what it is tested with.
"""

from contextlib import suppress

from robustmm.data.draft import guess_modalities
from robustmm.data.loading import targets
from robustmm.data.manifest import Manifest, class_names
from robustmm.data.prior import prior
from robustmm.errors import DataError
from robustmm.evaluation.describing.columns import match_columns
from robustmm.evaluation.describing.signals import fill_signal
from robustmm.modalities import Modality
from robustmm.runtime.foreign.drafting.draft import DescriptionDraft

MAX_LISTED = 12
"""Labels that a comment lists."""


def fill_draft(draft: DescriptionDraft, manifest: Manifest) -> None:
    """Fills in what the manifest knows; what it cannot know stays a check."""
    train = manifest.split("train") if "train" in manifest.split_sizes() else None
    _fill_classes(draft, manifest)
    _fill_prior(draft, train)
    read: list[Modality] = []
    with suppress(DataError):  # a manifest without a column that looks like a signal
        read = guess_modalities(train or manifest)
    for modality in match_columns(draft, manifest, read):
        fill_signal(modality, manifest, train, {one.column_name: one for one in read}, draft.folder)


def _fill_classes(draft: DescriptionDraft, manifest: Manifest) -> None:
    """The manifest's labels, in the graph's own order where it has one, else sorted."""
    labels, own = class_names(manifest.labels), draft.own_labels
    listed = ", ".join(labels[:MAX_LISTED]) + (", ..." if len(labels) > MAX_LISTED else "")
    if own and set(labels) <= set(own):
        return
    if own and own != [str(i) for i in range(len(own))]:
        draft.checks["classes"] = (
            f"these are the graph's own, the manifest's are {listed}: name them as the manifest does, in this order"
        )
    elif draft.width is not None and len(labels) != draft.width:
        draft.checks["classes"] = (
            f"the output has {draft.width} columns, the manifest {len(labels)} labels ({listed}): name a class for "
            "each column, as the manifest does, in the order of the output"
        )
    else:
        draft.classes = labels
        order = "the graph numbers them from 0" if own else "sorted here, as scikit-learn and folders of images do"
        draft.checks["classes"] = f"are these in the order of the output? ({order}; prior goes with them)"


def _fill_prior(draft: DescriptionDraft, train: Manifest | None) -> None:
    """Class frequencies of the train split."""
    if train is None:
        draft.checks["prior"] = (
            "prior = [...], the training data's class frequencies; without it all are alike, since the manifest has no "
            "rows in split train"
        )
    elif set(train.labels) <= set(draft.classes):
        shares = prior(targets(train, draft.classes), len(draft.classes))
        draft.prior = [round(float(share), 6) for share in shares]
