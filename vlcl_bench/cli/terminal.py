"""The terminal that commands print records on: nothing in what is printed is interpreted, and nothing is hidden."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

from vlcl_bench.common import streams
from vlcl_bench.common.plain import plain


class _Harmless:
    """Anything to print, without what a terminal would act on: escape sequences, marks of direction."""

    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.inner, options):
            yield segment if segment.control else Segment(plain(segment.text, lines=True), segment.style)


class _HarmlessOnly(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Harmless(one) for one in renderables]


def terminal(*, stderr: bool = False) -> Console:
    """A console without markup whose every word comes out as it is, whoever wrote it."""
    console = Console(stderr=stderr, markup=False, emoji=False)
    console.push_render_hook(_HarmlessOnly())
    return console


def say(text: str, *, err: bool = False) -> None:
    """One line, or several, of which some words are somebody else's; in whatever encoding the output has."""
    streams.say(plain(text, lines=True), err=err)
