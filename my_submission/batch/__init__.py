"""Separation of a whole catalogue over a Ray cluster or this machine, for ``python -m my_submission batch``.

Layers, lowest first: ``remote_paths`` (files on this machine, in object stores and on the web), ``outcomes`` ·
``catalogue`` (the songs), ``recipe`` (system and options), ``scheduling`` (tasks, workers and retries, without Ray) ·
``earlier_results``, ``ray_cluster`` (the only file that imports Ray), ``summary``, ``display`` · ``separation`` (one
song, in a worker), ``scoring`` · ``run``.
"""
