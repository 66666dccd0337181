"""A method in a process of its own: the wire, both ends of it, what is refused there, and how it is ended.

What this prevents and what it does not is written in ``docs/isolation.md``.
"""
