"""Why a node runs: what differs between its parts now and those of the entry that it had last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.pipeline.keys.code import code_of

if TYPE_CHECKING:
    from runway.pipeline.plan import Plan, Step

SHOWN = 60


def parts_of(plan: Plan, step: Step) -> dict[str, Any]:
    """What a node's key is made of, in a form that people can compare; kept with each entry."""
    node = step.node
    cls = plan.graph.classes[node.name]
    return {
        "transform": node.transform_name,
        "code": code_of(cls).parts,
        "arguments": json.loads(json.dumps(node.arguments, default=repr)),
        "inputs": [[name, plan.steps[name].content] for name in node.inputs],
        "list": node.takes_list,
        "versions": plan.counted_versions(cls),
    }


def explain(plan: Plan, step: Step) -> list[str]:
    """The reasons why there is no entry for this step, one line each."""
    keys = plan.last_keys
    last = plan.store.find(keys[step.node.name]) if step.node.name in keys else None
    if last is None:
        return ["its entry is gone" if step.node.name in keys else "new"]
    if last.is_receipt:
        return ["it was not kept"]
    reasons = _differences(last.meta["parts"], parts_of(plan, step))
    reasons += _read_differences(plan, last.meta)
    return reasons or ["its entry is gone"]


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    reasons = []
    if old["transform"] != new["transform"]:
        reasons.append(f"transform {old['transform']} → {new['transform']}")
    reasons += _code_differences(old["code"], new["code"])
    reasons += _argument_differences("", old["arguments"], new["arguments"])
    old_inputs, new_inputs = [name for name, _ in old["inputs"]], [name for name, _ in new["inputs"]]
    if len(old_inputs) != len(new_inputs) or old["list"] != new["list"]:
        before, after = _input_names(old_inputs, old["list"]), _input_names(new_inputs, new["list"])
        reasons.append(f"input_node {before} → {after}")
    else:
        pairs = zip(old["inputs"], new["inputs"], strict=True)
        reasons += [f"input {after[0]}" for before, after in pairs if before[1] != after[1]]
    for package in sorted({*old["versions"], *new["versions"]}):
        before, after = old["versions"].get(package), new["versions"].get(package)
        if before != after:
            reasons.append(f"version of {package} {before} → {after}")
    return reasons


def _code_differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    changed = sorted(name for name in old if name in new and old[name] != new[name])
    if changed:
        return [f"code: {name} changed" for name in changed]
    added = [f"code: {name} is used now" for name in sorted(new) if name not in old]
    return added + [f"code: {name} is no longer used" for name in sorted(old) if name not in new]


def _argument_differences(path: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        reasons = []
        for key in sorted({*old, *new}):
            place = f"{path}.{key}" if path else key
            if key not in old:
                reasons.append(f"argument {place} added: {_short(new[key])}")
            elif key not in new:
                reasons.append(f"argument {place} removed")
            else:
                reasons += _argument_differences(place, old[key], new[key])
        return reasons
    # 1 and 1.0 and true are equal in Python, and different here
    if json.dumps(old) != json.dumps(new):
        return [f"argument {path} {_short(old)} → {_short(new)}"]
    return []


def _read_differences(plan: Plan, meta: Mapping[str, Any]) -> list[str]:
    reads = meta.get("reads")
    if not reads:
        return []
    now = plan.read_states(reads["set"], {})
    return [f"{name} changed" for name, state in reads["states"].items() if now.get(name) != state]


def _input_names(names: list[str], is_list: bool) -> str:
    return f"[{', '.join(names)}]" if is_list else ", ".join(names) or "none"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
