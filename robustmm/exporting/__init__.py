"""torch to ONNX, the proof that both answer alike, and smaller files."""
