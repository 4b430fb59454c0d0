"""What a long run grows by: ``python -m tests.faults.long_runs validations FOLDER COUNT`` or ``recorder FOLDER ROWS``.

``validations`` trains with a validation after each step, with checkpoints, loggers, recorders and an evaluation
pipeline, and prints memory, open files, threads and files. ``recorder`` takes a recorder through all that is done
with one, and prints the most memory that each part took.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, tiny

NAMES = ("rss_mb", "open_files", "threads", "files", "recorders")


def now(run: Path) -> dict[str, float]:
    """Memory, open files and threads of this process; files of a run, those of its validations' recorders apart."""
    _let_go()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = [path for path in run.rglob("*") if path.is_file()]
    recorded = sum("recorders" in path.parts for path in files)
    figures = (pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd")), threading.active_count())
    return dict(zip(NAMES, (*figures, len(files) - recorded, recorded), strict=True))


def _let_go() -> None:
    """Give back what is not used: what allocators keep is no leak."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)


@register_executor
class LongRegression(TinyRegression):
    """Looks at the process after some validations."""

    at: tuple[int, ...] = ()
    seen: dict[int, dict[str, float]] = {}  # noqa: RUF012

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """After the validation of the step before."""
        if self.global_step in self.at:
            self.seen[self.global_step] = now(Path(self.trainer.default_root_dir))


def validations(folder: Path, count: int) -> dict[int, dict[str, float]]:
    """Train so many steps, each followed by a validation; gives the figures after a tenth, half and all of them."""
    LongRegression.at, LongRegression.seen = (count // 10, count // 2, count), {}
    settings = (
        "executor.ExecutorClass=LongRegression",
        f"train.trainer_paras.max_steps={count + 1}",
        "train.trainer_paras.max_epochs=-1",
        "train.trainer_paras.val_check_interval=1",
        "train.model_checkpoint_callback_paras={monitor: 'mean_error', mode: 'min', save_top_k: 2}",
        "train.early_stop_patience=100000",
        "meta.logger_enable=['csv', 'tensorboard']",
    )
    tiny(folder, *settings).train()
    return LongRegression.seen


def growth(figures: dict[int, dict[str, float]]) -> dict[str, float]:
    """What each figure grows by in one validation, between the first and the last look."""
    first, *_, last = sorted(figures)
    return {name: (figures[last][name] - figures[first][name]) / (last - first) for name in NAMES}


def recorder(folder: Path, rows: int, batch: int = 1000) -> dict[str, tuple[float, float]]:
    """Log, save, load, look, sort, evaluate and export so many rows; gives {part: (seconds, MB at the most)}."""
    from runway.recorder import EvalRecorder
    from runway.transforms.evaluation.recorders import ComputeMetrics

    taken: dict[str, tuple[float, float]] = {}
    random = np.random.default_rng(0)

    def part(name: str, work: Callable[[], Any]) -> Any:
        _let_go()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        began = time.perf_counter()
        result = work()
        status = Path("/proc/self/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        taken[name] = (time.perf_counter() - began, peak / 1e3)
        print(f"{name:12} {taken[name][0]:7.1f} s   at most {taken[name][1]:7.0f} MB", flush=True)
        return result

    def log() -> EvalRecorder:
        made = EvalRecorder("long", folder)
        for start in range(0, rows, batch):
            size = min(batch, rows - start)
            classes = torch.from_numpy(random.integers(0, 5, size))
            columns = {"row": list(range(start, start + size)), "predicted": classes, "true": classes.flip(0)}
            made.log_sample_dict_batch(
                columns | {"score": random.random(size), "text": ["a text of some words"] * size}
            )
        return made

    def metrics(of: EvalRecorder) -> EvalRecorder:
        scorer = ComputeMetrics(name="metrics", project=folder)
        scorer.setup(metrics=["accuracy"], pred_field="predicted", ref_field="true")
        return scorer(of)

    made = part("log", log)
    part("save", made.save_to_disk)
    del made
    loaded = part("load", lambda: EvalRecorder.load_from_disk("long", folder))
    assert len(loaded) == rows
    part("one column", lambda: len(loaded.get_sample_logs_column("score", "numpy")))
    part("evaluate", lambda: metrics(loaded))
    part("sort", lambda: len(loaded.sort_by("score")))
    part("csv", lambda: loaded.fork().save_to_disk("table", "csv"))
    part("json", lambda: loaded.fork().save_to_disk("table", "json"))
    part("arrow", lambda: loaded.get_sample_logs("arrow").num_rows)
    del taken["arrow"]  # all rows in memory, because that is what is asked for
    return taken


if __name__ == "__main__":
    what, where, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    where.mkdir(parents=True, exist_ok=True)
    if what == "validations":
        found = validations(where, number)
        for count, figures in found.items():
            print(count, json.dumps(figures))
        print("a validation grows it by", json.dumps(growth(found)))
    else:
        most = max(peak for _, peak in recorder(where, number).values())
        sys.exit(f"more than 1 GB: {most:.0f} MB" if most > 1000 else 0)
