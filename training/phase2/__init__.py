"""Phase 2: how the estimates of frozen separators are put together, by a Mixer or by shares of a blend."""
