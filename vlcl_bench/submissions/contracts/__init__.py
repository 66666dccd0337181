"""The contracts of a method: checks that a submission's code must pass, one function each."""
