"""What the records of a board share, looked up once: protocols, and the classes of listed methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlcl_bench.errors import VlclError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import RECORD_NAME, read_record
from vlcl_bench.records.rescoring import can_rescore
from vlcl_bench.records.schema import Record

if TYPE_CHECKING:
    from vlcl_bench.methods.base import Method


class Known:
    """Remembers what it looked up; make one for each board, since files may change between two."""

    def __init__(self) -> None:
        self._protocols: dict[str, Protocol | None] = {}
        self._rescorable: dict[tuple[str, str], bool] = {}
        self._methods: dict[str, type[Method] | None] = {}
        self._listed: frozenset[str] | None = None
        self._entries: dict[Path, list[dict[str, Any]] | None] = {}
        self._undeclared: dict[tuple[Path, str], int] = {}

    def protocol(self, name: str) -> Protocol | None:
        """The protocol of this name that comes with the package, if there is one."""
        if name not in self._protocols:
            self._protocols[name] = load_protocol(name) if name in protocol_names() else None
        return self._protocols[name]

    def can_rescore(self, record: Record) -> bool:
        """See :func:`vlcl_bench.records.rescoring.can_rescore`."""
        key = record.identity.protocol, record.identity.protocol_fingerprint
        if key not in self._rescorable:
            self._rescorable[key] = can_rescore(record)
        return self._rescorable[key]

    def declared_entries(self, submission: Path) -> list[dict[str, Any]] | None:
        """Settings that a submission declares as entries; ``None`` where the folder is no submission."""
        from vlcl_bench.submissions.manifest import MANIFEST_NAME, read_submission

        if submission not in self._entries:
            there = (submission / MANIFEST_NAME).exists()
            said = read_submission(submission)[0] if there else None
            self._entries[submission] = [dict(one) for one in said.entries] if said else [] if there else None
        return self._entries[submission]

    def undeclared_settings(self, submission: Path, protocol: str) -> int:
        """How many different settings a submission's runs on a protocol have beside its declared entries."""
        from vlcl_bench.submissions.settings import undeclared

        key = submission, protocol
        if key not in self._undeclared:
            runs = [read_record(path.parent).identity for path in sorted(submission.glob(f"runs/*/{RECORD_NAME}"))]
            configs = [run.settings for run in runs if run.protocol == protocol]
            self._undeclared[key] = len(undeclared(configs, self.declared_entries(submission) or []))
        return self._undeclared[key]

    def method(self, record: Record) -> type[Method] | None:
        """The class of a listed method, ``None`` for any other: a record may not make us import some file."""
        from vlcl_bench.methods.registry import list_methods, load_method

        name = record.identity.method
        if self._listed is None:
            self._listed = frozenset(info.name for info in list_methods())
        if name not in self._methods:
            try:
                self._methods[name] = load_method(name) if name in self._listed else None
            except VlclError:
                self._methods[name] = None
        return self._methods[name]

    def defaults(self, record: Record) -> dict[str, Any]:
        """The settings that the method has by default at the protocol's scale; empty where these are not known."""
        from vlcl_bench.methods.card import make_settings

        cls, protocol = self.method(record), self.protocol(record.identity.protocol)
        if cls is None or protocol is None:
            return {}
        try:
            return make_settings(cls, {}, protocol.scale).model_dump(mode="json")
        except VlclError:
            return {}
