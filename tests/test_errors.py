"""The error family: text, exit codes, and the way over a process border."""

from __future__ import annotations

import pickle

import pytest

from runway.errors import (
    ConfigError,
    ConfigErrors,
    DataError,
    RunFailed,
    RunwayError,
    UserCodeError,
    did_you_mean,
    raise_collected,
)


def test_the_text_says_what_where_and_how() -> None:
    error = DataError("the split 'test' is empty", where="node 'process:Split'", hint="use fewer rows")
    assert str(error) == "the split 'test' is empty\n  where: node 'process:Split'\n  hint:  use fewer rows"
    assert str(DataError("alone")) == "alone"
    both = ConfigErrors([ConfigError("one"), ConfigError("two", hint="mend it")], where="c.jsonnet")
    assert str(both) == "2 errors in the config\n  where: c.jsonnet\none\ntwo\n  hint:  mend it"


def test_errors_cross_process_borders() -> None:
    class_of_its_own = RunFailed([DataError("bad", where="here"), UserCodeError("worse")])
    for error in (
        DataError("bad", where="here", hint="mend"),
        ConfigErrors([ConfigError("x")], where="c"),
        class_of_its_own,
    ):
        error.traceback = "Traceback …"  # type: ignore[attr-defined]
        twin = pickle.loads(pickle.dumps(error))
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin).keys() == vars(error).keys()
        assert twin.exit_code == error.exit_code
        assert twin.traceback == error.traceback


def test_the_exit_code_of_a_run_is_its_worst() -> None:
    mistake, failure = ConfigError("a mistake"), RunwayError("user code raised")
    failure.exit_code = 1
    assert RunFailed([mistake]).exit_code == 2
    assert RunFailed([mistake, failure]).exit_code == 1


def test_one_error_is_raised_as_itself_and_several_together() -> None:
    raise_collected([])
    one = ConfigError("one")
    with pytest.raises(ConfigError) as caught:
        raise_collected([one])
    assert caught.value is one
    with pytest.raises(ConfigErrors) as several:
        raise_collected([one, ConfigError("two")], where="c.jsonnet")
    assert several.value.errors[0] is one


def test_did_you_mean() -> None:
    assert did_you_mean("batchsize", ["batch_size", "lr"]) == "did you mean 'batch_size'?"
    assert did_you_mean("ACCURACY", ["accuracy", "bleu"]) == "did you mean 'accuracy'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("zzz", map(str, range(10)), listing=2) == "known: 0, 1 and 8 more"
    assert did_you_mean("zzz", []) == "there are none"
    assert did_you_mean(5, ["x"]) == "known: x"  # type: ignore[arg-type]
