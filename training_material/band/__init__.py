"""Songs of a sampled band: human drum performances on a recorded kit, sampled basses and guitars."""
