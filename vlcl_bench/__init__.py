"""vlcl-bench: the benchmark and leaderboard for continual learning of vision-language models."""

__version__ = "0.1.0"
