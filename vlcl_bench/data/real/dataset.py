"""Real data sets: from folders as the official archives unpack, or from the hub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlcl_bench.common.fileio import canonical_json, read_json, sha256_text, write_atomic
from vlcl_bench.common.places import data_home
from vlcl_bench.data.own_copies import OwnCopy, key_of
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError, UsageError, nearest

if TYPE_CHECKING:
    from vlcl_bench.data.manifest import Manifest
from vlcl_bench.data.interface import Collection, DataCard, DataSet, Places


class RealDataSet(DataSet):
    """A real data set, from folders below the data root or from the hub.

    ``own`` ones are described by a protocol's own file and not by the catalogue. Their manifests are filed under the
    description's hash and the data root too, so that neither two descriptions of one name nor two copies ever meet;
    ``copy`` says which copy is meant.
    """

    def __init__(self, spec: RealSpec, own: bool = False, copy: OwnCopy | None = None) -> None:
        self.spec = spec.as_own() if own else spec
        self.own = own
        self.copy = copy or OwnCopy()
        self.name = spec.name
        self.class_names = spec.class_names
        self.templates = spec.templates
        self.small = spec.small
        self.captioned = spec.captioned
        self.card = DataCard(spec.title, spec.description, spec.licence, spec.source, spec.citation, spec.notes)

    def of_copy(self, copy: OwnCopy) -> DataSet:
        """See :meth:`DataSet.of_copy`."""
        return RealDataSet(self.spec, True, copy) if self.own else self

    @property
    def key(self) -> str:
        """See :attr:`DataSet.key`."""
        if not self.own:
            return self.name
        return key_of(self.name, sha256_text(canonical_json(self.spec.model_dump(mode="json"))), self.copy)

    @property
    def accept_command(self) -> str:
        """The command that makes the pictures that are here now the right ones."""
        return f"vlcl data verify {self.name} {self.copy.options()} --renew"

    @property
    def describe_command(self) -> str:
        """See :attr:`DataSet.describe_command`."""
        options = self.copy.options() if self.own else "--data-root DIR"
        return f"vlcl data verify {self.name} {options} --write"

    @property
    def advice(self) -> str:
        """See :attr:`DataSet.advice`."""
        if not self.own:
            return super().advice
        return (
            f"If the change is meant, accept it: {self.accept_command}\n"
            "Runs are then made anew, and those on the earlier pictures stay as they are. If it is not meant, put the "
            "earlier pictures back."
        )

    def check_manifest(self, manifest: Manifest) -> None:
        """See :meth:`DataSet.check_manifest`; counts and labels too must be the protocol's."""
        from vlcl_bench.data.real.assemble import check_rows

        super().check_manifest(manifest)
        check_rows(self.spec, manifest.rows)

    def check_picture(self, pixels: np.ndarray, where: str) -> None:
        """See :meth:`DataSet.check_picture`: thumbnails are refused."""
        from vlcl_bench.data.real.assemble import check_size

        check_size(self.spec, pixels, where)

    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """See :meth:`DataSet.collect`; what does not fit the protocol is refused with an explanation.

        A folder below the data root comes first, then a local copy of the hub's repository, then, if no place was
        named at all, the hub itself.
        """
        from vlcl_bench.data.real.assemble import assemble
        from vlcl_bench.data.real.captions import CAPTION_LAYOUTS
        from vlcl_bench.data.real.file_names import on_disk
        from vlcl_bench.data.real.layouts import LAYOUTS, locate
        from vlcl_bench.data.real.survey import Survey, survey

        spec, hub = self.spec, self.spec.hub
        copied = hub is not None and places.hub_root is not None and (places.hub_root / hub.repo).is_dir()
        here = places.root is not None and any(on_disk(places.root, folder).is_dir() for folder in spec.folders)
        if places.root is None or (copied and not here):
            return self._from_hub(places, manifest)
        readers = LAYOUTS | CAPTION_LAYOUTS
        if spec.layout not in readers:
            raise UsageError(f"no folder layout {spec.layout!r}", nearest(spec.layout, readers))
        folder = locate(spec, places.root)
        entries, left_out = readers[spec.layout](folder, spec), Survey()
        if self.own or spec.test != 0:  # a million reference pictures are not looked through twice
            left_out = survey(folder, spec)
        if self.own:
            left_out.refuse(spec, folder)
            entries = [replace(e, original=replace(e.original, accept=self.accept_command)) for e in entries]  # type: ignore[type-var]
        try:
            return Collection(assemble(spec, entries), "folder", passed_over=left_out.words())
        except IntegrityError as error:
            if self.own and left_out.words():
                error.message += f" ({left_out.words()})"
            raise

    def _from_hub(self, places: Places, manifest: Manifest | None) -> Collection:
        from vlcl_bench.data.real.assemble import assemble
        from vlcl_bench.data.real.hub import read_hub

        if self.spec.hub is None:
            raise UsageError(
                f"{self.name}: no folder with the pictures was named"
                if self.own
                else f"{self.name}: no copy on the hub gives this protocol's split",
                f"Name it with --data-root DIR, where the pictures lie in {Path('DIR') / self.spec.folders[0]}."
                if self.own
                else f"Unpack the official archive ({self.spec.source}) into DIR/{self.spec.folders[0]} and add "
                "--data-root DIR.",
            )
        pinned = self.spec.hub.revision or (manifest.hub_revision(self.spec.hub.repo) if manifest else None)
        found = read_hub(self.spec, places.hub_root, pinned)
        if manifest is None:
            return Collection(assemble(self.spec, found.entries), found.origin, found.revision)
        # A gallery is drawn from more test pictures than a manifest holds.
        extra = self.spec.gallery is not None
        return Collection(matched(found.entries, manifest, found.revision, extra), found.origin, found.revision)


def matched(entries: list[Entry], manifest: Manifest, revision: str | None, extra: bool) -> list[Entry]:
    """A hub copy's pictures as the manifest names and parts them, found by their content.

    That means reading every picture, so for a known revision the result is kept beside the manifests. Nothing is
    trusted that way: each picture is compared with its hash again when it is used.
    """
    from vlcl_bench.data.real.hub import match_to_manifest

    if revision is None:
        return match_to_manifest(entries, manifest.rows, extra=extra)
    folder = data_home() / "matches"
    path = folder / f"{manifest.dataset}-{manifest.fingerprint()[:16]}-{revision[:16]}.json"
    rows = manifest.rows
    if path.exists():
        places = read_json(path)
        if len(places) == len(rows) and all(0 <= place < len(entries) for place in places):
            return [
                replace(entries[place], sample=sample, split=split, label=int(label))
                for place, sample, split, label in zip(
                    places, rows["sample"], rows["split"], rows["label"], strict=True
                )
            ]
    found = match_to_manifest(entries, rows, extra=extra)
    number = {id(entry.original): place for place, entry in enumerate(entries)}
    write_atomic(path, json.dumps([number[id(entry.original)] for entry in found]))
    return found
