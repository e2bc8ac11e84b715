"""Classifiers as other tools make them, each with its data and its own pipeline: a plain onnxruntime loop."""
