"""Configs of old projects: keys and ops, word by word."""

from __future__ import annotations

import pytest

from runway.migrate.jsonnet_code import migrate_jsonnet


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{\n  cuda: 0,\n  seed: 1,  // of all\n}", "{\n  seed: 1,  // of all\n}"),
        ("{\n  cuda: 0,  // the card\n  seed: 1,\n}", "{\n  // the card\n  seed: 1,\n}"),
        ("{ a: { 'platform_type': {x: [1, {b: 2}]}, b: 1 } }", "{ a: { b: 1 } }"),
        ("{ num_dataloader_workers: 4 }", "{ dataloader_workers: 4 }"),
        ('{ "num_dataloader_workers"+: 4 }', '{ "dataloader_workers"+: 4 }'),
        (
            "{ t: { version_name: 'x', from_pretrained_kwargs: {} }, m: { from_pretrained_kwargs: {} } }",
            "{ t: { version_name: 'x', init_kwargs: {} }, m: { from_pretrained_kwargs: {} } }",
        ),
        ("{ transform_name: 'UploadToWandb' }", "{ transform_name: 'UploadEvalRecorderToWandb' }"),
        ("{ mine: 1, x: 'cuda: 0', [a]: $.cuda } // cuda: 0", "{ mine: 1, x: 'cuda: 0', [a]: $.cuda } // cuda: 0"),
    ],
)
def test_what_is_rewritten(before: str, after: str) -> None:
    assert migrate_jsonnet(before, "").text == after
    assert migrate_jsonnet(after, "").text == after, "a second time changes nothing"


def test_a_key_that_the_projects_code_reads_stays() -> None:
    text = "{ num_dataloader_workers: 4, cuda: 1 }"
    assert migrate_jsonnet(text, "config.train.num_dataloader_workers").text.split() == [
        "{",
        "num_dataloader_workers:",
        "4,",
        "}",
    ]


def test_an_op_that_stays_is_told() -> None:
    migrated = migrate_jsonnet("{\n a: { transform_name: 'ComputeBLEU' } }", "")
    assert "runway_for_ml.data_module.data_transforms:RunwayComputeBLEU" in migrated.text
    assert migrated.remarks[0].line == 2
