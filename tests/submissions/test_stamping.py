"""Stamping: a record gets the digest over tokens where its hash is that of the file as it stands, and only there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from vlcl_bench.common.fileio import pretty_json
from vlcl_bench.methods.registry import reference_methods
from vlcl_bench.methods.source import baselines_folder, source_digest
from vlcl_bench.records.files import read_record
from vlcl_bench.submissions.stamping import bytes_digest, main, stamp

COMMITTED = Path(__file__).parents[2] / "submissions"


@pytest.fixture
def older(tmp_path):
    """A record of fine-tuning as the first edition wrote it: the source's hash is over the file's bytes."""
    source = next(iter(sorted((COMMITTED / "finetune" / "runs").glob("*/"))))
    record = read_record(source)
    digest = bytes_digest(baselines_folder() / "finetune.py")
    identity = record.identity.model_copy(update={"method_source_sha256": digest})
    facts = record.model_dump(mode="json") | {"identity": identity.model_dump(mode="json")}
    facts |= {"run_hash": identity.run_hash}
    del facts["defaults"]
    folder = tmp_path / "finetune" / "runs" / identity.run_hash
    shutil.copytree(source, folder)
    (folder / "run.json").write_text(pretty_json(facts))
    (folder / "rerun.json").write_text(json.dumps({"run_hash": identity.run_hash, "exact": True}))
    return folder


def test_the_hash_of_the_first_edition_is_over_the_bytes_of_the_file():
    path = baselines_folder() / "finetune.py"
    assert bytes_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_record_of_the_very_file_gets_its_digest_its_hash_and_the_defaults(older, tmp_path, capsys):
    before = read_record(older)
    main([str(tmp_path)])
    assert capsys.readouterr().out == "1 stamped\n"
    (folder,) = (tmp_path / "finetune" / "runs").iterdir()
    after = read_record(folder)
    assert after.identity.method_source_sha256 == source_digest(baselines_folder() / "finetune.py")
    assert folder.name == after.run_hash == after.identity.run_hash != before.run_hash
    assert after.defaults == {"label_smoothing": 0.2}
    changed = {"identity": before.identity, "run_hash": before.run_hash, "defaults": None}
    assert after.model_copy(update=changed) == before
    assert json.loads((folder / "rerun.json").read_text()) == {"run_hash": after.run_hash, "exact": True}
    assert (folder / "predictions.parquet").exists()
    main([str(tmp_path)])
    assert capsys.readouterr().out == "1 stamped before\n"


def test_a_record_of_another_file_is_left_as_it_is(older, tmp_path):
    method = tmp_path / "method.py"
    method.write_bytes((baselines_folder() / "finetune.py").read_bytes() + b"# one more comment\n")
    before = (older / "run.json").read_bytes()
    assert stamp(older, method, "mini-mtil-1", reference=False) == ("of an earlier source", older)
    assert (older / "run.json").read_bytes() == before


EARLIER = {
    "auto_seed_vl2": "75106d8dfadea13ebbad8348bb3a1f6138ab30e9a589a390dfd23ac375d42eac",
    "cgil": "45265b5d26be6bb7a0450165accb6fd2ab3056ac919cea7b352590700ec31490",
    "coop": "b2fc91ad9e0302908f65f7a3443872ae18261799895ff52b2def6e4148fa2fd3",
    "er_vlm": "c4b712c689049c89d9923e1c888e02fe984dad2cd7d13dde859c89a510909262",
    "moe_adapter": "19b9284c900d8c0408ce0a7cd18e4be616cf6bd80e1c038fa97db21ac5850ce4",
    "proto_replay": "56a202398521596630355f8d8b97eaf491c390a90758574611b974152ab6f08a",
}
"""Digests of the sources that committed records of these methods are of; the methods were changed for a good reason."""


def test_every_committed_record_carries_the_digest_over_tokens_of_its_method_or_of_a_known_earlier_source():
    places = [COMMITTED, Path(__file__).parents[1] / "expectations"]
    records = [read_record(path.parent) for place in places for path in place.rglob("run.json")]
    own = {"example-prototype": COMMITTED / "example-prototype" / "method.py"}
    digests = {
        name: source_digest(own[name] if name in own else reference_methods()[name])
        for name in {record.identity.method for record in records}
    }
    found = {(r.identity.method, r.identity.method_source_sha256) for r in records}
    assert found <= set(digests.items()) | set(EARLIER.items())
    assert found >= {(name, digest) for name, digest in digests.items() if name not in EARLIER}


def test_the_methods_whose_records_are_of_an_earlier_source_are_those_that_the_status_page_names():
    page = (COMMITTED.parent / "docs" / "status.md").read_text()
    line = page[page.index("**Of an earlier source.**") :].partition("\n- **")[0]
    assert set(re.findall(r"`([a-z_0-9]+)`", line)) & set(reference_methods()) == set(EARLIER)
    for name, digest in EARLIER.items():
        assert source_digest(reference_methods()[name]) != digest
