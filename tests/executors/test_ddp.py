"""Two processes on one machine: each records its shard, one evaluates the whole."""

from __future__ import annotations

import json

import pytest

from runway import EvalRecorder
from tests.executors.tiny import TokenRows
from tests.executors.tiny_translation import pairs

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


OWN_LOADERS = """
    import json
    from pathlib import Path

    import torch
    import torch.distributed as dist
    from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset

    from runway.executors.base_executor import BaseExecutor
    from tests.executors.tiny import build, tiny_config, trainer

    torch.set_num_threads(1)
    folder = Path(__file__).parent
    rows = list(range(101))


    class Stream(IterableDataset):
        def __iter__(self):
            return iter(rows[dist.get_rank() :: 2])


    class ByLength(BatchSampler):
        def __iter__(self):
            yield from sorted(super().__iter__(), key=lambda batch: -max(batch))


    class Kinds(BaseExecutor):
        kind = ""

        def _init_model(self, model_config):
            self.model = torch.nn.Linear(1, 1)

        def val_dataloader(self):
            if self.kind == "stream":
                return DataLoader(Stream(), batch_size=4)
            if self.kind == "shards":
                return DataLoader(rows[dist.get_rank() :: 2], batch_size=4)
            sampler = DistributedSampler(rows, num_replicas=2, rank=dist.get_rank(), shuffle=self.kind == "shuffled")
            if self.kind == "shuffled":
                return DataLoader(rows, sampler=sampler, batch_size=4)
            return DataLoader(rows, batch_sampler=ByLength(sampler, 4, False))

        def validation_step(self, batch, batch_idx):
            self.log("val_mean", batch.float().mean(), sync_dist=True)
            self.valid_eval_recorder.log_sample_dict_batch({"row": batch.tolist()})

        def on_validation_epoch_end(self):
            return  # without super()

        def recorded_metrics(self, prefix, recorder):
            if self.kind == "fails":
                raise KeyError("gold")
            return {}


    executor = build(Kinds, tiny_config(folder))
    run = trainer(folder, devices=2, strategy="ddp", use_distributed_sampler=False)
    told = {}
    for kind in ("batch_sampler", "shuffled", "stream", "shards"):
        executor.kind = kind
        run.validate(executor, verbose=False)
        told[kind] = executor.valid_eval_recorder.get_sample_logs_column("row")
    executor.kind = "fails"
    try:
        run.validate(executor, verbose=False)
    except Exception as error:
        told["error"] = str(error)
    (folder / f"rank{run.global_rank}.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_no_row_of_own_loaders_is_lost(project):
    project.python(project.write("own_loaders.py", OWN_LOADERS), timeout=240)
    first, second = (json.loads(project.read(f"rank{rank}.json")) for rank in (0, 1))
    assert first["batch_sampler"] == first["shuffled"] == list(range(101))
    assert sorted(first["stream"]) == sorted(first["shards"]) == list(range(101))
    assert "gold" in first["error"]
    assert "the evaluation on the first process has failed: KeyError: 'gold'" in second["error"]


SPAWNED = """
    import json
    from pathlib import Path

    import lightning
    import torch
    from datasets import Dataset

    from runway.transforms.batching.dataloaders import make_dataloader
    from tests.executors.tiny import TokenRows, trainer

    class TellsRows(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.epochs = []

        def on_train_epoch_start(self):
            self.epochs.append([])

        def training_step(self, batch, batch_idx):
            self.epochs[-1].append(batch["index"].tolist())
            return (self.weight - batch["input_ids"].float().mean()) ** 2

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def on_fit_end(self):
            told = {"epochs": self.epochs, "sampler": type(self.trainer.train_dataloader.sampler).__name__}
            Path(__file__).with_name(f"rank{self.global_rank}.json").write_text(json.dumps(told))

    if __name__ == "__main__":
        rows = TokenRows(30, seed=0)
        dataset = Dataset.from_dict({"input_ids": rows.token_ids, "label": rows.labels})
        loader = make_dataloader(dataset, batch_size=8, shuffle=True)  # goes to the processes by pickle
        run = trainer(Path(__file__).parent, devices=2, strategy="ddp_spawn", max_epochs=2)
        run.fit(TellsRows(), loader)
"""


@pytest.mark.slow
def test_the_sampler_goes_to_spawned_processes(project):
    project.python(project.write("spawned.py", SPAWNED), timeout=240)
    first, second = (json.loads(project.read(f"rank{rank}.json")) for rank in (0, 1))
    assert first["sampler"] == second["sampler"] == "LengthBucketSampler"
    for one, other in zip(first["epochs"], second["epochs"], strict=True):
        assert len(one) == len(other) == 2  # 30 rows in batches of 8, half of them each
        assert sorted(row for batch in one + other for row in batch) == list(range(30))
    assert first["epochs"][0] != first["epochs"][1], "each epoch has an order of its own"


TRANSLATION = """
    local translation = import 'runway/translation.libsonnet';
    translation.experiment {
      experiment_name: 'words',
      meta+: { EXPERIMENT_FOLDER: 'runs' },
      data_path: 'data',
      dataset+: { source_lang: 'de', target_lang: 'en', filter+: { drop_duplicates: null } },
      tokenizer+: { vocab_size: 40 },
      model_config+: { from_config_kwargs+: {
        d_model: 32, encoder_layers: 1, decoder_layers: 1, encoder_attention_heads: 2, decoder_attention_heads: 2,
      } },
      executor+: { init_kwargs+: { generate_in_validation: true } },
      train+: {
        batch_size: 8,
        trainer_paras+: { max_epochs: 2, accelerator: 'cpu', devices: 2, strategy: 'ddp', precision: '32-true' },
      },
      test+: { batch_size: 4, trainer_paras+: { devices: 2, strategy: 'ddp' } },
    }
"""


@pytest.mark.slow
def test_translation_on_two_ranks(project):
    for number, (split, rows) in enumerate({"train": 60, "valid": 13, "test": 21}.items()):
        sides = zip(*pairs(rows, number), strict=True)
        for language, texts in zip(("de", "en"), sides, strict=True):
            project.write(f"data/{split}.{language}", "\n".join(texts) + "\n")
    project.write("words.jsonnet", TRANSLATION)
    project.run("train", "words.jsonnet", timeout=240)
    project.run("test", "words.jsonnet", "test_suffix=two", timeout=240)
    one_rank = ("test_suffix=one", "test.trainer_paras.devices=1", "~test.trainer_paras.strategy", "test.batch_size=21")
    project.run("test", "words.jsonnet", *one_rank, timeout=240)

    run = project.path / "runs/words_V0"
    two, one = (EvalRecorder.load_from_disk("test-evaluation", run / "test" / suffix) for suffix in ("two", "one"))
    for column in ("source", "reference"):
        texts = [pair[column == "reference"] for pair in pairs(21, 2)]
        assert two.get_sample_logs_column(column) == one.get_sample_logs_column(column) == texts
    assert two.get_sample_logs_column("hypothesis") == one.get_sample_logs_column("hypothesis")
    of_two, of_one = two.get_stats_logs(), one.get_stats_logs()
    for name in ("test_loss", "test_perplexity", "sacrebleu", "chrf"):  # 6 batches on two ranks, 1 on one
        assert of_two[name] == pytest.approx(of_one[name], rel=1e-5)

    saved = json.loads((run / "train/metrics_history.json").read_text())
    assert "val_loss" in json.dumps(saved)
    validation = max((run / "train").rglob("validation-step*"), key=lambda folder: folder.stat().st_mtime)
    recorder = EvalRecorder.load_from_disk(validation.name, validation.parent)
    assert recorder.get_sample_logs_column("source") == [source for source, _ in pairs(13, 1)]
    assert all(isinstance(text, str) for text in recorder.get_sample_logs_column("hypothesis"))
