"""linear: logistic regression on simple features of each modality, and late fusion. No network: the line to beat.

    W_m = argmin CE(W_m f_m(x_m) + b_m, y) + l2_m / 2 |W_m|^2,   logits = sum over present m of W_m f_m(x_m) + b_m

f_m are handcrafted features, standardised on the training split, and l2_m is the best on valid. Adding up logits is
multiplying the classifiers' probabilities: late fusion. `training.linear` solves for the weights; in a training by
steps the same objective, without the penalty, is its loss.
"""

from robustmm.methods.base import METHODS, Method, TrainingData
from robustmm.methods.unimodal import Unimodal
from robustmm.model.fusion_model import FusionModel


@METHODS.register("linear")
class Linear(Unimodal):
    """Logistic regression on handcrafted features a modality, and late fusion, in place of the recipe's encoders."""

    alone = True
    linear = True
    grid = {}

    def __init__(self) -> None:
        super().__init__(gamma=1.0)

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        Method.setup(self, model, data)  # the recipe's fusion, whatever it is, gives way to a sum
