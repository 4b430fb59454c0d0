"""What a user gets wrong ends in a block that names the thing, its place and the mend; exit code 2, no traceback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

T = "data_pipeline.transforms"

# {case: (overrides, what the block must say)}
OVERRIDES: dict[str, tuple[list[str], list[str]]] = {
    "unknown transform": (
        [f"{T}.input:Make.transform_name=MakeReview"],
        ["unknown transform 'MakeReview'", "transforms.input:Make", "did you mean 'MakeReviews'"],
    ),
    "unknown transform of a module": (
        [f"{T}.input:Make.transform_name=data_ops.ops:MakeReview"],
        ["no class 'MakeReview'", "data_ops/ops.py", "did you mean 'MakeReviews'"],
    ),
    "unknown module": ([f"{T}.input:Make.transform_name=nowhere.at_all:X"], ["no module 'nowhere.at_all'", "src/"]),
    "a class that is no transform": (
        [f"{T}.input:Make.transform_name=data_ops.ops:Plain"],
        ["Plain", "BaseTransform", "transforms.input:Make"],
    ),
    "a class of the standard library": (
        [f"{T}.input:Make.transform_name=pathlib:PurePath"],
        ["names the module 'pathlib'", "trusted_packages: ['pathlib']"],
    ),
    "unknown setting": (
        [f"{T}.input:Make.setup_kwargs.lowr=true"],
        ["MakeReviews has no setting 'lowr'", "input:Make.setup_kwargs", "did you mean 'lower'?"],
    ),
    "a number that is text": (
        [f"{T}.input:Make.setup_kwargs.n=abc"],
        [
            "`n` must be a whole number, but is 'abc' instead",
            "transforms.input:Make.setup_kwargs",
            "runway show MakeReviews",
        ],
    ),
    "null for a flag": (
        [f"{T}.input:Make.setup_kwargs.lower=null"],
        ["`lower` must be true or false, but is null"],
    ),
    "no section in an evaluation": (["eval=3"], ["`eval` must be a section, but is 3 instead"]),
    "no section for an executor": (["executor=3"], ["`executor` must be a section, but is 3 instead"]),
    "no settings of an executor": (["executor.init_kwargs=[1]"], ["must be a section or null, but is [1]"]),
    "missing setting": (
        [f"~{T}.process:Clean.setup_kwargs.strip"],
        ["needs the setting 'strip'", "runway show CleanReviews"],
    ),
    "missing input node": (
        [f"{T}.process:Clean.input_node=input:Mak"],
        ["no node 'input:Mak'", "process:Clean.input_node", "did you mean 'input:Make'?"],
    ),
    "cycle": (
        [f"{T}.input:Make.input_node=process:Clean"],
        ["cycle: ", "process:Clean -> input:Make -> process:Clean", "input_node"],
    ),
    "a node that is its own input": ([f"{T}.input:Make.input_node=input:Make"], ["cycle: input:Make -> input:Make"]),
    "unknown field of a node": (
        [f"{T}.input:Make.cach=true"],
        ["cach", "transforms.input:Make", "did you mean 'cache'"],
    ),
    "a flag that is text": (
        [f"{T}.input:Make.cache=no"],
        ["`data_pipeline.transforms.input:Make.cache`", "true or false"],
    ),
    "an input that is a number": ([f"{T}.process:Clean.input_node=5"], ["input_node", "must be text"]),
    "unknown output": (
        ["data_pipeline.out_ops=[output:Review]"],
        ["no node 'output:Review'", "did you mean 'output:Reviews'?"],
    ),
    "nothing to prepare": (["data_pipeline.out_ops=[]"], ["nothing to prepare"]),
    "unknown key in a section": (["train.bacth_size=4"], ["train.bacth_size", "did you mean 'batch_size'?"]),
    "unknown Trainer argument": (["train.trainer_paras.max_epoch=4"], ["max_epoch", "did you mean 'max_epochs'"]),
    "wrong type": (["train.batch_size=[1]"], ["`train.batch_size` must be", "[1]"]),
    "no pipeline": (["~data_pipeline"], ["no `data_pipeline`", "config.jsonnet"]),
    "an override without a value": (["train.batch_size"], ["train.batch_size", "="]),
    "an override below a value": (["train.batch_size.x=1"], ["train.batch_size"]),
    "removing what is not there": (["~train.nothing"], ["train.nothing"]),
    "no file": (
        [
            f"{T}.input:Make.transform_name=LoadHFDataset",
            f'{T}.input:Make.setup_kwargs={{"dataset_path": "no/such.csv"}}',
        ],
        ["no/such.csv", "input:Make"],
    ),
    "no network for a hub name": (
        [
            f"{T}.input:Make.transform_name=LoadHFDataset",
            f'{T}.input:Make.setup_kwargs={{"dataset_name": "nobody/nothing"}}',
        ],
        ["nobody/nothing", "input:Make", "hint:"],
    ),
}


def friendly(project: Project, *args: str) -> str:
    """What a command that must fail prints, after the checks that hold for all of them."""
    result = project.run(*args, check=False)
    assert result.returncode == 2, result.output
    assert "Traceback" not in result.output, result.output
    assert "rror:" in result.stderr
    return result.stderr


@pytest.mark.parametrize("case", OVERRIDES)
def test_mistakes_in_a_config(reviews: Project, case: str) -> None:
    overrides, said = OVERRIDES[case]
    error = friendly(reviews, "prepare", "config.jsonnet", *overrides)
    for text in said:
        assert text in error, error
    assert not list(reviews.path.glob("cache/[0-9a-f]*"))  # nothing has run


def test_all_mistakes_are_told_at_once(reviews: Project) -> None:
    overrides = [
        f"{T}.input:Make.transform_name=Nothing",
        f"{T}.process:Clean.setup_kwargs.x=1",
        f"{T}.output:Reviews.input_node=a",
        f"{T}.output:Reviews.setup_kwargs={{output_mapping: {{a: 1}}, input_mapping: [b]}}",
    ]
    error = friendly(reviews, "plan", "config.jsonnet", *overrides)
    assert error.count("Config error:") == 5
    assert "`output_mapping.a` must be text, but is 1 instead" in error
    assert "`input_mapping` must be a section or null, but is ['b'] instead" in error
    overrides = ["train.bacth_size=1", "meta.sede=1", f"{T}.input:Make.cach=1"]
    assert friendly(reviews, "config", "config.jsonnet", *overrides).count("Config error:") == 3


FILES = {
    "syntax error": (
        "{\n  experiment_name: 'x',\n  data_pipeline { transforms: { } },\n}\n",
        ["config.jsonnet:3", "data_pipeline { transforms"],  # the line itself
    ),
    "unfinished": ("{\n  experiment_name: 'x',\n  data_pipeline: {\n", ["config.jsonnet:4", "end of file"]),
    "missing import": ("(import 'data_config.libsonnet') + {}\n", ["data_config.libsonnet", "config.jsonnet"]),
    "unknown variable": ("{ a: nothing }\n", ["nothing", "config.jsonnet:1", "{ a: nothing }"]),
    "an error of the user's": ("{ a: error 'too few rows' }\n", ["too few rows"]),
    "no object": ("[1]\n", ["object"]),
    "empty": ("", ["config.jsonnet"]),
    "binary": ("\x00\x01", ["config.jsonnet"]),
}


@pytest.mark.parametrize("case", FILES)
def test_mistakes_in_a_file(reviews: Project, case: str) -> None:
    text, said = FILES[case]
    reviews.write("config.jsonnet", text)
    error = friendly(reviews, "config", "config.jsonnet")
    for part in said:
        assert part in error, error


ARGUMENTS = [
    (["prepare", "confg.jsonnet"], ["confg.jsonnet", "did you mean 'config.jsonnet'"]),
    (["prepare", "config.jsonnet", "--nodes", "output:Review"], ["output:Review", "did you mean 'output:Reviews'?"]),
    (["prepare", "config.jsonnet", "--use_dumy_data"], ["--use_dumy_data", "did you mean '--use_dummy_data'"]),
    (["prepar", "config.jsonnet"], ["no command 'prepar'", "did you mean 'prepare'"]),
    (["--config", "config.jsonnet", "--mode", "trian"], ["no mode 'trian'", "did you mean 'train'"]),
    (["--config", "config.jsonnet"], ["--mode"]),
    (["--mode", "train"], ["--config"]),
    (["--config", "config.jsonnet", "--mode", "prepare_data", "--optz", "a.b=1"], ["--optz", "did you mean '--opts'"]),
    (["show", "MakeReview"], ["no transform or executor 'MakeReview'", "did you mean 'MakeReviews'"]),
    (["cache", "ls"], ["no cache", "FOLDER"]),
]


@pytest.mark.parametrize(("args", "said"), ARGUMENTS, ids=lambda value: " ".join(value)[:40])
def test_mistakes_in_a_command(reviews: Project, args: list[str], said: list[str]) -> None:
    error = friendly(reviews, *args)
    for text in said:
        assert text in error, error


def test_usage(reviews: Project) -> None:
    for args in (["prepare"], ["cache", "nothing"], ["train", "--no-such-thing"]):
        result = reviews.run(*args, check=False)
        assert result.returncode == 2
        assert "Traceback" not in result.output
    assert reviews.run(check=False).returncode == 2
    assert reviews.run("--help").stdout.startswith("usage: runway")


def test_nothing_in_a_config_is_executed(reviews: Project) -> None:
    evil = '__import__("os").system("touch pwned")'
    printed = reviews.run("config", "config.jsonnet", "--opts", f"a.b={evil}", f"{T}.input:Make.setup_kwargs.n={evil}")
    config = json.loads(printed.stdout)
    assert config["a"]["b"] == evil
    for name in (evil, "list", "os.system", "$(touch pwned)", "std.extVar('x')", "import 'x'"):
        printed = reviews.run("config", "config.jsonnet", f"experiment_name={name}", check=False)
        if printed.returncode == 0:
            assert json.loads(printed.stdout)["experiment_name"] == name
    reviews.run("prepare", "config.jsonnet", f"my_key={evil}")
    assert not list(reviews.path.rglob("pwned"))


def test_wrong_sha256_of_an_asset(reviews: Project) -> None:
    content = reviews.write("served/reviews.csv", "text,label\ngood,1\n").read_bytes()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=reviews.path / "served")
    wrong = hashlib.sha256(b"something else").hexdigest()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/reviews.csv"
        node = {"transform_name": "LoadHFDataset", "setup_kwargs": {"dataset_path": uri, "sha256": wrong}}
        error = friendly(reviews, "prepare", "config.jsonnet", f"{T}.input:Make={json.dumps(node)}")
        server.shutdown()
    for said in (uri, wrong, hashlib.sha256(content).hexdigest(), "input:Make", "hint:"):
        assert said in error


def test_an_import_error_shows_the_guilty_line(reviews: Project) -> None:
    cases = {
        "import not_installed_at_all": ["ModuleNotFoundError", "import not_installed_at_all"],
        "from helpers import cleen": ["ImportError", "from helpers import cleen"],
        "1 / 0": ["ZeroDivisionError", "1 / 0"],
        "def broken(:": ["SyntaxError", "def broken(:"],
        "raise SystemExit(0)": ["SystemExit", "raise SystemExit(0)"],
    }
    for line, said in cases.items():
        reviews.write("src/data_ops/broken.py", f"x = 1\n{line}\n")
        needed = "data_pipeline.transforms.output:Reviews.transform_name=Broken"
        result = reviews.run("prepare", "config.jsonnet", needed, check=False)
        assert result.returncode == 2, result.output
        for text in (*said, "broken.py", "'data_ops.broken'"):
            assert text in result.stderr, result.stderr
        assert "/runway/" not in result.stderr.replace(str(reviews.path), "")
        assert "importlib" not in result.stderr
    (reviews.path / "src/data_ops/broken.py").unlink()
    reviews.write("src/data_ops/inner/__init__.py", "raise ValueError('in a package')\n")
    result = reviews.run("prepare", "config.jsonnet", needed, check=False)
    assert result.returncode == 2
    assert "ValueError: in a package" in result.stderr
    assert "inner/__init__.py:1" in result.stderr


def test_one_name_twice(reviews: Project) -> None:
    reviews.write(
        "src/data_ops/twin.py",
        """
        from runway import BaseTransform, register_transform_functor


        @register_transform_functor
        class MakeReviews(BaseTransform):
            pass
        """,
    )
    error = friendly(reviews, "prepare", "config.jsonnet")
    assert "'MakeReviews' is registered twice" in error
    assert "ops.py" in error
    assert "twin.py" in error


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["prepare", "config.jsonnet", "train.bacth_size=1"], 2),
        (["prepare", "nowhere.jsonnet"], 2),
        (["prepare", "config.jsonnet", f"{T}.input:Make.setup_kwargs.n=0"], 1),
    ],
)
def test_debug_shows_the_traceback_and_keeps_the_exit_code(reviews: Project, args: list[str], code: int) -> None:
    ops = (reviews.path / "src/data_ops/ops.py").read_text()
    reviews.write("src/data_ops/ops.py", ops.replace("self.n = n", "self.n = n // n"))
    for debug in ([], ["--debug"]):
        result = reviews.run(*args, *debug, check=False)
        assert result.returncode == code, result.output
    assert "Traceback" in result.stderr


def test_a_key_that_nothing_derives_from_beside_its_like_is_a_warning(reviews: Project) -> None:
    reviews.write("more.jsonnet", "(import 'config.jsonnet') + { reader: { n: 1 }, redaer: { n: 2 }, ten: $.reader.n }")
    result = reviews.run("plan", "more.jsonnet")
    assert (
        "warning: nothing in the config derives from the key `redaer` of more.jsonnet: did you mean 'reader'?"
        in result.stderr
    )
    assert result.stderr.count("warning") == 1
