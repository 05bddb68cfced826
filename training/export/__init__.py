"""Export of trained networks: ONNX graphs, state dicts, and their manifest entries."""
