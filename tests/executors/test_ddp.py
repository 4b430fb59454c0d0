"""Two processes on one machine: each records its shard, one evaluates the whole."""

from __future__ import annotations

import json

import pytest

from runway import EvalRecorder
from tests.executors.tiny import TokenRows

SCRIPT = """
    import json, sys
    from pathlib import Path

    import torch

    from runway.executors.text_classification import TextClassificationExecutor
    from tests.executors.tiny import ACCURACY_PIPELINE, build, dataset_config, tiny_config, trainer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = Path(__file__).parent

    # Batches by length, with an index, dealt out by runway's own sampler.
    config = dataset_config(folder, ["a", "b"], eval={"pipeline_config": ACCURACY_PIPELINE})
    config.test.batch_size = 3
    executor = build(TextClassificationExecutor, config)
    executor.recorders_dir = folder / "recorders"
    run = trainer(folder, devices=2, strategy="ddp", max_epochs=2)
    run.fit(executor)
    told = {"accuracy": float(run.callback_metrics["accuracy"]), "batches": run.num_training_batches}

    # A plain loader without an index: Lightning puts torch's DistributedSampler into it.
    executor = build(TextClassificationExecutor, tiny_config(folder))
    run.test(executor, verbose=False)
    told["truth"] = executor.test_eval_recorder.get_sample_logs_column("ground_truth_class_id")
    (folder / f"rank{run.global_rank}.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_shards_are_merged_in_the_order_of_the_dataset(project):
    script = project.write("train.py", SCRIPT)
    project.python(script, timeout=240)
    first, second = (json.loads(project.read(f"rank{rank}.json")) for rank in (0, 1))

    assert first["truth"] == TokenRows(9, seed=2).labels  # 9 rows on two ranks: the sampler repeats one
    assert len(second["truth"]) == 5
    assert first["batches"] == second["batches"] == 2  # 30 rows in batches of 8, half of them each

    recorders = project.path / "recorders"
    assert sorted(folder.name for folder in recorders.iterdir()) == ["validation-step2", "validation-step4"]
    (saved,) = (recorders / "validation-step4").glob("*.parquet")
    prefix = saved.name.removesuffix("-sample_log.parquet")
    recorder = EvalRecorder.load_from_disk("validation-step4", recorders, file_prefix=prefix)
    truth = recorder.get_sample_logs_column("ground_truth_class_id")
    assert truth == TokenRows(9, seed=1).labels
    predicted = recorder.get_sample_logs_column("predicted_class_id")
    right = sum(a == b for a, b in zip(truth, predicted, strict=True))
    assert first["accuracy"] == second["accuracy"] == pytest.approx(right / 9)
