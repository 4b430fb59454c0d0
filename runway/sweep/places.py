"""The places for trials on this machine: each with its GPUs and its share of the threads."""

from __future__ import annotations

import os
from collections.abc import Mapping

from runway.errors import must_be
from runway.pipeline.runners.resources import THREADS, VISIBLE, cpus, deal_gpus, gpus, share_of_cpus


def places_here(parallel: int | None, resources: Mapping[str, float]) -> list[dict[str, str]]:
    """The environment of each trial that runs at once.

    Args:
        parallel: so many trials at a time; None: as many as there are GPUs for, or one.
        resources: ``num_gpus`` and ``num_cpus`` of one trial.

    Raises:
        ConfigError: a trial wants more GPUs than there are, or a part of one.
    """
    there = gpus()
    each = resources.get("num_gpus")
    must_be(
        each is None or float(each).is_integer(),
        "num_gpus",
        "a whole number",
        each,
        where="sweep.resources",
        hint="for several trials on one GPU give `parallel`, and leave `num_gpus` out",
    )
    wanted = None if each is None else int(each)
    if parallel is None:
        parallel = max(1, len(there) // wanted) if wanted else max(1, len(there))
        wanted = 1 if wanted is None and there else wanted
    dealt = deal_gpus(there, parallel, wanted)
    threads = int(resources.get("num_cpus") or 0) or share_of_cpus(parallel, cpus())
    places = []
    for names in dealt:
        own = {VISIBLE: ",".join(names)} if there or wanted == 0 else {}
        places.append(own | {name: str(threads) for name in THREADS if "OMP_NUM_THREADS" not in os.environ})
    return places
