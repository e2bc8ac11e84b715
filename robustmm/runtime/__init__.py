"""The `.onnx` side of the wall: a file under onnxruntime, cut at its embeddings into encoders and a decoder."""
