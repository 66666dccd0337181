"""Submissions, in three parts: as data, as code, and on their way to the board.

As data (:mod:`~vlcl_bench.submissions.check` and what it calls) nothing in a submission is imported or run; as code
(:mod:`~vlcl_bench.submissions.contracts`) its method is tried; new, add and rerun make one, fill it and repeat it.
"""
