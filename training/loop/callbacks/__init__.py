"""What happens beside the training step: averaging, graphs, notes on the log."""
