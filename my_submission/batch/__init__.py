"""A whole catalogue over a Ray cluster or this machine: the door behind ``python -m my_submission batch``.

Its floors, from the ground up: ``places`` (files here, in object stores and on the web), ``outcomes`` · ``catalogue``
(which songs), ``recipe`` (what is done to each), ``scheduling`` (which worker does what, retries; knows nothing of
Ray), ``scratch`` · ``manifests`` (what is done already), ``ray_cluster`` (the only file that imports Ray), ``summary``,
``display`` · ``separation`` (one song, in a worker), ``scoring`` · ``run``.
"""
