"""Bands: human drum performances on a recorded kit, recorded basses and guitars, mixed into songs to train on."""
