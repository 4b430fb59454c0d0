"""Two processes: the rows of all tasks are recorded once each, in the order in which one process records them."""

from __future__ import annotations

import json

import pytest

SCRIPT = """
    import json
    from pathlib import Path

    import torch

    from tests.executors.multi_task.tiny_tasks import executor_of, node, tasks_config
    from tests.executors.tiny import trainer

    torch.set_num_threads(1)
    folder = Path(__file__).parent
    nodes = {"output:Sum": node(train=22, test=101, seed=1), "output:Sign": node(train=7, seed=2, classes=True)}
    changed = {"data_pipeline": {"transforms": nodes}}
    overrides = ("test.batch_size=4", "train.mixing={batches: alternating}")
    executor = executor_of(tasks_config(folder, *overrides, **changed))
    run = trainer(folder, devices=2, strategy="ddp", max_epochs=2)
    run.fit(executor)
    run.test(executor, verbose=False)
    recorder = executor.test_eval_recorder
    told = {
        "rows": recorder.get_sample_logs("list") if run.global_rank == 0 else [],
        "metrics": {name: float(value) for name, value in run.callback_metrics.items()},
        "steps": run.global_step,
        "heads": [float(weight.sum()) for weight in executor.model.heads.parameters()],
    }
    if run.global_rank == 0:
        torch.save(executor.state_dict(), folder / "weights.pt")
    (folder / f"rank{run.global_rank}.json").write_text(json.dumps(told))
"""

ALONE = """
    import json
    from pathlib import Path

    import torch

    from tests.executors.multi_task.tiny_tasks import executor_of, node, tasks_config
    from tests.executors.tiny import trainer

    torch.set_num_threads(1)
    folder = Path(__file__).parent
    nodes = {"output:Sum": node(train=22, test=101, seed=1), "output:Sign": node(train=7, seed=2, classes=True)}
    executor = executor_of(tasks_config(folder, data_pipeline={"transforms": nodes}))
    executor.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    run = trainer(folder)
    run.test(executor, verbose=False)
    rows = executor.test_eval_recorder.get_sample_logs("list")
    metrics = {name: float(value) for name, value in run.callback_metrics.items()}
    (folder / "alone.json").write_text(json.dumps({"rows": rows, "metrics": metrics}))
"""


@pytest.mark.slow
def test_two_processes_record_what_one_does(project):
    project.python(project.write("train.py", SCRIPT), timeout=400)
    project.python(project.write("alone.py", ALONE), timeout=400)
    first, second, alone = (json.loads(project.read(name)) for name in ("rank0.json", "rank1.json", "alone.json"))
    assert first["heads"] == second["heads"]
    assert first["steps"] == second["steps"] == 8  # 6 + 2 batches of 4 rows, half of them each, twice
    rows = first["rows"]
    assert [row["task"] for row in rows] == [row["task"] for row in alone["rows"]] == ["sign"] * 5 + ["sum"] * 101
    for row, other in zip(rows, alone["rows"], strict=True):
        assert row.keys() == other.keys()
        assert (row["target"], row["ground_truth_class_id"]) == (other["target"], other["ground_truth_class_id"])
        for name in ("prediction", "probability", "loss"):
            assert row[name] == (other[name] if other[name] is None else pytest.approx(other[name], rel=1e-4, abs=1e-6))
    for name, value in alone["metrics"].items():
        assert first["metrics"][name] == second["metrics"][name] == pytest.approx(value, rel=1e-4)
