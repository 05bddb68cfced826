"""Tables of an experiment, one settings class each; losses, optimisers and effects have theirs beside their code."""
