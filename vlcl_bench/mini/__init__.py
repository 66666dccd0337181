"""The mini world: small pictures that need no download, the same bytes on every machine.

A *drawing* is one vector picture of a concept; a *rendition* is how it is painted (colour, line art, chalk, …);
a *picture* is a drawing in a rendition, placed on a background and put through a transform. Everything is
computed from integers and rounded coordinates, so that a picture is a pure function of its identifier.
"""

from __future__ import annotations

GENERATOR = "vlcl-mini-diffusion/v1"
BACKBONE = "vlcl-mini/v1"
REFERENCE = "mini-reference"
