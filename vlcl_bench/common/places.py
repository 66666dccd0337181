"""Where the project keeps what a machine must remember: manifests and canaries of first use."""

from __future__ import annotations

import os
from pathlib import Path


def data_home() -> Path:
    """``$VLCL_DATA_HOME``, or ``vlcl-bench`` in ``$XDG_DATA_HOME``, by default ``~/.local/share/vlcl-bench``.

    Unlike the store, what is here is not built again: it is what later runs are compared with. The folder need
    not exist. A relative ``$XDG_DATA_HOME`` is ignored, as the XDG base directory specification wants it.
    """
    chosen = os.environ.get("VLCL_DATA_HOME")
    if chosen:
        return Path(chosen)
    shared = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".local" / "share") / "vlcl-bench"
