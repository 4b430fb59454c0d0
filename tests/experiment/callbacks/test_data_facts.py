"""DataFacts: a training's record says what it was really trained on."""

from __future__ import annotations

import json

from torch.utils.data import Subset

from runway.registry import register_executor
from tests.experiment.tiny import TinyRegression, tiny


@register_executor
class ChoosesRows(TinyRegression):
    """Trains on eight of the twenty rows, chosen in `setup` without `super()`."""

    def setup(self, stage: str) -> None:
        """Choose."""
        self.train_dataset = Subset(self.node_data()["train_dataloaders"][0].dataset, range(8))


def test_the_rows_that_setup_chooses_are_those_of_the_record(tmp_path):
    executor = {"ExecutorClass": "ChoosesRows", "init_kwargs": {"use_data_node": "output:Rows"}}
    result = tiny(tmp_path, "train.trainer_paras.max_epochs=1", sections={"executor": executor}).train()
    facts = json.loads((result.path / "data_statistics.json").read_text())
    assert facts["train"] == {"rows": 8, "batches": 1}
    assert facts["val"] == {"rows": 20, "batches": 4}
    assert facts["test"]["rows"] == 20
