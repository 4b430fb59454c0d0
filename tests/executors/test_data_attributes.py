"""The data that `setup` sets, as executors of published projects do, is what is trained, validated and tested on."""

from __future__ import annotations

from typing import Any

import datasets
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from runway.errors import DataError
from runway.executors.base_executor import BaseExecutor
from runway.executors.data_attributes import as_list, own_loaders
from runway.executors.data_statistics import data_statistics
from runway.executors.text_classification import TextClassificationExecutor
from tests.executors.tiny import TokenRows, build, collate, dataset_config, tiny_config, trainer

CHOSEN = list(range(0, 16, 2))


class Counting(BaseExecutor):
    """Counts the rows that it is given; `setup` is the test's."""

    def _init_model(self, model_config: Any) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.rows: dict[str, list[int]] = {"train": [], "val": [], "test": []}

    def _take(self, batch: Any, role: str) -> torch.Tensor:
        x = batch[0] if isinstance(batch, list) else batch["index"]
        self.rows[role] += x.flatten().tolist()
        return self.model(x.float().reshape(-1, 1)).mean()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self._take(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._take(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._take(batch, "test")


class Datasets(Counting):
    """As every executor of one published project: datasets, without ``super()``."""

    def setup(self, stage: str) -> None:
        whole = TensorDataset(torch.arange(24))
        self.train_dataset = Subset(whole, CHOSEN)
        self.val_dataset = Subset(whole, [1, 3])
        self.test_dataset = Subset(whole, [5])


class Loaders(Counting):
    """As another: a dict of loaders by split and name."""

    def setup(self, stage: str) -> None:
        def loader(rows: list[int]) -> DataLoader:
            return DataLoader(TensorDataset(torch.tensor(rows)), batch_size=2)

        self.data_loaders = {
            "train": {"main": loader(CHOSEN)},
            "valid": {"one": loader([1, 3])},
            "test": {"one": loader([5])},
        }


@pytest.mark.parametrize("cls", [Datasets, Loaders])
def test_what_setup_sets_is_used(tmp_path, cls):
    executor = build(cls, tiny_config(tmp_path, train={"batch_size": 4}))
    run = trainer(tmp_path, num_sanity_val_steps=0)
    run.fit(executor)
    run.test(executor, verbose=False)
    assert sorted(executor.rows["train"]) == CHOSEN
    assert executor.rows["val"] == [1, 3]
    assert executor.rows["test"] == [5]
    if cls is Datasets:
        assert executor.rows["train"] != CHOSEN, "shuffled"
        assert run.num_training_batches == 2
    facts = data_statistics(executor.dataloaders())
    assert [facts[role]["rows"] for role in ("train", "val", "test")] == [8, 2, 1]


def test_a_tokenised_dataset_is_padded_as_by_make_dataloaders(tmp_path):
    class Chosen(TextClassificationExecutor):
        def setup(self, stage: str) -> None:
            self.train_dataset = self.node_data()["train"].select(range(5))

    executor = build(Chosen, dataset_config(tmp_path, ["a", "b"]))
    executor.setup("fit")
    (loader,) = own_loaders(executor, "train")
    assert sorted(row for batch in loader for row in batch["index"].tolist()) == list(range(5))
    assert own_loaders(executor, "val") is None, "the data node's"
    trainer(tmp_path).fit(executor)
    assert len(executor.valid_eval_recorder) == 9


def test_a_dataset_in_torchs_format_is_batched_as_it_is(tmp_path):
    executor = build(Counting, tiny_config(tmp_path, test={"batch_size": 3, "dataloader_workers": 1}))
    rows = datasets.Dataset.from_dict({"input_ids": [[1, 2], [3, 4], [5, 6]], "label": [0, 1, 0], "text": list("abc")})
    rows.set_format("torch", columns=["input_ids"])
    executor.val_dataset = rows
    (loader,) = own_loaders(executor, "val")
    (batch,) = loader
    assert list(batch) == ["input_ids"]
    assert batch["input_ids"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert loader.num_workers == 1


class Stream(IterableDataset):
    """Rows without a length."""

    def __iter__(self):
        return iter(range(7))


def test_a_stream_has_no_order_to_shuffle_and_no_length(tmp_path):
    executor = build(Counting, tiny_config(tmp_path))
    executor.train_dataset = Stream()
    assert [len(batch) for batch in executor.train_dataloader()] == [7]
    assert data_statistics(executor.dataloaders())["train"] == {}


def test_loaders_come_before_datasets_and_none_is_none(tmp_path):
    executor = build(Counting, tiny_config(tmp_path))
    executor.train_dataset = TokenRows(3, 0)
    executor.train_dataloaders = DataLoader(TokenRows(5, 0), batch_size=5, collate_fn=collate)
    assert len(executor.train_dataloader().dataset) == 5
    executor.valid_dataloaders = None
    assert executor.val_dataloader() == []
    executor.test_dataset = None
    with pytest.raises(DataError, match="no test data"):
        executor.test_dataloader()
    executor.data_loaders = {"train": {}}
    del executor.__dict__["valid_dataloaders"]
    assert executor.val_dataloader() == []


def test_training_data_without_rows(tmp_path):
    executor = build(Counting, tiny_config(tmp_path))
    executor.train_dataset = TokenRows(0, 0)
    with pytest.raises(DataError, match="no rows") as error:
        executor.train_dataloader()
    assert error.value.where == "self.train_dataset of Counting"


def test_as_list():
    assert as_list(None) == []
    assert as_list(1) == [1]
    assert as_list((1, 2)) == [1, 2]
    assert as_list({"a": 1}) == [1]
