"""What it costs to watch what a node runs and opens: nothing watched, as always, and with `runway prepare --audit`.

    python benchmarks/audit.py [--rounds 5] [--cache FOLDER] [--only imdb clean chain]

Three pieces of work, each pass a new process, the three ways in turn within a round: the node that tokenises 2,000 IMDb
reviews (the first call fetches them), a node that cleans 200,000 rows in pure Python with four calls of helpers a row,
and a chain of 200 trivial nodes, cold. The time is the processor's, of the pipeline without
imports: others share the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
sys.path[:0] = [str(HERE / "competitors"), str(REPOSITORY)]

OFF, DEFAULT, AUDIT = WAYS = ("off", "default", "audit")
CLEANING = """
from runway import BaseTransform, register_transform_functor


def lower(text):
    return text.lower()


def without_tags(text):
    return text.replace("<br />", " ")


def squeezed(text):
    return " ".join(text.split())


def clean(text):
    return squeezed(without_tags(lower(text)))


@register_transform_functor
class Clean(BaseTransform):
    def _call(self, data):
        rows = [f"Row {number}<br /> of  the Data" for number in range(200_000)]
        return len({clean(row) for row in rows})
"""


def imdb(cache: Path, scratch: Path) -> float:
    """Seconds of the node that tokenises, whose input is in the cache."""
    from runway import DataPipeline, load_config
    from runway.user_code import import_project_code

    import_project_code(REPOSITORY, ["data_ops"])
    again = "data_pipeline.transforms.process:TokenizeImdbDataset.regenerate=true"
    overrides = ["dataset.train_rows=2000", "dataset.valid_rows=200", "dataset.test_rows=200", again]
    config = load_config(REPOSITORY / "configs/imdb_classification/exp_config.jsonnet", overrides)
    pipeline = DataPipeline(
        config["data_pipeline"], global_config=config, project=REPOSITORY, cache_dir=cache, quiet=True
    )
    pipeline.prepare(["process:SelectReviews"])
    return _seconds(lambda: pipeline.prepare(["process:TokenizeImdbDataset"]))


def clean(cache: Path, scratch: Path) -> float:
    """Seconds of a node in pure Python."""
    from runway import DataPipeline
    from runway.user_code import import_project_code

    (scratch / "src" / "data_ops").mkdir(parents=True)
    (scratch / "src" / "data_ops" / "cleaning.py").write_text(CLEANING, encoding="utf-8")
    import_project_code(scratch, ["data_ops"])
    config = {"transforms": {"output:Clean": {"transform_name": "Clean"}}}
    pipeline = DataPipeline(config, project=scratch, cache_dir=scratch / "cache", quiet=True)
    return _seconds(lambda: pipeline.prepare())


def chain(cache: Path, scratch: Path) -> float:
    """Seconds of 200 trivial nodes, cold."""
    from harness import Job
    from with_runway import prepare

    return _seconds(prepare(Job("chain", 200, True, scratch)))


WORK = {"imdb": imdb, "clean": clean, "chain": chain}


def _seconds(run: object) -> float:
    started = time.process_time()
    with contextlib.redirect_stdout(sys.stderr):
        run()  # type: ignore[operator]
    return time.process_time() - started


def watch_nothing() -> None:
    """Import the project as Python does, and run nodes without any note."""
    from runway import project_modules

    project_modules.install = lambda: None
    from runway.pipeline import node, observed

    node.observing = lambda *_: contextlib.nullcontext(observed.Observed(set()))
    node.note_what_ran = lambda *_: None


def one_pass(work: str, way: str, cache: Path) -> float:
    """Seconds of one piece of work in a new process."""
    with tempfile.TemporaryDirectory(prefix="runway-bench-") as scratch:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "TOKENIZERS_PARALLELISM": "false"}
        environment.pop("RUNWAY_AUDIT", None)
        if way == AUDIT:
            environment["RUNWAY_AUDIT"] = os.path.join(scratch, "audit.jsonl")
        command = [sys.executable, __file__, "--child", work, way, scratch, "--cache", str(cache)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{work}, {way}: {done.stderr}")
        if way == AUDIT and not Path(environment["RUNWAY_AUDIT"]).exists():
            raise SystemExit(f"{work}: the audit saw nothing")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the medians are shown (5)")
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runway-bench" / "audit"
    parser.add_argument("--cache", type=Path, default=default, help="where the reviews are kept")
    parser.add_argument("--only", nargs="*", choices=list(WORK), default=list(WORK), help="which work to do")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        work, way, scratch = options.child
        if way == OFF:
            watch_nothing()
        print(json.dumps(WORK[work](options.cache, Path(scratch))))
        return 0
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for work in options.only:
        one_pass(work, DEFAULT, options.cache)  # unmeasured: files that are cold, reviews to fetch
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for work in options.only:
            for way in WAYS:
                found[work, way].append(one_pass(work, way, options.cache))
    print(f"{'seconds':10}" + "".join(f"{way:>10}" for way in WAYS) + f"{'default/off':>14}{'audit/off':>12}")
    for work in options.only:
        off, usual, audit = (median(found[work, way]) for way in WAYS)
        cells = "".join(f"{value:10.3f}" for value in (off, usual, audit))
        print(f"{work:10}{cells}{usual / off:14.2f}{audit / off:12.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
