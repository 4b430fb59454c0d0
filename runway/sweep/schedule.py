"""Running trials side by side: each is claimed, started or taken up again, watched, and written down."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from runway.errors import Interrupted
from runway.experiment.folders.in_use import is_trained
from runway.experiment.provenance import FAILED, FINISHED, INTERRUPTED, timestamp
from runway.experiment.trained_before import training_record
from runway.log import human_seconds, info, warning
from runway.sweep.ledger import NEW, PRUNED, Ledger, State
from runway.sweep.processes import Job, Process
from runway.sweep.scores import Outcome, read_metrics, warn_unlogged
from runway.sweep.trial import told

if TYPE_CHECKING:
    from runway.experiment.folders.run_folder import ExperimentFolder
    from runway.sweep.settings import SweepSettings
    from runway.sweep.study import Pruning
    from runway.sweep.trials import Source, Trial

POLL_SECONDS = 0.05
LOOK_AGAIN_SECONDS = 1.0
_INTERRUPTED_CODE = 130
_STOP = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


class Supply(Protocol):
    """Where trials come from."""

    def next(self) -> Trial | None:
        """The next trial; None: none now, or none any more."""

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """Told what became of a trial."""


class Started(Protocol):
    """A job that was started, here or elsewhere; ``machine`` says where, once it is over."""

    machine: str | None

    @property
    def seconds(self) -> float:
        """Since it was started."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def stop(self) -> None:
        """Ask it to save its state and end."""

    def kill(self) -> None:
        """End it at once."""


class Running:
    """A trial that runs here."""

    def __init__(self, trial: Trial, process: Started, place: int, state: State, claim: contextlib.ExitStack) -> None:
        self.trial = trial
        self.process = process
        self.place = place
        self.before = state
        self.claim = claim
        self.pruned = False
        self.looked = time.monotonic()


class Schedule:
    """Runs trials, so many at a time.

    Args:
        source: what every trial begins with.
        asked: the sweep's settings.
        ledger: what is known of trials.
        places: the environment of each place for a trial.
        folders: the versions of a trial's experiment.
        pruning: ends trials early.
        since: trainings from before that time, in seconds since 1970, are made again.
        start: starts a job.
    """

    def __init__(
        self,
        source: Source,
        asked: SweepSettings,
        ledger: Ledger,
        places: list[dict[str, str]],
        folders: Callable[[Trial], ExperimentFolder],
        pruning: Pruning | None = None,
        since: float = 0.0,
        start: Callable[[Job], Started] = Process,
    ) -> None:
        self.source, self.asked, self.ledger, self.places = source, asked, ledger, places
        self.folders = folders
        self.pruning = pruning
        self.since = since
        self.start = start
        self.outcomes: dict[str, Outcome] = {}
        self.total = 0
        self._running: list[Running] = []
        self._elsewhere: deque[Trial] = deque()
        self._looked_elsewhere = 0.0

    def run(self, supply: Supply, total: int) -> list[Outcome]:
        """Run what the supply gives; gives what became of each trial, also of those that ran before.

        Raises:
            Interrupted: it was asked to stop; what ran has saved its state.
        """
        self.total = total
        with stoppable():
            try:
                while self._step(supply):
                    pass
            except KeyboardInterrupt:
                self._stop_all()
                done = sum(outcome.status == FINISHED for outcome in self.outcomes.values())
                raise Interrupted(
                    f"the sweep was interrupted: {done} of {self.total} trials are finished",
                    where=str(self.ledger.folder),
                    hint="run the same command again to go on",
                ) from None
        return list(self.outcomes.values())

    def _step(self, supply: Supply) -> bool:
        """One look at all that goes on; whether there is more to do."""
        for running in list(self._running):
            code = running.process.poll()
            if code is not None:
                self._end(running, code, supply)
            elif not running.pruned and time.monotonic() - running.looked > LOOK_AGAIN_SECONDS:
                running.looked = time.monotonic()
                self._prune(running)
        while len(self._running) < len(self.places):
            trial = supply.next() or self._from_elsewhere()
            if trial is None:
                break
            self._begin(trial, supply)
        if not self._running and not self._elsewhere:
            return False
        time.sleep(POLL_SECONDS)
        return True

    def _prune(self, running: Running) -> None:
        """Stop a trial that will not be the best, by what it has logged so far."""
        if self.pruning is None:
            return
        run = self.ledger.state(running.trial, self.folders(running.trial)).run
        if run is not None and self.pruning.is_hopeless(running.trial.key, run):
            running.pruned = True
            running.process.stop()

    def _from_elsewhere(self) -> Trial | None:
        """A trial that another sweep had when we last looked; one round a second."""
        if not self._elsewhere or time.monotonic() - self._looked_elsewhere < LOOK_AGAIN_SECONDS:
            return None
        self._looked_elsewhere = time.monotonic()
        return self._elsewhere.popleft()

    def _begin(self, trial: Trial, supply: Supply) -> None:
        with contextlib.ExitStack() as claim:
            is_ours = claim.enter_context(self.ledger.claimed(trial.key))
            state = self.ledger.state(trial, self.folders(trial), self.since)
            by_hand = state.status != FINISHED and state.run is not None and is_trained(state.run.path)  # --resume
            if not is_ours or by_hand:
                if not self._elsewhere:
                    info(f"another process runs the trial {trial.label}: its result is taken when it is there")
                self._elsewhere.append(trial)
                self._looked_elsewhere = time.monotonic()
                return
            if state.status not in (NEW, INTERRUPTED) and not (state.status == FAILED and self.asked.retry):
                self._settle(trial, state, supply)
                return
            self._start(trial, state, claim.pop_all())

    def _settle(self, trial: Trial, state: State, supply: Supply) -> None:
        """It ran before, here or in another sweep."""
        outcome = self._outcome(trial, state)
        self._take_in(trial, outcome, supply)
        if outcome.status == FAILED:
            info(f"{self._numbered(trial)} failed before: {outcome.error}; --retry runs it again")
        elif outcome.status == PRUNED:
            info(f"{self._numbered(trial)} was pruned before")

    def _start(self, trial: Trial, state: State, claim: contextlib.ExitStack) -> None:
        words = [*self.source.overrides, *trial.overrides]
        goes_on = state.status == INTERRUPTED and state.run is not None and state.run.has_checkpoints()
        if goes_on:
            assert state.run is not None
            words += [f"exp_version={state.run.version}", "--resume"]
        elif state.status == INTERRUPTED and state.run is not None:  # killed before there was anything to keep
            self.folders(trial).remove([state.run])
        words += ["--use_dummy_data"] if self.source.use_dummy_data else []
        taken = {running.place for running in self._running}
        place = next(number for number in range(len(self.places)) if number not in taken)
        variables = told(self.asked.name, trial.key, trial.point, str(self.ledger.process_lock(trial.key)))
        log, project = self.ledger.log_of(trial.key), self.source.project
        job = Job("train", self.source.path, project, words, log, {**self.places[place], **variables})
        self._record(trial, "running", state, seconds=state.record.get("seconds"))
        process = self.start(job)
        self._running.append(Running(trial, process, place, state, claim))
        on = f" on GPU {device}" if (device := self.places[place].get("CUDA_VISIBLE_DEVICES")) else ""
        again = f" goes on in {state.run.path.name}" if goes_on and state.run else " started"
        info(f"{self._numbered(trial)}{again}{on}: {trial.label}")

    def _end(self, running: Running, code: int, supply: Supply) -> None:
        self._running.remove(running)
        trial, folder = running.trial, self.folders(running.trial)
        with running.claim:
            state = self.ledger.state(trial, folder, self.since)
            before = running.before.record.get("seconds") if running.before.status == INTERRUPTED else None
            seconds = running.process.seconds + float(before or 0)
            error = None
            if code == 0 and state.status != FINISHED:
                status, error = FAILED, "the code was edited meanwhile, so another one was trained: run the sweep again"
            elif state.status == FINISHED:
                status = FINISHED
            elif running.pruned:
                status = PRUNED
            elif code in (_INTERRUPTED_CODE, -signal.SIGTERM, -signal.SIGINT):
                status = INTERRUPTED
            else:
                status, error = FAILED, self._why(trial, state, code)
            state = State(status, state.run, {**state.record, "error": error})
            machine = running.process.machine
            self._record(trial, status, state, seconds=seconds, error=error, machine=machine)
            outcome = self._outcome(trial, state)
            outcome.machine = machine
        outcome.seconds, outcome.ran = seconds, True
        self._say(trial, outcome)
        self._take_in(trial, outcome, supply)
        if status == FINISHED and outcome.score is None and outcome.run is not None:
            warn_unlogged(outcome.run, self.asked.metric)

    def _take_in(self, trial: Trial, outcome: Outcome, supply: Supply) -> None:
        self.outcomes[trial.key] = outcome
        if self.pruning is not None:
            self.pruning.finished(outcome)
        supply.finished(trial, outcome)

    def _outcome(self, trial: Trial, state: State) -> Outcome:
        seconds = state.record.get("seconds")
        outcome = Outcome(
            trial.setting, trial.seed, trial.key, state.status, state.run, seconds=seconds, overrides=trial.overrides
        )
        outcome.machine = state.record.get("machine")
        outcome.error = state.record.get("error") if state.status == FAILED else None
        if state.run is not None and state.status == FAILED and not outcome.error:
            outcome.error = str(training_record(state.run).get("error"))
        if state.run is not None and state.status == FINISHED:
            outcome.score, outcome.metrics = read_metrics(state.run, self.asked.metric, self.asked.mode)
        return outcome

    def _why(self, trial: Trial, state: State, code: int) -> str:
        """What went wrong, in a line: the run's own words, or the last block that its process has written."""
        if state.run is not None:
            found = training_record(state.run).get("error")
            if found:
                return str(found).splitlines()[0]
        lines = self.ledger.log_of(trial.key).read_text("utf-8", errors="replace").splitlines()
        told = [line for line in lines[-40:] if ": " in line and not line.startswith((" ", "Traceback"))]
        return (told[-1] if told else f"exit code {code}") if code > 0 else f"killed by signal {-code}"

    def _record(self, trial: Trial, status: str, state: State, **facts: Any) -> None:
        self.ledger.write(
            trial.key,
            sweep=self.asked.name,
            status=status,
            parameters=trial.point,
            overrides=[*self.source.overrides, *trial.overrides],
            run=None if state.run is None else state.run.path,
            written=timestamp(),
            log=self.ledger.log_of(trial.key).name,
            **{"tested": state.record.get("tested"), **facts},
        )

    def _numbered(self, trial: Trial) -> str:
        return f"trial {trial.number}/{self.total}"

    def _say(self, trial: Trial, outcome: Outcome) -> None:
        """One line a trial."""
        where = f"  ({outcome.run.path.name})" if outcome.run is not None else ""
        took = human_seconds(outcome.seconds or 0.0)
        if outcome.status == FINISHED:
            score = "no score" if outcome.score is None else f"{self.asked.metric} {outcome.score:.4f}"
            info(f"{self._numbered(trial)} {score}, {took}: {trial.label}{where}")
        elif outcome.status == FAILED:
            log = self.ledger.log_of(trial.key)
            warning(f"{self._numbered(trial)} failed after {took}: {trial.label}: {outcome.error}; its log: {log}")
        else:
            info(f"{self._numbered(trial)} {outcome.status} after {took}: {trial.label}{where}")

    def _stop_all(self) -> None:
        """Ask what runs to save its state, wait for it, and write it down; a second Ctrl-C ends it at once."""
        if self._running:
            warning(f"stopping: {len(self._running)} trial(s) save their state (Ctrl-C again stops at once)")
        for running in self._running:
            running.process.stop()
        while self._running:
            try:
                for running in list(self._running):
                    code = running.process.poll()
                    if code is not None:
                        self._end(running, code, ListSupply([]))
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                for running in self._running:
                    running.process.kill()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM, and what a cluster sends before a job's time is over, stop a sweep as Ctrl-C does."""

    def stop(*_: Any) -> None:
        for number in _STOP:  # once: the cluster and the job's own process may both send it
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, stop) for number in _STOP}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ListSupply:
    """Trials that are all known from the beginning."""

    def __init__(self, trials: list[Trial]) -> None:
        self.left = deque(trials)

    def next(self) -> Trial | None:
        """The next of them."""
        return self.left.popleft() if self.left else None

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """Nothing follows from it."""
