"""What a sweep costs for each trial, all but the training itself.

    python benchmarks/sweep_overhead.py [--trials 4] [--parallel 1] [--json FILE] [--quick]

Trials of a model that trains in a moment. The training is the time between the first and the last hook of Trainer.fit,
which the executor writes down; the rest of the trial's process is its start (imports, config, checks, building), its
checkpoints and its end; the rest of the sweep is the sweep's own. The floor is a process that imports torch and
Lightning, which every training by Lightning pays.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

DATA = """
import torch
from torch.utils.data import DataLoader, TensorDataset

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class Points(BaseTransform):
    def _call(self, data):
        rows = TensorDataset(torch.arange(64.0)[:, None], torch.arange(64.0)[:, None])
        return {
            "train_dataloaders": [DataLoader(rows, batch_size=8)],
            "val_dataloaders": [DataLoader(rows, batch_size=64)],
        }
"""

EXECUTOR = """
import os
import time

import torch

from runway import BaseExecutor, register_executor


@register_executor
class Line(BaseExecutor):
    def _init_model(self, model_config):
        self.model = torch.nn.Linear(1, 1)

    def on_fit_start(self):
        self.began = time.perf_counter()

    def on_fit_end(self):
        with open(os.environ["FITS"], "a") as file:
            file.write(f"{time.perf_counter() - self.began}\\n")

    def training_step(self, batch, batch_idx):
        return ((self.model(batch[0]) - batch[1]) ** 2).mean()

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))
"""

CONFIG = """
{
  experiment_name: 'line',
  meta: { logger_enable: [] },
  data_pipeline: { transforms: { 'output:Points': { transform_name: 'Points', cache: false } } },
  model_config: {},
  executor: { ExecutorClass: 'Line', init_kwargs: { use_data_node: 'output:Points' } },
  train: {
    trainer_paras: { max_epochs: 2, accelerator: 'cpu', enable_progress_bar: false, num_sanity_val_steps: 0 },
    optimizer_config: { optimizer_name: 'SGD', optimizer_params: { lr: 1e-5 } },
  },
}
"""


def seconds_of(command: list[str], folder: Path, env: dict[str, str]) -> tuple[float, str]:
    """How long a command takes, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - started, done.stdout


def measure(trials: int, parallel: int) -> dict[str, float]:
    """The figures of one sweep."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in (("src/data_ops/d.py", DATA), ("src/executors/e.py", EXECUTOR), ("c.jsonnet", CONFIG)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "PYTHONPATH": path, "FITS": str(folder / "fits"), "OMP_NUM_THREADS": "1"}
        floor = ["-c", "import torch, lightning.pytorch"]
        floors = [seconds_of([sys.executable, *floor], folder, env)[0] for _ in range(min(trials, 3))]
        rates = ",".join(f"{number}e-6" for number in range(1, trials + 1))
        values = f"train.optimizer_config.optimizer_params.lr={rates}"
        command = [sys.executable, "-m", "runway", "sweep", "c.jsonnet", "--grid", values]
        command += ["--parallel", str(parallel), "--test", "none", "--json"]
        whole, printed = seconds_of(command, folder, env)
        again, _ = seconds_of(command, folder, env)
        found = json.loads(printed)
        processes = [trial["seconds"] for one in found["settings"] for trial in one["trials"]]
        fits = [float(line) for line in re.findall(r"[\d.]+", (folder / "fits").read_text())]
        assert len(fits) == len(processes) == trials
    return {
        "trials": trials,
        "parallel": parallel,
        "floor": statistics.median(floors),
        "training": statistics.median(fits),
        "process": statistics.median(processes),
        "overhead": statistics.median(processes) - statistics.median(fits),
        "sweep alone": again,
        "sweep per trial": (whole - again - sum(processes) / parallel) / trials,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one trial")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    found = measure(1 if arguments.quick else arguments.trials, arguments.parallel)
    floor = found["floor"]
    print(f"{'seconds':<52}{'':>8}{'ratio':>8}")
    for name, value in (
        ("python -c 'import torch, lightning.pytorch'", floor),
        ("a trial's process, without its training", found["overhead"]),
        ("its training", found["training"]),
        ("the sweep itself, for each trial more", found["sweep per trial"]),
        ("the same sweep again, which trains nothing", found["sweep alone"]),
    ):
        print(f"{name:<52}{value:>8.2f}{value / floor:>8.2f}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
