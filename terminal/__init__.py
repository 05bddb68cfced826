"""Terminal output, standard streams and signals of every command; standard library, rich and psutil alone.

``names`` escapes file names for storage and display, ``process`` starts and ends a command, ``documents`` reads JSON
and TOML. ``evaluator``, ``my_submission`` and ``training`` import this package; it imports none of them.
"""
