"""Opening a data set of the hub, or a local copy of one, at the commit that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.common.fileio import refusal_in
from vlcl_bench.data.real.spec import HubSpec
from vlcl_bench.errors import IntegrityError, MachineError, UsageError, VlclError

if TYPE_CHECKING:
    from datasets import DatasetDict

ELSEWHERE = (
    "Without the hub, unpack the official archive and name its folder with --data-root, or name the folder "
    "<root> of a local copy <root>/{repo} with --hub-root."
)
COPY = "Make one where there is a connection: hf download {repo} --repo-type dataset --local-dir <root>/{repo}"


@dataclass(frozen=True)
class Opened:
    """The splits of a data set, the commit they come from (``None`` if the copy does not say), and where that was."""

    splits: DatasetDict
    revision: str | None
    origin: str
    folder: Path | None


def open_hub(hub: HubSpec, mirror: Path | None, revision: str | None, cache: Path | None = None) -> Opened:
    """Open ``hub`` at commit ``revision`` (else the specification's own, else the newest, which is then returned).

    With ``mirror``, the copy ``<mirror>/<owner>/<name>`` is read, and the hub is not asked. ``cache`` is where the
    ``datasets`` library keeps its tables (its own folder, if ``None``). Raises :class:`UsageError` where the
    data set, the configuration or the copy does not exist, :class:`IntegrityError` where the copy is damaged or of
    another commit, and :class:`MachineError` where the hub cannot be reached.
    """
    revision = revision or hub.revision
    if mirror is not None:
        folder = (mirror / hub.repo).resolve()
        if not folder.is_dir():
            raise UsageError(f"there is no copy of {hub.repo} at {folder}", COPY.format(repo=hub.repo))
        found = _commit_of_copy(folder, hub, revision)
        splits, _ = _load(hub, str(folder), None, cache)
        return Opened(splits, found, f"hub {hub.repo}@{found or 'unknown'} (local copy)", folder)
    if Path(hub.repo).exists():
        # The library would take the folder and say nothing.
        raise UsageError(
            f"the folder {Path(hub.repo).resolve()} would be taken for the hub's {hub.repo}",
            "Start the command in another folder, or name the local copy's root with --hub-root.",
        )
    commit = revision or newest_commit(hub.repo)
    splits, found = _load(hub, hub.repo, commit, cache)
    if found != commit:
        # Offline the library falls back on any commit that it has in its cache.
        raise MachineError(
            f"the hub cannot be reached, and the cached copy of {hub.repo} is commit {found}, expected {commit}",
            ELSEWHERE.format(repo=hub.repo),
        )
    return Opened(splits, commit, f"hub {hub.repo}@{commit}", None)


def newest_commit(repo: str) -> str:
    """The hash of the newest commit of a data set on the hub; raises as :func:`open_hub`."""
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(repo).sha
    except Exception as error:
        raise _translated(error, repo) from error
    if commit is None:
        raise MachineError(f"the hub does not say which commit of {repo} is the newest", ELSEWHERE.format(repo=repo))
    return commit


def _load(hub: HubSpec, path: str, revision: str | None, cache: Path | None) -> tuple[DatasetDict, str | None]:
    from datasets import load_dataset_builder

    try:
        builder = load_dataset_builder(path, hub.config, revision=revision, cache_dir=cache and str(cache))
        builder.download_and_prepare()
        return builder.as_dataset(), builder.hash
    except Exception as error:
        raise _translated(error, hub.repo) from error


def _commit_of_copy(folder: Path, hub: HubSpec, expected: str | None) -> str | None:
    """The commit that the hub's download tool noted beside the files; ``None`` where it noted none or several."""
    notes = (folder / ".cache" / "huggingface" / "download").rglob("*.metadata")
    commits = {note.read_text(encoding="utf-8").partition("\n")[0].strip() for note in notes}
    other = sorted(commits - {expected})
    if expected is not None and other:
        raise IntegrityError(
            f"the copy of {hub.repo} at {folder} is commit {other[0]}, expected {expected}",
            f"{COPY.format(repo=hub.repo)} --revision {expected}",
        )
    return commits.pop() if len(commits) == 1 else None


def _translated(error: Exception, repo: str) -> VlclError:
    """The error of ours for one of the libraries'."""
    import pyarrow as pa
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, VlclError):
        return error
    if (refused := refusal_in(error)) is not None:
        return refused
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, NotImplementedError) and "flock" in reason:
        return MachineError(
            f"the cache of the hub's data sets lies on a file system without locks: {reason}",
            "HF_HOME names another folder, on a local disk for instance.",
        )
    elsewhere = ELSEWHERE.format(repo=repo)
    if isinstance(error, GatedRepoError) or "is a gated dataset" in reason:
        return MachineError(
            f"{repo} is given out only to those who accept its terms: {reason}",
            f"Accept them at https://huggingface.co/datasets/{repo}, then type: hf auth login",
        )
    if isinstance(error, RepositoryNotFoundError | DatasetNotFoundError):
        return UsageError(f"the hub does not have {repo}: {reason}", elsewhere)
    if isinstance(error, DataFilesNotFoundError | EmptyDatasetError):
        return UsageError(f"the copy of {repo} holds no data files: {reason}", COPY.format(repo=repo))
    if isinstance(error, RuntimeError) and "script" in reason:
        return UsageError(f"{repo} is a loading script, which the datasets library no longer runs: {reason}", elsewhere)
    if isinstance(error, DatasetsError | pa.ArrowInvalid):
        cause = error.__cause__ and f" ({error.__cause__})"
        return IntegrityError(f"the data files of {repo} are damaged: {reason}{cause or ''}", COPY.format(repo=repo))
    # The hub's library has changed its web client more than once (requests, httpx, httpx2).
    if isinstance(error, OSError) or any(kind.__module__.startswith("httpx") for kind in type(error).__mro__):
        return MachineError(f"{repo} could not be obtained from the hub: {reason}", elsewhere)
    return UsageError(f"{repo} cannot be opened: {reason}", elsewhere)
