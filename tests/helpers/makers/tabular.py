"""Measurements alone: scikit-learn, XGBoost and LightGBM, through their converters."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from makers.data import CLASSES, TRAIN, Samples


def fit(samples: Samples, model: Any, names: bool) -> Any:
    target = np.array(CLASSES)[samples.label] if names else samples.label
    return model.fit(samples.vitals[:TRAIN], target[:TRAIN])


def make_sklearn(folder: Path, samples: Samples) -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted = fit(samples, make_pipeline(StandardScaler(), LogisticRegression()), names=True)
    proto = to_onnx(fitted, samples.vitals[:1], options={"zipmap": False})
    onnx.save(proto, folder / "model.onnx")


def make_xgboost(folder: Path, samples: Samples) -> None:
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from xgboost import XGBClassifier

    fitted = fit(samples, XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1, random_state=0), names=False)
    proto = convert_xgboost(fitted, initial_types=[("vitals", FloatTensorType([None, 4]))], target_opset=15)
    onnx.save(proto, folder / "model.onnx")


def make_lightgbm(folder: Path, samples: Samples) -> None:
    from lightgbm import LGBMClassifier
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = LGBMClassifier(n_estimators=20, num_leaves=7, n_jobs=1, random_state=0, verbose=-1)
    fitted = fit(samples, model, names=True)
    proto = convert_lightgbm(
        fitted, initial_types=[("vitals", FloatTensorType([None, 4]))], target_opset=15, zipmap=False
    )
    onnx.save(proto, folder / "model.onnx")
