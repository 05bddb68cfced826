"""Trains the starter system: rendered corpus, remixing, a training loop, ONNX export, the Mixer."""
