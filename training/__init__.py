"""Trains separation networks: song folders, augmentation, both phases, ONNX export. It separates no songs itself."""
