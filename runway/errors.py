"""The one family of errors: each says what is wrong, where, and how to mend it.

The command line turns them into a block without a traceback; libraries may catch them by type.
``exit_code`` 2 is a mistake that the user can mend in a config, a file or a command; 1 is a run
that failed in the user's own code.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager


class RunwayError(Exception):
    """Base of every error that runway raises on purpose.

    Args:
        message: what is wrong, in one sentence that holds the offending name and value.
        where: the place: a config path, ``file:line``, a node, a split.
        hint: how to mend it.
    """

    exit_code = 2
    title = "Error"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple:  # errors cross process borders (the parallel runners)
        return _rebuild, (type(self), self.message, self.where, self.hint, self.__dict__)

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  hint:  {self.hint}")
        return "\n".join(lines)


def _rebuild(cls: type[RunwayError], message: str, where: str, hint: str, state: dict) -> RunwayError:
    error = RunwayError.__new__(cls)
    RunwayError.__init__(error, message, where=where, hint=hint)
    error.__dict__.update(state)
    return error


class ConfigError(RunwayError):
    """The config, an override or a command-line argument is wrong."""

    title = "Config error"


class ConfigErrors(ConfigError):
    """All that is wrong with one config, collected so that one round of mending is enough.

    Args:
        errors: one for each mistake.
        where: the config.
    """

    def __init__(self, errors: list[RunwayError], *, where: str | None = None) -> None:
        self.errors = errors
        count = f"{len(errors)} errors" if len(errors) != 1 else "1 error"
        super().__init__(f"{count} in the config", where=where)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(str(error) for error in self.errors)])


class UserCodeError(RunwayError):
    """A user's module or transform raised; ``__cause__`` holds the user's own exception."""

    title = "Error in your code"


class DataError(RunwayError):
    """The data is not what a transform or executor needs."""

    title = "Data error"


class AssetError(RunwayError):
    """An outside file cannot be had, or is not the file that was pinned."""

    title = "Asset error"


class StoreError(RunwayError):
    """The cache cannot be read or written."""

    title = "Cache error"


class ExperimentError(RunwayError):
    """A run folder, version or checkpoint is not there or cannot be used."""

    title = "Experiment error"


class Interrupted(RunwayError):
    """Training was stopped from outside; the hint says how to resume it."""

    title = "Interrupted"
    exit_code = 130


class ToldTraceback(Exception):
    """What was raised in another process, as that has told it."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}\n"""'


class RunFailed(RunwayError):
    """Nodes failed; ``failures`` holds the error of each, in the order in which they failed."""

    title = "Run failed"

    def __init__(self, failures: list[RunwayError]) -> None:
        self.failures = failures
        # A mistake that can be mended in the config is 2; as soon as user code failed the run as such failed.
        self.exit_code = min(failure.exit_code for failure in failures)
        count = f"{len(failures)} nodes" if len(failures) != 1 else "1 node"
        super().__init__(f"{count} failed; what does not depend on a failed node was done and is kept")
        # What the user's code raised comes first, and `%debug` and `pdb.pm()` end in the line that raised it.
        traceback = getattr(failures[0], "traceback", "")
        self.__cause__ = failures[0].__cause__ or (ToldTraceback(traceback) if traceback else None)
        self.__traceback__ = self.__cause__.__traceback__ if self.__cause__ else None

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(str(failure) for failure in self.failures)])


def leaves_debugger(error: BaseException) -> bool:
    """Whether it is how ``q`` leaves pdb."""
    bdb = sys.modules.get("bdb")  # where nobody debugs it is not loaded, and costs as much as all of a cached plan
    return bdb is not None and isinstance(error, bdb.BdbQuit)


def raise_collected(errors: list[RunwayError], *, where: str | None = None) -> None:
    """Raise the one error, or all of them together; nothing when there are none."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConfigErrors(errors, where=where)


def must_be(fits: bool, name: str, must: str, value: object, *, where: str, hint: str | None = None) -> None:
    """Raise a ConfigError unless the value ``fits``: "`name` must be …, but is … instead"."""
    if not fits:
        given = "empty" if value == "" else repr(value)
        raise ConfigError(f"`{name}` must be {must}, but is {given} instead", where=where, hint=hint)


def must_be_whole(name: str, value: object, *, least: int, where: str, hint: str | None = None) -> None:
    """Raise a ConfigError unless the value is an int, and not below ``least``."""
    is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
    must_be(is_whole, name, f"a whole number from {least}", value, where=where, hint=hint)


def must_be_known(
    names: Iterable[str],
    known: Collection[str],
    what: str,
    *,
    where: str,
    hint: str = "",
    listing: int = 8,
    error: type[RunwayError] = ConfigError,
) -> None:
    """Raise an error for the first of the names that is not known.

    Args:
        names: what was given.
        known: what there is.
        what: the sentence before the name: "decoding has no setting".
        where: the place of the names in the config.
        hint: what to say after "did you mean …".
        listing: how many known names to list where none is close.
        error: its type; DataError where the names are looked up in data.
    """
    for name in names:
        if name not in known:
            near = did_you_mean(name, known, listing=listing)
            raise error(f"{what} {name!r}", where=where, hint=f"{near}; {hint}" if hint else near)


@contextmanager
def told_as_config_error(what: str, *kinds: type[Exception], where: str, hint: str | None = None) -> Iterator[None]:
    """A library's errors of these kinds become ConfigErrors: ``what``, then what the library says, in one line."""
    try:
        yield
    except kinds as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"{what}: {reason}", where=where, hint=hint) from error


@contextmanager
def damage_told_as(kind: type[RunwayError], what: str, *, where: str, hint: str | None = None) -> Iterator[None]:
    """Around the reading of files that others may have written: whatever is raised becomes an error of that kind.

    The libraries that read files have no class in common for what they find in a damaged one: ``KeyError``,
    ``RecursionError`` and ``AttributeError`` are among them, ``MemoryError`` for a size that is not true, and Rust's
    ``PanicException``, which is no ``Exception``.
    """
    try:
        yield
    except RunwayError as error:
        error.where = error.where or where
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # an interruption
        reason = " ".join(str(error).split())[:300]
        raise kind(f"{what}: {reason or type(error).__name__}", where=where, hint=hint) from error


def did_you_mean(name: str, known: Iterable[str], *, listing: int = 8) -> str:
    """A hint for an unknown name: the closest known names, or the list where it is short."""
    import difflib  # a millisecond that only a mistake needs

    names = sorted(map(str, known))
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    if not close:  # 'accuracy' for 'Accuracy': difflib counts case as a difference
        lower = {known_name.lower(): known_name for known_name in names}
        matches = difflib.get_close_matches(str(name).lower(), list(lower), n=3, cutoff=0.6)
        close = [lower[match] for match in matches]
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    if not names:
        return "there are none"
    shown = ", ".join(names[:listing])
    return f"known: {shown}" + (f" and {len(names) - listing} more" if len(names) > listing else "")
