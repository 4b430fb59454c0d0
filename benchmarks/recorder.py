"""EvalRecorder beside plain pyarrow streamed to parquet (zstd): rows/s, added memory, each in a process of its own.

    python benchmarks/recorder.py [--rows 1000000] [--repeat 5]

Six columns (2 int, 2 short text, 1 float, 1 text of 200 characters) in batches of 64. ``write`` is logging and
saving; ``read`` is loading every column as Arrow; ``column`` is loading two columns of the six.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BATCH = 64
CONTENDERS = ("runway", "pyarrow")
STAGES = ("write", "read", "column")


def batches(rows: int) -> Iterator[dict[str, list]]:
    """The same batches for everybody; texts are cut from one long random text, so that they compress like text."""
    pool = random.Random(0)
    words = ["".join(pool.choices("abcdefghijklmnopqrstuvwxyz", k=pool.randint(2, 9))) for _ in range(2000)]
    text = " ".join(pool.choices(words, k=500_000))
    for start in range(0, rows, BATCH):
        indices = range(start, min(start + BATCH, rows))
        yield {
            "index": list(indices),
            "label": [index % 2 for index in indices],
            "predicted": ["POSITIVE" if index % 3 else "NEGATIVE" for index in indices],
            "truth": ["POSITIVE" if index % 2 else "NEGATIVE" for index in indices],
            "score": [index / rows for index in indices],
            "text": [text[(at := index * 7919 % 2_500_000) : at + 200] for index in indices],
        }


def write_runway(rows: int, folder: Path) -> None:
    """Log to a recorder and save it."""
    from runway import EvalRecorder

    recorder = EvalRecorder("bench", folder)
    for batch in batches(rows):
        recorder.log_sample_dict_batch(batch)
    recorder.save_to_disk()


def write_pyarrow(rows: int, folder: Path) -> None:
    """Stream tables of 65,536 rows into a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None
    pending: dict[str, list] = {}

    def flush() -> None:
        nonlocal writer
        table = pa.table(pending)
        writer = writer or pq.ParquetWriter(folder / "plain.parquet", table.schema, compression="zstd")
        writer.write_table(table)
        pending.clear()

    for batch in batches(rows):
        for name, values in batch.items():
            pending.setdefault(name, []).extend(values)
        if len(pending["index"]) >= 65536:
            flush()
    if pending:
        flush()
    assert writer is not None
    writer.close()


def read_runway(rows: int, folder: Path) -> None:
    """Load the recorder and take all columns."""
    from runway import EvalRecorder

    assert EvalRecorder.load_from_disk("bench", folder).get_sample_logs("arrow").num_rows == rows


def read_pyarrow(rows: int, folder: Path) -> None:
    """Read the parquet file."""
    import pyarrow.parquet as pq

    assert pq.read_table(folder / "plain.parquet").num_rows == rows


def column_runway(rows: int, folder: Path) -> None:
    """Load the recorder and take what a metric needs."""
    from runway import EvalRecorder

    recorder = EvalRecorder.load_from_disk("bench", folder)
    for name in ("predicted", "truth"):
        assert len(recorder.get_sample_logs_column(name, "arrow")) == rows


def column_pyarrow(rows: int, folder: Path) -> None:
    """Read two columns."""
    import pyarrow.parquet as pq

    assert pq.read_table(folder / "plain.parquet", columns=["predicted", "truth"]).num_rows == rows


def make_batches(rows: int, folder: Path) -> None:
    """The cost of making the data, which is taken off."""
    for _ in batches(rows):
        pass


def measure(work: Callable[[int, Path], None], rows: int, folder: Path) -> dict[str, float]:
    """Seconds and peak added memory of ``work``, after what it imports is imported."""
    import pyarrow as pa
    import pyarrow.parquet

    import runway.recorder.recorder  # noqa: F401

    pa.array([1])  # makes Arrow's memory pool
    for _ in batches(BATCH):
        pass
    before, peak, done = _resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], _resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, start_cpu = time.perf_counter(), time.process_time()
    work(rows, folder)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak[0] = max(peak[0], _resident())
    done.set()
    watcher.join()
    return {"seconds": seconds, "cpu": cpu, "megabytes": (peak[0] - before) / 1e6}


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_child(function: str, rows: int, folder: Path) -> dict[str, float]:
    """Measure one function of this file in a new process."""
    command = [sys.executable, __file__, "--child", function, "--rows", str(rows), "--folder", str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Measure, and print the table and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--repeat", type=int, default=5, help="the best of so many runs is shown: others use this machine too"
    )
    parser.add_argument("--quick", action="store_true", help="a few rows, once: to see that it runs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(globals()[options.child], options.rows, options.folder)))
        return
    rows, repeat = (10_000, 1) if options.quick else (options.rows, options.repeat)
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        making = [in_child("make_batches", rows, folder) for _ in range(repeat)]
        for _ in range(repeat):
            for stage in STAGES:
                for contender in CONTENDERS:
                    child = in_child(f"{stage}_{contender}", rows, folder)
                    found.setdefault((stage, contender), []).append(child)
        saved = sum(path.stat().st_size for path in (folder / "bench").iterdir())
        plain = (folder / "plain.parquet").stat().st_size
    made = {key: min(run[key] for run in making) for key in ("seconds", "cpu")}
    print(f"{rows:,} rows in batches of {BATCH}, best of {repeat}; making them ({made['seconds']:.2f} s) is taken off")
    print(f"{'':8}{'':10}{'seconds':>9}{'rows/s':>13}{'cpu s':>9}{'added MB':>10}")
    for stage in STAGES:
        figures = {contender: _figures(found[stage, contender], made, stage) for contender in CONTENDERS}
        for contender, (seconds, cpu, megabytes) in figures.items():
            print(f"{stage:8}{contender:10}{seconds:9.3f}{rows / seconds:13,.0f}{cpu:9.3f}{megabytes:10.0f}")
        time_ratio, cpu_ratio, memory_ratio = (a / b for a, b in zip(*figures.values(), strict=True))
        print(f"{stage:8}{'ratio':10}{time_ratio:8.2f}x{1 / time_ratio:12.2f}x{cpu_ratio:8.2f}x{memory_ratio:9.2f}x")
    print(f"file size: runway {saved / 1e6:.1f} MB, pyarrow {plain / 1e6:.1f} MB")


def _figures(runs: list[dict[str, float]], made: dict[str, float], stage: str) -> tuple[float, float, float]:
    """Seconds, CPU seconds and added megabytes, each the best."""
    best = {key: min(run[key] for run in runs) for key in runs[0]}
    off = made if stage == "write" else {"seconds": 0.0, "cpu": 0.0}
    seconds, cpu = (max(best[key] - off[key], 1e-6) for key in ("seconds", "cpu"))
    return seconds, cpu, max(best["megabytes"], 0.1)


if __name__ == "__main__":
    main()
