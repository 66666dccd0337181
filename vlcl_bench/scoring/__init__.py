"""From answers to numbers: pure functions, without torch, that know no method."""
