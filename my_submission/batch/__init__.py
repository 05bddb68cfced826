"""A whole catalogue over a Ray cluster or this machine: the door behind ``python -m my_submission batch``.

Its floors, from the ground up: ``places`` (files here, in object stores and on the web), ``outcomes`` · ``catalogue``
(which songs), ``recipe`` (what is done to each), ``manifests`` (what is done already) · ``scratch``, ``separation``
(one song, in a worker) · ``scheduling`` (which worker does what, retries; knows nothing of Ray) · ``ray_cluster``
(the only file that imports Ray) · ``summary``, ``display`` · ``run``, ``scoring``.
"""
