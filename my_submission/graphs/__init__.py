"""ONNX graphs built, walked, converted and rewritten in memory, without torch and without running them."""
