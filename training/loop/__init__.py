"""Training runs on Lightning: the trainer, its callbacks, checkpoints and benchmarks."""
