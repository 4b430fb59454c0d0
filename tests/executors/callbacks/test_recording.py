"""Recording: an executor's hooks lose nothing of the recorder, with ``super()`` and without."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from runway import EvalRecorder
from runway.errors import DataError
from runway.executors.base_executor import BaseExecutor
from runway.registry import register_transform_functor
from runway.transforms.base import BaseTransform
from tests.executors.tiny import build, tiny_config, trainer

if TYPE_CHECKING:
    import lightning

ROWS = 9


class Numbers(Dataset):
    """The numbers 0 to 8."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> int:
        return row


def uneven(rows: list[int]) -> dict[str, torch.Tensor]:
    """A batch whose first tensor has no dimension, and whose last row has by far the greatest error."""
    x = torch.tensor(rows, dtype=torch.float32)
    return {"max_length": torch.tensor(17), "x": x, "y": torch.where(x == ROWS - 1, 100.0, x)}


@register_transform_functor
class CountRows(BaseTransform):
    """Counts the recorder's rows, and what was logged before it."""

    def _call(self, data: Any) -> Any:
        data.log_stats_dict({"counted": len(data), "before": len(data.get_stats_logs())})
        return data


PIPELINE = {"transforms": {"output:Count": {"transform_name": "CountRows"}}}


class Regression(BaseExecutor):
    """One weight."""

    def _init_model(self, model_config: Any) -> None:
        self.model = torch.nn.Linear(1, 1)

    def _errors(self, batch: Any) -> torch.Tensor:
        return (self.model(batch["x"][:, None]).squeeze(1) - batch["y"]) ** 2

    def train_dataloader(self) -> Any:
        return DataLoader(Numbers(), batch_size=4, collate_fn=uneven, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(Numbers(), batch_size=4, collate_fn=uneven)

    test_dataloader = val_dataloader

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self._errors(batch).mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        errors = self._errors(batch)
        self.log("val_loss", errors.mean())
        self.valid_eval_recorder.log_sample_dict_batch({"row": batch["x"].tolist(), "error": errors.tolist()})

    def test_step(self, batch: Any, batch_idx: int) -> None:
        errors = self._errors(batch)
        self.log_dict({"test_loss": errors.mean()})
        self.test_eval_recorder.log_sample_dict_batch({"row": batch["x"].tolist(), "error": errors.tolist()})


def fitted(cls: type, tmp_path: Any, *, pipeline: Any = PIPELINE, **settings: Any) -> tuple[Any, lightning.Trainer]:
    executor = build(cls, tiny_config(tmp_path, valid_pipeline=pipeline))
    executor.recorders_dir = tmp_path / "recorders"
    run = trainer(tmp_path, **settings)
    run.fit(executor)
    return executor, run


def saved(tmp_path: Any, step: int = 3) -> EvalRecorder:
    return EvalRecorder.load_from_disk(f"validation-step{step}", tmp_path / "recorders")


class Forgetful(Regression):
    """Overrides every hook, and calls ``super()`` in none."""

    def setup(self, stage: str) -> None:
        pass

    def configure_callbacks(self) -> list[Any]:
        return []

    def on_fit_start(self) -> None:
        pass

    def on_validation_start(self) -> None:
        self.valid_eval_recorder.log_stats_dict({"at_start": 1})

    def on_validation_epoch_start(self) -> None:
        self.valid_eval_recorder.log_stats_dict({"at_epoch_start": 2})

    def on_validation_batch_start(self, batch: Any, batch_idx: int) -> None:
        pass

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        self.valid_eval_recorder.log_stats_dict({"at_epoch_end": 3})

    def on_validation_end(self) -> None:
        self.valid_eval_recorder.log_stats_dict({"at_end": 4})

    def on_test_start(self) -> None:
        self.test_eval_recorder.log_stats_dict({"at_start": 1})

    def on_test_epoch_end(self) -> None:
        self.test_eval_recorder.log_stats_dict({"at_epoch_end": 3})

    def on_test_end(self) -> None:
        self.rows_at_end = len(self.test_eval_recorder)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        pass


def test_hooks_without_super_change_nothing(tmp_path):
    executor, run = fitted(Forgetful, tmp_path, log_every_n_steps=1)
    recorder = saved(tmp_path)
    assert recorder.get_sample_logs_column("row") == list(range(ROWS))
    logged = {"at_start": 1, "at_epoch_start": 2, "at_epoch_end": 3, "at_end": 4}
    assert recorder.get_stats_logs() == {**logged, "counted": ROWS, "before": 3}
    assert run.callback_metrics["counted"] == ROWS
    assert run.callback_metrics["at_start"] == 1
    assert "lr" in run.callback_metrics

    run.test(executor, verbose=False)
    assert executor.rows_at_end == len(executor.test_eval_recorder) == ROWS
    assert executor.test_eval_recorder.get_stats_logs() == {"at_start": 1, "at_epoch_end": 3}
    assert "validation_step" not in vars(executor)
    assert "on_validation_end" not in vars(executor), "what stood behind the hooks has stepped aside"


class Collecting(Regression):
    """Keeps what the steps give, and records it at the end, as people do."""

    def on_validation_epoch_start(self) -> None:
        self.collected: list[float] = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.collected += self._errors(batch).tolist()

    def on_validation_epoch_end(self) -> None:
        self.valid_eval_recorder.log_sample_dict_batch({"error": self.collected})


def test_rows_that_are_recorded_at_the_end_are_kept(tmp_path):
    executor, run = fitted(Collecting, tmp_path)
    assert saved(tmp_path).get_sample_logs_column("error") == executor.collected
    assert run.callback_metrics["counted"] == ROWS


class InBatchEnd(Regression):
    """Records in the hook after the step, from a shuffled loader."""

    def val_dataloader(self) -> Any:
        return DataLoader(Numbers(), batch_size=4, collate_fn=uneven, shuffle=True)

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return batch["x"].tolist()

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.came = [*getattr(self, "came", []), *outputs]
        self.valid_eval_recorder.log_sample_dict_batch({"row": outputs})


def test_a_shuffled_loader_comes_out_in_order_without_an_index(tmp_path):
    executor, _ = fitted(InBatchEnd, tmp_path, num_sanity_val_steps=0)
    assert executor.came != sorted(executor.came)
    assert saved(tmp_path).get_sample_logs_column("row") == sorted(executor.came)


class WithSuper(Regression):
    """Reads what came of the evaluation, and logs a number of its own that a statistic has the name of."""

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.read = self.valid_eval_recorder.get_stats_logs()["counted"]


class OwnNumber(Regression):
    """Logs a number of its own that a statistic of the recorder has the name of."""

    def on_validation_epoch_end(self) -> None:
        self.log("counted", 77.0)


def test_the_evaluation_can_be_had_by_super(tmp_path):
    executor, run = fitted(WithSuper, tmp_path, max_epochs=2, num_sanity_val_steps=0)
    assert executor.read == run.callback_metrics["counted"] == ROWS


def test_a_number_that_the_executor_logs_itself_stays(tmp_path):
    _, run = fitted(OwnNumber, tmp_path, max_epochs=2)
    assert run.callback_metrics["counted"] == 77


def test_a_logged_value_is_weighed_by_the_rows_of_its_batch(tmp_path):
    executor, run = fitted(Regression, tmp_path)
    errors = saved(tmp_path).get_sample_logs_column("error")
    assert float(run.callback_metrics["val_loss"]) == pytest.approx(sum(errors) / ROWS, rel=1e-5)
    run.test(executor, verbose=False)
    errors = executor.test_eval_recorder.get_sample_logs_column("error")
    assert float(run.callback_metrics["test_loss"]) == pytest.approx(sum(errors) / ROWS, rel=1e-5)


class TrainLog(Regression):
    """Logs the mean of the training loss over an epoch."""

    def on_train_epoch_start(self) -> None:
        self.seen: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        errors = self._errors(batch)
        self.seen += errors.tolist()
        self.log("train_loss", errors.mean(), on_epoch=True, on_step=False)
        return errors.mean()


def test_a_training_loss_is_weighed_too(tmp_path):
    executor, run = fitted(TrainLog, tmp_path, max_epochs=2)
    assert float(run.callback_metrics["train_loss"]) == pytest.approx(sum(executor.seen) / ROWS, rel=1e-5)


def flattened(rows: list[int]) -> torch.Tensor:
    return torch.tensor([row for row in rows for _ in range(row + 1)], dtype=torch.float32)


class Sentences(Regression):
    """Each row of the dataset is several in the batch."""

    def val_dataloader(self) -> Any:
        return DataLoader(Numbers(), batch_size=4, collate_fn=flattened)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("mean_number", batch.mean())


def test_a_batch_of_another_size_than_its_rows_is_told(tmp_path, capsys):
    _, run = fitted(Sentences, tmp_path)
    numbers = flattened(list(range(ROWS)))
    assert float(run.callback_metrics["mean_number"]) == pytest.approx(float(numbers.mean()))
    assert "'mean_number' is logged without `batch_size`" in capsys.readouterr().err


class OneLeftOver(Regression):
    """An epoch of nine rows in batches of eight: the last has one row."""

    def val_dataloader(self) -> Any:
        return DataLoader(Numbers(), batch_size=8, collate_fn=uneven)


def test_a_last_batch_of_one_row(tmp_path):
    _, run = fitted(OneLeftOver, tmp_path)
    errors = saved(tmp_path).get_sample_logs_column("error")
    assert len(errors) == ROWS
    assert float(run.callback_metrics["val_loss"]) == pytest.approx(sum(errors) / ROWS, rel=1e-5)


class NoValidationRows(Regression):
    """A validation split that a filter has emptied."""

    def val_dataloader(self) -> Any:
        return DataLoader([], batch_size=4)


class NoTestRows(Regression):
    """The same of the test split."""

    def test_dataloader(self) -> Any:
        return [DataLoader([], batch_size=4)]


class NoTrainingRows(Regression):
    """Fewer rows than a batch."""

    def train_dataloader(self) -> Any:
        return DataLoader(Numbers(), batch_size=10, drop_last=True)


def test_a_validation_without_rows_is_told(tmp_path, capsys):
    _, run = fitted(NoValidationRows, tmp_path)
    assert run.global_step == 3
    assert "the validation data of 'output:Loaders' has no rows: nothing is validated" in capsys.readouterr().err


def test_a_test_without_rows_is_an_error(tmp_path):
    with pytest.raises(DataError, match="test data has no rows"):
        trainer(tmp_path).test(build(NoTestRows, tiny_config(tmp_path)), verbose=False)


def test_a_training_without_a_batch_is_an_error(tmp_path):
    with pytest.raises(DataError, match="nothing is trained"):
        fitted(NoTrainingRows, tmp_path)


class Two(Regression):
    """Two validation loaders, the second shuffled."""

    def val_dataloader(self) -> Any:
        return {name: DataLoader(Numbers(), batch_size=4, collate_fn=uneven, shuffle=name == "b") for name in "ab"}

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:  # type: ignore[override]
        rows = batch["x"].tolist()
        self.valid_eval_recorder.log_sample_dict_batch({"row": rows, "loader": [dataloader_idx] * len(rows)})


def test_two_loaders(tmp_path):
    fitted(Two, tmp_path)
    recorder = saved(tmp_path)
    assert recorder.get_sample_logs_column("row") == [*range(ROWS), *range(ROWS)]
    assert recorder.get_sample_logs_column("loader") == [0] * ROWS + [1] * ROWS


class Fails(Regression):
    """A metric that raises."""

    def recorded_metrics(self, prefix: str, recorder: EvalRecorder) -> dict[str, float]:
        raise KeyError("gold")


def test_after_an_error_the_hooks_are_the_executors_own(tmp_path):
    executor = build(Fails, tiny_config(tmp_path))
    with pytest.raises(KeyError, match="gold"):
        trainer(tmp_path).fit(executor)
    assert not {"on_validation_end", "val_dataloader", "on_test_batch_end"} & vars(executor).keys()


def test_an_executor_can_be_pickled_and_copied(tmp_path):
    executor = build(Regression, tiny_config(tmp_path))
    executor.dp = None
    for twin in (pickle.loads(pickle.dumps(executor)), copy.deepcopy(executor)):
        (recording, *_) = twin.configure_callbacks.func(lambda: [], *twin.configure_callbacks.args[1:])
        assert recording is twin._runway_recording
        assert recording is not executor._runway_recording
