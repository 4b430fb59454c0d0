"""Python files of old projects: what is rewritten, what stays, what is told."""

from __future__ import annotations

import pytest

from runway.migrate.python_code import migrate_python

OLD = "from runway_for_ml"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f"{OLD}.utils.global_variables import register_executor  # why\n",
            "from runway import register_executor  # why\n",
        ),
        (f"{OLD}.configs.configuration import ModelConfig\n", "from runway import Config as ModelConfig\n"),
        (
            "from datasets import Dataset, load_metric\n",
            "from datasets import Dataset\nfrom runway import load_metric\n",
        ),
        ("from transformers import AdamW\n", "from torch.optim import AdamW\n"),
        (
            "import evaluate\nm = evaluate.load('f1')\n",
            "import runway\nimport evaluate\nm = runway.load_metric('f1')\n",
        ),
        ("ä = 'é'; ids = tok.batch_encode_plus( x )  # ü\n", "ä = 'é'; ids = tok( x )  # ü\n"),
        ("f = rec.get_sample_logs(data_format='csv')\n", "f = rec.get_sample_logs(data_format='pandas')\n"),
        (
            f"{OLD}.utils.global_variables import register_to, DataTransform_Registry\n\n\n"
            "@register_to(DataTransform_Registry)\nclass A: ...\n",
            "from runway import register_transform_functor\n\n\n@register_transform_functor\nclass A: ...\n",
        ),
        ("x = {  'kept':1 }\n", "x = {  'kept':1 }\n"),
    ],
)
def test_what_is_rewritten(before: str, after: str) -> None:
    assert migrate_python(before).text == after
    assert migrate_python(after).text == after, "a second time changes nothing"


def test_what_stays_with_the_alias_says_why() -> None:
    source = """
from runway_for_ml.executors.base_executor import BaseExecutor

class Mine(BaseExecutor):
    def setup(self, stage):
        self.test_dataset = self.prepared_data['test']

    def on_validation_end(self):
        print(self.valid_cnt)
"""
    migrated = migrate_python(source)
    assert migrated.text == source
    told = [(line, text.split(":")[0]) for line, text in migrated.remarks]
    assert told == [
        (2, "BaseExecutor stays with the alias package, for prepared_data, valid_cnt"),
        (5, "Mine.setup sets self.test_dataset"),
        (8, "Mine.on_validation_end does not call super()"),
    ]
    without = source.replace("valid_cnt", "x").replace("prepared_data", "y")
    assert "from runway import BaseExecutor" in migrate_python(without).text


def test_an_old_main_becomes_runways() -> None:
    source = f"{OLD}.utils import config_system\nif __name__ == '__main__':\n    p.add_argument('--mine')\n"
    migrated = migrate_python(source)
    assert "main(mode_form=True)" in migrated.text
    assert "--mine" in migrated.remarks[0].text
