"""The form ``--config C --mode prepare_data|train|test|eval … --opts a.b=v …``, as arguments of the commands."""

from __future__ import annotations

import argparse
import json

from runway.cli.arguments import (
    Parser,
    add_debugger_arguments,
    add_experiment_arguments,
    add_resume_arguments,
    add_reuse_argument,
    add_runner_arguments,
    add_variant_argument,
    take_overrides,
    words_of_variants,
)
from runway.errors import ConfigError, did_you_mean

MODES = {"prepare_data": "prepare", "train": "train", "test": "test", "eval": "eval", "run": "run", "plan": "plan"}

# option of this form: the config's key
SHORTHANDS = {
    "EXPERIMENT_FOLDER": "meta.EXPERIMENT_FOLDER",
    "DATA_FOLDER": "meta.DATA_FOLDER",
    "test_batch_size": "test.batch_size",
    "test_evaluation_name": "test_suffix",
}


def parse_mode_form(argv: list[str]) -> argparse.Namespace:
    """Parse ``--config … --mode …``.

    Raises:
        ConfigError: no config, no mode, or one that does not exist.
    """
    parser = Parser(prog="main.py", description="Run one mode of an experiment.")
    parser.add_argument("--config", metavar="FILE", help="the experiment's jsonnet file")
    parser.add_argument("--mode", metavar="MODE", help="|".join(MODES))
    parser.add_argument("--EXPERIMENT_FOLDER", metavar="FOLDER", help="where runs go")
    parser.add_argument("--DATA_FOLDER", metavar="FOLDER", help="where data is")
    parser.add_argument("--test_batch_size", type=int, metavar="N")
    parser.add_argument("--test_evaluation_name", metavar="NAME", help="instead of the config's test_suffix")
    parser.add_argument("--modules", nargs="+", default=[], metavar="MODULE", help="further user modules to import")
    parser.add_argument("--project", metavar="FOLDER", help="the project; by default found from the config")
    parser.add_argument("--use_dummy_data", action="store_true", help="load a few rows only")
    add_runner_arguments(parser)
    add_debugger_arguments(parser)
    add_resume_arguments(parser)
    add_reuse_argument(parser)
    parser.add_argument("--quiet", action="store_true", help="print warnings only")
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    add_experiment_arguments(parser)
    add_variant_argument(parser)
    parser.add_argument("--opts", nargs="*", default=[], metavar="a.b=v", help="overrides; ~a.b removes")
    arguments, rest = parser.parse_known_args(argv)
    for word in rest:
        if word.startswith("-") or ("=" not in word and not word.startswith(("~", "+"))):
            known = [option for action in parser._actions for option in action.option_strings]
            hint = did_you_mean(word.partition("=")[0], known)
            raise ConfigError(f"there is no argument {word!r}", hint=f"{hint}; see `python src/main.py --help`")
    if not arguments.config:
        raise ConfigError("which config? `--config` is missing", hint="--config configs/NAME/exp_config.jsonnet")
    if arguments.mode not in MODES:
        message = "which mode? `--mode` is missing" if not arguments.mode else f"there is no mode {arguments.mode!r}"
        raise ConfigError(message, where="--mode", hint=did_you_mean(arguments.mode or "", MODES))
    arguments.command = MODES[arguments.mode]
    taken = take_overrides(arguments)
    shorthands = [
        f"{key}={json.dumps(getattr(arguments, option))}"
        for option, key in SHORTHANDS.items()
        if getattr(arguments, option) not in (None, "", -1)
    ]
    if arguments.modules:
        shorthands.append(f"meta.user_modules={json.dumps(arguments.modules)}")
    arguments.overrides = [*words_of_variants(arguments), *shorthands, *rest, *taken, *arguments.opts]
    arguments.nodes, arguments.json = None, False
    return arguments
