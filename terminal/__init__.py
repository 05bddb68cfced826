"""What every command of this tree needs of the terminal and of its own process; standard library and rich alone.

Names that are no text, or that a terminal would obey, are stored and shown by ``names``. ``process`` begins and ends a
command: its standard streams, its signals, its age. Stands below ``evaluator``, ``my_submission`` and ``training``.
"""
