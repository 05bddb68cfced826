"""Phase 2: fitting of Mixers and blends to the estimates of trained networks, and their scores."""
