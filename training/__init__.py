"""Trains separation networks: song folders, augmentation, both phases, ONNX export. Nothing of it separates songs."""
