"""Pictures made by a text-to-image model: prompts, pipelines, a store of what was made, the loan of it to a method."""

from __future__ import annotations

GENERATOR = "generator"
"""What a method declares, among its reference data, that wants synthetic pictures: see :meth:`Context.synthesise`."""
