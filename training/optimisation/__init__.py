"""Losses, optimisers and learning-rate schedules."""
