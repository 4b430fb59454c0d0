"""The entries of nodes: found by a node's base key and the present state of what it read, committed with what it read.

A node's output may depend on things that are only known once it has run: values of the config, files, flags. They are
recorded with the entry. The read index of a base key holds the sets of names that its runs have read; the key of an
entry is the base key with the state of those names.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runway.errors import StoreError
from runway.log import warning
from runway.pipeline.keys.config_answers import changes
from runway.pipeline.keys.fingerprint import combine
from runway.pipeline.keys.tracked import KnownFiles, ReadSet, read_set, states

if TYPE_CHECKING:
    from runway.config.reads import Reads
    from runway.pipeline.graph import Spec
    from runway.pipeline.keys.key import KeyParts
    from runway.pipeline.store.base import Entry, Store


class Entries:
    """The entries of one experiment's nodes in a store.

    Args:
        store: where they are kept.
        spec: the pipeline, against whose config, flags and files recorded reads are compared.
    """

    def __init__(self, store: Store, spec: Spec) -> None:
        self.store = store
        self.spec = spec
        self._last_keys: dict[str, str] | None = None

    def find(self, base_key: str) -> Entry | None:
        """The entry with this base key whose recorded reads are as they are now."""
        entry = self.store.find(base_key)
        if entry is not None:
            return entry
        sets, known = self.store.read_index(base_key)
        if not sets:
            return None
        before = {name: list(facts) for name, facts in known.items()}
        keys = (_full_key(base_key, self._states(names, known)) for names in sets)
        found = next((entry for key in keys if (entry := self.store.find(key))), None)
        if found and known != before:
            with contextlib.suppress(StoreError):  # a cache that may only be read: the files are hashed again next time
                self.store.write_read_index(base_key, sets, known)
        return found

    def _states(self, names: ReadSet, known: KnownFiles) -> dict[str, str]:
        flags = {"use_dummy_data": self.spec.use_dummy_data}
        return states(names, self.spec.config, flags, known, self.spec.project)

    def usable(self, base_key: str) -> Entry | None:
        """The entry, where its value is there and whole."""
        entry = self.find(base_key)
        return entry if entry is not None and entry.has_value and self.store.is_whole(entry) else None

    def commit(
        self, node: str, parts: KeyParts, value: Any, reads: Reads, seconds: float, *, keep_value: bool = True
    ) -> Entry:
        """Write a node's output with all that is known of it.

        Args:
            node: its name.
            parts: what its key is made of.
            value: the output.
            reads: what it has read.
            seconds: how long it took.
            keep_value: False leaves a receipt without the value.

        Raises:
            Unsaveable: no format takes the value.
            StoreError: the store cannot be written.
        """
        base_key = parts.key()
        names = read_set(reads, self.spec.project)
        sets, known = self.store.read_index(base_key) if any(names.values()) else ([], {})
        found = self._states(names, known)
        for kind, file in reads.changed_since():
            warning(f"{node}: {file} was changed while it was read; the next run reads it again")
            found[f"{kind} {file}"] = combine("changed while it was read", str(time.time_ns()))  # never found again
        meta = {
            "node": node,
            "base_key": base_key,
            "seconds": seconds,
            "parts": parts.plain(),
            "reads": {"set": names, "states": found} if found else None,
            **({"notes": reads.notes} if reads.notes else {}),
            "packages": sorted(parts.code.packages),
        }
        entry = self.store.commit(_full_key(base_key, found), value, meta, keep_value=keep_value)
        if found:
            self.store.write_read_index(base_key, [names, *(other for other in sets if other != names)], known)
        self.store.record_key(node, entry.key)
        return entry

    # -- why a node runs

    def why_missing(self, node: str, parts: KeyParts) -> list[str]:
        """Why there is no entry for these parts: what differs from the entry that the node had last."""
        if node not in self._keys_before():
            return ["new"]
        last = self.last(node)
        if last is None:
            return ["its entry is gone"]
        reasons = parts.differences(last.meta["parts"])
        reads = last.meta.get("reads")
        if reads:
            now = self._states(reads["set"], {})
            reasons += changes(reads["states"], now)
        return reasons or ["it was not kept" if last.is_receipt else "its entry is gone"]

    def last(self, node: str) -> Entry | None:
        """The entry that a node of this name had last, as far as it is there."""
        key = self._keys_before().get(node)
        return None if key is None else self.store.find(key)

    def _keys_before(self) -> dict[str, str]:
        if self._last_keys is None:
            self._last_keys = self.store.last_keys()
        return self._last_keys


def _full_key(base_key: str, read_states: Mapping[str, str]) -> str:
    if not read_states:
        return base_key
    return combine(base_key, *(part for item in sorted(read_states.items()) for part in item))
