"""ONNX graphs: built, walked, rewritten and cut in memory, without torch and without running them."""
