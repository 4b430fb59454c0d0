"""DataPipeline: the face of the DAG engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway.config.config import Config, project_of
from runway.config.reads import Reads
from runway.errors import ConfigError
from runway.log import info
from runway.masking import note, resolved
from runway.pipeline import debugger
from runway.pipeline.entries import Entries
from runway.pipeline.graph import Graph, Spec
from runway.pipeline.isolation import fork
from runway.pipeline.keys.code import forgive_what_running_changed
from runway.pipeline.keys.loaded import keep_texts, tell_edited
from runway.pipeline.node import stop
from runway.pipeline.plan import CACHED, MAYBE, RUN, Force, Plan
from runway.pipeline.runners import Choice, choose
from runway.pipeline.runners.step import Bench
from runway.pipeline.store import DEFAULT_CACHE, open_store
from runway.pipeline.store.base import DamagedEntry
from runway.user_code import import_project_code, trust

if TYPE_CHECKING:
    from runway.transforms.inspect import Summary

MOST_REPAIRS = 5
CACHE_DIR = "meta.default_cache_dir"


class DataPipeline:
    """A DAG of transforms with a cache.

    Args:
        config: ``transforms`` {name: node}, and optionally ``out_ops``, ``regenerate``, ``name``.
        global_config: the experiment's config: transforms see it as ``self.global_config``.
        project: what relative paths are relative to; the config's project, or the current folder.
        cache_dir: the store's root; ``meta.default_cache_dir``, or ``cache/``.
        use_dummy_data: ask the loaders for a few rows only.
        where: what to call this pipeline in errors.
        quiet: do not say what runs (an evaluation after each validation).
        graph: the nodes of ``config``, where they have been checked already.
        runner: where and in which order nodes are computed: a name, or ``{name, workers, …}``; ``meta.runner``.
        live: whether code that is edited after its import is an error, as in a notebook; False in a command, which goes
            on with the code that it began with, and says so.
        force: nodes that run whatever the store holds.

    Raises:
        ConfigError: something in the config is wrong; all there is, collected.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        global_config: Mapping[str, Any] | None = None,
        *,
        project: Path | None = None,
        cache_dir: str | Path | None = None,
        use_dummy_data: bool | None = None,
        where: str = "data_pipeline",
        quiet: bool = False,
        graph: Graph | None = None,
        runner: Any = None,
        live: bool = True,
        force: Force | None = None,
    ) -> None:
        self.quiet = quiet
        self.live = live
        self.force = force
        self.config = config
        self.name = config.get("name") or where
        self.global_config = Config(global_config) if type(global_config) is dict else global_config
        note(self.global_config)
        note(config)
        meta = (self.global_config or {}).get("meta") or {}
        self.project = Path(project or project_of(global_config)).resolve()
        asked = (global_config or {}).get("use_dummy_data", False) if use_dummy_data is None else use_dummy_data
        self.use_dummy_data = bool(asked)
        self.spec = Spec(
            project=self.project,
            section=config,
            where=where,
            config=self.global_config,
            store=str(cache_dir or resolved(meta.get("default_cache_dir"), CACHE_DIR) or DEFAULT_CACHE),
            allow_pickle=meta.get("allow_pickle"),
            use_dummy_data=self.use_dummy_data,
        )
        self.store = open_store(self.spec.store, project=self.project, allow_pickle=self.spec.allow_pickle)
        from_file = isinstance(global_config, Config) and global_config.loaded_from is not None
        trusted = meta.get("trusted_packages") or ()
        if graph is None and from_file:  # load_config knows the project; in a notebook nobody has imported its code
            import_project_code(self.project, ("data_ops",), meta.get("user_modules") or (), trusted)
        elif graph is None:
            trust(self.project, trusted)
        keep_texts()
        self.graph = graph or Graph(config, where=where)
        self.versions = tuple(meta.get("cache_versions") or ())
        self.runner: Choice = choose(meta.get("runner") if runner is None else runner)
        self._regenerated: set[str] = set()
        self._outputs: dict[str, Any] = {}
        self.uncached_reads = Reads()
        """What the nodes have read that were computed here and are not kept, so that no entry tells."""

    # -- outputs

    def get_data(
        self,
        names: Iterable[str],
        explode: bool = False,
        input_data_dict: Mapping[str, Any] | None = None,
    ) -> Any:
        """The outputs of some nodes; runs only what is needed.

        Args:
            names: the nodes.
            explode: with one node, give its output itself instead of a dict.
            input_data_dict: {node: data that it gets instead of its inputs' outputs}.

        Returns:
            {node: output}, or the output.

        Raises:
            ConfigError: a node does not exist, or ``explode`` with more than one.
            RunFailed: nodes failed.
        """
        names = self.graph.check_names([names] if isinstance(names, str) else names, "get_data")
        if explode and len(names) != 1:
            raise ConfigError(f"explode=True takes exactly one node, but {len(names)} are asked for", where="get_data")
        given = dict(input_data_dict or {})
        self.graph.check_names(given, "input_data_dict")
        missing = [name for name in names if name not in self._outputs] if not given else names
        outputs = self._run(self._plan(missing, given, values=True), missing, values=True)[0] if missing else {}
        if given:  # they belong to that data, not to the pipeline
            return outputs[names[0]] if explode else Config(outputs)
        self._outputs.update(outputs)
        if explode:
            return fork(self._outputs[names[0]])
        return {name: fork(self._outputs[name]) for name in names}

    def apply_transforms(self, input_data_dict: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The outputs of all `output:` nodes (or of ``out_ops``): {node: output}."""
        return self.get_data(self.graph.out_ops, input_data_dict=input_data_dict)

    def reset(self) -> None:
        """Forget the outputs held in memory; the cache stays."""
        self._outputs.clear()
        self._regenerated.clear()

    # -- looking at it

    def __repr__(self) -> str:
        nodes = self.graph.nodes
        return f"DataPipeline({self.name!r}, {len(nodes)} nodes, outputs: {', '.join(self.graph.out_ops) or 'none'})"

    def _repr_html_(self) -> str:
        """The picture of what ``plan`` finds, and its table."""
        from runway.pipeline.drawing import drawing_of
        from runway.pipeline.picture import picture

        plan = self.plan(self.graph.order)
        drawn = picture(drawing_of(plan), "svg").decode()
        return f"<div>{drawn[drawn.index('<svg') :]}</div>{plan._repr_html_()}" if plan.order else repr(self)

    def summary(self, name: str, num_rows: int = 3) -> Summary:
        """What a node gives, in plain words and numbers; in a notebook it shows as tables.

        Args:
            name: the node; it runs where it must.
            num_rows: how many rows to show of each split.
        """
        from runway.transforms.inspect import Summary, describe

        return Summary(name, describe(self.get_data([name], explode=True), num_rows, closely=True))

    # -- preparing, planning, provenance

    def prepare(self, names: Iterable[str] | None = None, *, run_uncached: bool = True) -> list[str]:
        """Bring nodes up to date without keeping their outputs in memory.

        Args:
            names: the nodes; all outputs by default.
            run_uncached: run an uncached output too when its data or its code is new (not again for data that it
                has seen); False where its value is asked for right after.

        Returns:
            The nodes that ran.

        Raises:
            ConfigError: there is nothing to prepare.
            RunFailed: nodes failed.
        """
        targets = self._targets(names)
        plan = self.plan(targets)
        if all(plan.steps[name].status == CACHED for name in targets):
            self._stop_at_what_is_kept(plan)
            return []
        return self._run(plan, targets, values=False, run_uncached=run_uncached)[1]

    def plan(self, names: Iterable[str] | None = None, *, values: bool = False) -> Plan:
        """What would run for these nodes (all outputs by default), and why; runs nothing."""
        return self._plan(self._targets(names), {}, values=values)

    def keys(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """{node: key} for nodes and all above them, as far as they are known: the data's provenance."""
        plan = self.plan(names)
        return {
            name: key for name, step in plan.steps.items() if (key := step.entry.key if step.entry else step.base_key)
        }

    def lineage(self, names: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
        """{node: its key, and what that is made of} for nodes and all above them, see ``Plan.lineage``."""
        return self.plan(names).lineage()

    @property
    def asked(self) -> list[str]:
        """The nodes whose outputs were asked for."""
        return list(self._outputs)

    def contents(self, names: Iterable[str]) -> dict[str, str | None]:
        """{node: digest of what it gives}; of a node that is not kept, its key. None where it is not known: the node
        has yet to run, or nobody can tell what its code or its data is."""
        names = self.graph.check_names(names, self.graph.where)
        plan = self.plan(names) if names else None
        return {name: plan.steps[name].content for name in names} if plan else {}

    def _targets(self, names: Iterable[str] | None) -> list[str]:
        targets = self.graph.check_names(self.graph.out_ops if names is None else names, self.graph.where)
        if not targets:
            raise ConfigError(
                "there is nothing to prepare: no node's name starts with 'output:'",
                where=f"{self.graph.where}.transforms",
                hint="call the last node `output:…`, or name nodes in `out_ops`",
            )
        return targets

    def _plan(self, targets: list[str], given: Mapping[str, Any], *, values: bool) -> Plan:
        entries = Entries(self.store, self.spec)
        plan = Plan(
            self.graph, entries, given=given, versions=self.versions, done_before=self._regenerated, force=self.force
        )
        plan.look_up(targets)
        tell_edited(plan.code_in_use(), stop=self.live)
        plan.settle(targets, values=values)
        return plan

    def _run(
        self, plan: Plan, targets: list[str], *, values: bool, run_uncached: bool = True
    ) -> tuple[dict[str, Any], list[str]]:
        ran: list[str] = []
        self._stop_at_what_is_kept(plan)
        for repair in range(MOST_REPAIRS + 1):
            bench = Bench(self.graph, plan.entries, plan.given)
            runner = self.runner.runner(plan, bench, self.spec, self.runner.options, quiet=self.quiet)
            try:
                outputs = runner.run(targets, values=values, run_uncached=run_uncached)
                self._stop_at_what_is_kept(plan, after_run=True)
                return outputs, ran + runner.ran
            except DamagedEntry:
                if repair == MOST_REPAIRS:
                    raise
                ran += runner.ran
                info("planning again without the damaged entry")
                plan = self._plan(targets, plan.given, values=values)
            finally:
                forgive_what_running_changed(self.graph.classes[name] for name in runner.ran)
                for reads in bench.uncached_reads():
                    self.uncached_reads.merge(reads)
        raise AssertionError("unreachable")

    def _stop_at_what_is_kept(self, plan: Plan, *, after_run: bool = False) -> None:
        """Stop in the debugger at nodes that do not run (``--break-at``), each once: their data comes from the store.

        Args:
            plan: the steps.
            after_run: whether what was to run has run, or has come out the same.
        """
        for name in plan.order if debugger.is_on() else ():
            step = plan.steps[name]
            for side in (debugger.BEFORE, debugger.AFTER):
                waits = step.status in (RUN, MAYBE) and not after_run
                if waits or debugger.was_shown(name, side) or not debugger.stops_at(name, side):
                    continue
                debugger.note_shown(name, side)
                if side == debugger.AFTER:
                    data = self._value_of(name)
                else:
                    inputs = [self._value_of(above) for above in plan.inputs(step)]
                    data = step.node.arranged(inputs)
                stop(step.node, self.graph.classes[name], self.spec, side, data)

    def _value_of(self, name: str) -> Any:
        return self._run(self._plan([name], {}, values=True), [name], values=True)[0][name]
