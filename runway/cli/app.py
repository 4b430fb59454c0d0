"""The entry: parse the arguments, run the command, turn what goes wrong into a block and an exit code.

A command lives in a module of its own and is imported when it is called: ``runway --help`` loads none of them.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from runway import __version__
from runway.cli.arguments import Parser, add_arguments, take_overrides, words_of_variants
from runway.cli.error_blocks import report
from runway.cli.mode_form import parse_mode_form
from runway.errors import ConfigError, RunwayError, did_you_mean, leaves_debugger
from runway.masking import hide

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# command: (module with run(arguments), one line of help, what it takes)
COMMANDS = {
    "init": ("runway.cli.init", "make a project that runs at once, from a template", "folder"),
    "new": ("runway.cli.new", "add a transform, an executor or an experiment to the project, with a test", "none"),
    "prepare": ("runway.cli.prepare", "bring the data pipeline up to date", "config"),
    "train": ("runway.cli.experiments", "prepare, then train a new version of the experiment", "config"),
    "test": ("runway.cli.experiments", "test the best checkpoint of the latest version", "config"),
    "eval": ("runway.cli.experiments", "run the evaluation pipeline again on what the test recorded", "config"),
    "run": ("runway.cli.experiments", "prepare, train and test", "config"),
    "sweep": ("runway.cli.sweep", "train with other values, and test what is best on validation", "config"),
    "runs": ("runway.cli.runs", "list the runs, the newest first; --last prints where the last one is", "none"),
    "report": ("runway.cli.report", "write a page that shows a run: results, curves, samples, config", "run"),
    "compare": (
        "runway.cli.compare",
        "say how runs differ: settings, code, data, metrics with their uncertainty",
        "runs",
    ),
    "blame": ("runway.cli.blame", "list what differs between two runs, and what each difference changes", "runs"),
    "reproduce": ("runway.cli.reproduce", "make a run again, and say whether it comes out the same", "run"),
    "board": ("runway.cli.board", "serve an index of all runs and reports, on this machine only", "none"),
    "submit": ("runway.cli.submit", "send prepare, train and test to a cluster, as jobs on a snapshot", "config"),
    "jobs": ("runway.cli.jobs", "list the jobs that were submitted, show their logs, cancel them", "none"),
    "translate": ("runway.cli.translate", "translate texts with the model that a test has exported", "run"),
    "predict": ("runway.cli.predict", "say what a trained run predicts for the rows of a file", "run"),
    "export": ("runway.cli.export", "write a trained model as transformers loads it, with a card", "run"),
    "plan": ("runway.cli.plan", "say what prepare would run, why, and how long that takes", "config"),
    "graph": ("runway.cli.plan", "draw the data pipeline with the state of each node", "config"),
    "inspect": ("runway.cli.inspect", "look at what a node of the data pipeline gives", "config"),
    "config": ("runway.cli.configs", "print the resolved config, or what differs between two", "config"),
    "ops": ("runway.cli.ops", "list the transforms, ready-made and your own", "none"),
    "show": ("runway.cli.ops", "print every setting of a transform or an executor", "name"),
    "freeze": ("runway.cli.freeze", "put on record what a config comes to, and say what has moved since", "config"),
    "migrate": ("runway.cli.migrate", "rewrite a project of the original runway_for_ml; shows a diff", "folder"),
    "cache": ("runway.cli.cache", "list, shrink or check the cache", "cache"),
}

EPILOG = """\
Overrides follow the config: `runway train C train.batch_size=64 ~train.scheduler meta.logger_enable=[csv]`.
What the config derives from a value follows it. The form `--config C --mode MODE --opts a.b=v …` works too.
`runway COMMAND --help` tells more about one command.
"""


def main(argv: Sequence[str] | None = None, *, mode_form: bool = False) -> int:
    """Run one command; returns the exit code: 0, 1 (the run failed), 2 (a mistake to mend), 130 (Ctrl-C).

    Args:
        argv: the arguments; by default the process's.
        mode_form: only ``--config C --mode M`` is meant (``src/main.py``), so that ``--help`` tells of that.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    try:
        arguments = parse_mode_form(argv) if mode_form else parse(argv)
        run = importlib.import_module(COMMANDS[arguments.command][0]).run
        return run(arguments) or 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `runway ops | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FAILED
    except BaseException as error:
        _post_mortem(error)
        if debug:
            import traceback

            print(hide("".join(traceback.format_exception(error))), end="", file=sys.stderr)
            return error.exit_code if isinstance(error, RunwayError) else FAILED
        return report(error)


def _post_mortem(error: BaseException) -> None:
    """Open the debugger where ``--pdb`` asks for it; a node that failed has done so."""
    debugger = sys.modules.get("runway.pipeline.debugger")
    if debugger is not None and not isinstance(error, RunwayError) and not leaves_debugger(error):
        debugger.post_mortem(error)


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of a command, in either form."""
    if argv and argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version"):
        return parse_mode_form(argv)
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise ConfigError(f"there is no command {argv[0]!r}", hint=did_you_mean(argv[0], COMMANDS))
    parser, subparsers = _parsers(only=argv[0] if argv and argv[0] in COMMANDS else None)
    if not argv:
        parser.print_help()
        raise SystemExit(USAGE)
    arguments, rest = parser.parse_known_args(argv)
    unknown = [word for word in rest if word.startswith("-") and word != "-" and " " not in word]
    if hasattr(arguments, "text") and not unknown:  # texts may stand after options
        arguments.text, rest = [*arguments.text, *rest], []
    if unknown or (rest and not hasattr(arguments, "overrides")):
        known = [option for action in subparsers[arguments.command]._actions for option in action.option_strings]
        word = (unknown or rest)[0]
        raise ConfigError(
            f"`runway {arguments.command}` takes no {word!r}",
            hint=f"{did_you_mean(word.partition('=')[0], known)}; see `runway {arguments.command} --help`",
        )
    if hasattr(arguments, "overrides"):  # overrides may stand before, between and after options
        arguments.overrides = [
            *words_of_variants(arguments),
            *arguments.overrides,
            *rest,
            *take_overrides(arguments),
            *(arguments.opts or []),
        ]
    return arguments


def _parsers(only: str | None) -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(
        prog="runway",
        description="A config-driven research framework: transforms, a cached data DAG, executors, evaluation.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"runway {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    found = {}
    for name in COMMANDS if only is None else [only]:
        _, text, takes = COMMANDS[name]
        found[name] = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add_arguments(found[name], name, takes)
    return parser, found
