"""What is checked in the sections that runway owns, through load_config."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from runway.config import Config, check_config, load_config
from runway.config.check import is_slip
from runway.config.lightning_arguments import arguments_of
from runway.config.schema import (
    CHECKPOINT,
    CONFIG,
    EARLY_STOPPING,
    META,
    TRAINER,
    Keywords,
    Names,
    PerTask,
    Required,
    WithTasks,
    schema_of,
)

if TYPE_CHECKING:
    from tests.config.conftest import Files

CONFIG_TEXT = """
{
  train: { batch_size: 32, trainer_paras: { max_epochs: 1 } },
  data_pipeline: { transforms: { 'input:Load': { transform_name: 'Load', setup_kwargs: {} } } },
}
"""


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("meta.default_cache_dir='a\0b'", "`meta.default_cache_dir` must not hold a NUL character", None),
        ("meta.user_modules=['a', 'b\0']", "`meta.user_modules` must not hold a NUL character", None),
        (
            "data_pipeline.transforms={'input:\0': {transform_name: 'Load'}}",
            "must not hold a NUL character: 'input:",
            None,
        ),
        ("train.bacth_size=3", "unknown key `train.bacth_size`", "did you mean 'batch_size'?"),
        ("train.batch_size=x", "`train.batch_size` must be a whole number from 1, but is 'x' instead", None),
        ("train.batch_size=1.5", "`train.batch_size` must be a whole number from 1, but is 1.5 instead", None),
        ("train.batch_size=true", "`train.batch_size` must be a whole number from 1, but is true instead", None),
        ("train.batch_size=0", "`train.batch_size` must be a whole number from 1, but is 0 instead", None),
        ("train.batch_size=None", "`train.batch_size` must be a whole number from 1, but is null instead", None),
        ("train.use_lora=yes", "`train.use_lora` must be true or false, but is 'yes' instead", None),
        ("train=3", "`train` must be a section, but is 3 instead", None),
        ("train.optimizer_config.lr=1", "unknown key `train.optimizer_config.lr`", "optimizer_params.lr"),
        ("train.trainer_parameters={}", "unknown key `train.trainer_parameters`", "did you mean 'trainer_paras'?"),
        ("train.optimizer_config.sheduler=linear", "unknown key", "did you mean 'scheduler'"),
        ("test.checkpoint=last", "unknown key `test.checkpoint`", "did you mean 'checkpoint_name'"),
        ("executor.ExecutorClas=X", "unknown key `executor.ExecutorClas`", "did you mean 'ExecutorClass'"),
        ("executor.init_kwargs=[1]", "`executor.init_kwargs` must be a section", None),
        ("eval.pipeline=1", "unknown key `eval.pipeline`", "did you mean 'pipeline_config'"),
        ("eval.pipeline_config={}", "`eval.pipeline_config` must have the key `transforms`", None),
        ("meta.sead=1", "unknown key `meta.sead`", "did you mean 'seed'?"),
        ("meta.seed=-1", "`meta.seed` must be a whole number from 0 to 4294967295, but is -1 instead", None),
        ("meta.logger_enable=csv", "`meta.logger_enable` must be a list of texts, but is 'csv'", "write [csv]"),
        ("meta=3", "`meta` must be a section, but is 3 instead", None),
        ("data_pipeline.transform.x=1", "unknown key `data_pipeline.transform`", "did you mean 'transforms'?"),
        ("~data_pipeline.transforms", "`data_pipeline` must have the key `transforms`", None),
        (
            "data_pipeline.transforms.input:Lod.setup_kwargs.x=1",
            "`data_pipeline.transforms.input:Lod` must have the key `transform_name`",
            "did you mean 'input:Load'?",
        ),
        ("data_pipeline.transforms.input:Load.caches=true", "unknown key", "did you mean 'cache'?"),
        ("data_pipeline.transforms.input:Load.cache=1", "must be true or false or null, but is 1 instead", None),
        ("data_pipeline.transforms.input:Load.input_node=3", "must be text, a list of texts or null, but is 3", None),
        ("data_pipeline.transforms.input:Load.setup_kwargs=[]", "must be a section or null, but is [] instead", None),
        ("data_pipeline.transforms.input:Load.resources.num_gpu=1", "unknown key", "did you mean 'num_gpus'"),
        (
            "data_pipeline.transforms.input:Load.resources.num_cpus=many",
            "must be a number from 0 or null, but is 'many'",
            None,
        ),
        ("data_pipeline.transforms.input:Load=null", "must be a section, but is null", None),
        ("train.trainer_paras.max_epoch=3", "Lightning's Trainer has no such argument", "did you mean 'max_epochs'"),
        ("test.trainer_paras.gpus=1", "Lightning's Trainer has no such argument", None),
        (
            "train.model_checkpoint_callback_paras.save_topk=1",
            "ModelCheckpoint has no such",
            "did you mean 'save_top_k'",
        ),
        ("train.early_stopping_callback_paras.patince=1", "EarlyStopping has no such", "did you mean 'patience'"),
        ("trian.batch_size=4", "unknown key `trian`", "did you mean 'train'?"),
        ("data_pipline.name=x", "unknown key `data_pipline`", "did you mean 'data_pipeline'?"),
        ("experiment_nam=x", "unknown key `experiment_nam`", "did you mean 'experiment_name'?"),
        ("meta.logger_enable[0]=3", "`meta.logger_enable[0]` must be text, but is 3 instead", None),
        (
            "train.trainer_paras.max_epochs=two",
            "`train.trainer_paras.max_epochs` must be a whole number or null, but is 'two' instead",
            None,
        ),
        ("train.trainer_paras.gradient_clip_algorithm=2", "must be text or null, but is 2 instead", None),
        ("test.trainer_paras.inference_mode=no", "must be true or false or null, but is 'no' instead", None),
        ("train.early_stopping_callback_paras.patience=1.5", "must be a whole number or null, but is 1.5", None),
        ("exp_version=last", "`exp_version` must be a whole number from 0 or null, but is 'last' instead", None),
    ],
)
def test_what_is_refused(errors_of: Callable, override: str, message: str, hint: str | None) -> None:
    (error,) = errors_of(CONFIG_TEXT, override)
    assert message in error.message
    assert error.where == f"the override {override!r}" or override.startswith("~")
    assert hint is None or hint in error.hint


@pytest.mark.parametrize(
    "override",
    [
        "train.trainer_paras.limit_train_batches=0.5",
        "train.model_checkpoint_callback_paras.save_top_k=0",
        "train.optimizer_config.optimizer_params.anything=1",
        "train.optimizer_config.scheduler=None",
        "train.lora_config.r=8",
        "train.compile={mode: max-autotune}",
        "data_pipeline.transforms.input:Load.setup_kwargs._num_proc=4",
        "data_pipeline.transforms.input:Load.input_node=[]",
        "data_pipeline.transforms.input:Load.resources={num_gpus: 0.5}",
        "data_pipeline.out_ops=['input:Load']",
        "data_pipeline.DataPipelineLib=data_pipeline",
        "meta.cuda=0",
        "meta.ignore_pretrained_weights=[]",
        "meta.WANDB.anything=1",
        "meta=None",
        "executor.init_kwargs.anything=1",
        "model_config.anything.deep=1",
        "tokenizer_config.source.version_name=x",
        "test=None",
        "eval.valid_eval_pipeline_config=None",
        "exp_version=2",
        "train2.x=1",
        "training.x=1",
        "brain.x=1",
        "train.weight_decay=0.1",  # settings of users' own, in sections of runway's
        "train.optimizer_config.retriever_lr=1e-4",
        "train.num_dataloader_workers=2",
        "train.retriever_batch_size=2",
        "test.generate_params={num_beams: 4}",
        "executor.model_config={}",
        "eval.eval_op_name=mine",
        "trail=3",
        "text.x=1",
        "tests.x=1",
        "evals.x=1",
        "metadata.x=1",
        "models.x=1",
    ],
)
def test_what_is_taken(files: Files, override: str) -> None:
    assert files.load(CONFIG_TEXT, override)


def test_a_fault_of_the_file_names_the_place_in_it(errors_of: Callable) -> None:
    (error,) = errors_of("{ train: { optimizer_config: { optimiser_name: 'AdamW' } } }")
    assert error.message == "unknown key `train.optimizer_config.optimiser_name`"
    assert error.where.endswith("exp_config.jsonnet: train.optimizer_config")


def test_all_faults_come_at_once_and_can_be_left_unchecked(files: Files, errors_of: Callable) -> None:
    text = "{ train: { bacth_size: 3, trainer_paras: { gpus: 1 } }, test: 3, meta: { seed: 'x' } }"
    assert len(errors_of(text)) == 4
    config = files.load(text, check=False)
    assert config.train.bacth_size == 3
    assert next(error.message for error in check_config(config, config.loaded_from.path)).startswith("`meta.seed`")


def test_a_config_built_in_python_can_be_checked(files: Files) -> None:
    config = files.load("{}")
    assert check_config(config) == []
    config.train = {"bacth_size": 3}
    (error,) = check_config(config)
    assert error.where == "train"


@pytest.mark.parametrize(
    "name", ["trian", "tran", "traain", "Train", "data-pipeline", "excutor", "mdoel_config", "tets"]
)
def test_slips_of_the_finger(name: str) -> None:
    assert [known for known in CONFIG if is_slip(name, known)]


@pytest.mark.parametrize(
    "name", ["trains", "train_", "train2", "brain", "text", "best", "tests", "meta2", "eval_", "mode"]
)
def test_names_that_were_chosen(name: str) -> None:
    assert not [known for known in CONFIG if is_slip(name, known)]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("dataset_de", "dataset_en"),
        ("field_a", "field_b"),
        ("lang1", "lang2"),
        ("encoder", "decoder"),
        ("max_length", "min_length"),
        ("source", "target"),
        ("src_vocab", "tgt_vocab"),
        ("tokenizer", "tokenizer_config"),
        ("modelA", "modelB"),
        ("text", "test"),
    ],
)
def test_pairs_of_names_that_were_chosen(name: str, other: str) -> None:
    assert not is_slip(name, other)
    assert not is_slip(other, name)


def test_no_two_keys_of_the_schema_are_slips_of_each_other() -> None:
    assert not [(a, b) for a in CONFIG for b in CONFIG if is_slip(a, b)]


@pytest.mark.parametrize("keywords", [TRAINER, CHECKPOINT, EARLY_STOPPING])
def test_lightnings_arguments_are_those_of_its_signatures(keywords: object) -> None:
    import inspect

    import lightning.pytorch as pl
    import lightning.pytorch.callbacks as callbacks

    cls = getattr(callbacks, keywords.class_name, None) or getattr(pl, keywords.class_name)
    signature = set(inspect.signature(cls.__init__).parameters) - {"self"}
    assert set(arguments_of(keywords.class_name, keywords.module)) == signature


def test_arguments_that_cannot_be_found_are_not_checked() -> None:
    assert arguments_of("Nothing", "nowhere.py") == {}
    assert arguments_of("Nothing", "trainer/trainer.py") == {}


def test_every_default_of_meta_is_in_the_schema(files: Files) -> None:
    config = load_config(files.write("a.jsonnet", "{}"))
    assert set(config.meta) <= set(META)


EXPECTED = re.compile(r"must have the key|unknown key `[\w.]*(data_node|transform_name)`")  # what is put in beside
WRONG = (7, -1, 2.5, 1e400, True, None, "text", "\0", "", [], [1], [None], [["a"]], {}, {"a": 1}, {"\0": {}}, {"": []})


def _keys(expected: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key of the schema, and what its value must be; ``{}`` for a section."""
    if isinstance(expected, Required):
        expected = expected.of
    if isinstance(expected, WithTasks):  # an error, whatever it is
        return
    if isinstance(expected, Names):
        yield path, "{}"
        yield from _keys(expected.of, (*path, "one"))
    elif isinstance(expected, dict):
        yield path, "{}"
        for name, inner in expected.items():
            yield from _keys(inner, (*path, name))
    else:
        kind = "{}" if isinstance(expected, Keywords) else expected.of if isinstance(expected, PerTask) else expected
        yield path, kind


@pytest.mark.parametrize("tasks", [[], ["one"]], ids=["", "with tasks"])
def test_every_key_with_every_kind_of_value(tasks: list[str]) -> None:
    keys = [found for name, expected in schema_of(tasks).items() for found in _keys(expected, (name,))]
    assert len(keys) > 100
    for path, kind in keys:
        refused = set()
        for value in WRONG:
            whole: Any = value
            for name, above in zip(reversed(path), reversed(("", *path[:-1])), strict=True):
                whole = {**({"transform_name": "Load", "data_node": "output:x"} if above == "one" else {}), name: whole}
            if tasks:
                whole.setdefault("tasks", {"one": {"data_node": "output:one"}})
            errors = check_config(Config(whole))
            faults = [str(error) for error in errors if not EXPECTED.search(str(error))]
            assert all(path[-1] in fault for fault in faults), (path, value, faults)
            if faults:
                refused.add(type(value).__name__)
        assert "Any" in kind or refused, f"{path} takes anything, but should be {kind}"
        if kind == "{}":
            assert {"int", "str", "list", "bool"} <= refused, (path, refused)
        elif kind.removesuffix(" | None") in ("str", "bool", "PositiveInt", "NonNegativeInt", "NonNegativeFloat"):
            assert {"list", "dict"} <= refused, (path, refused)
