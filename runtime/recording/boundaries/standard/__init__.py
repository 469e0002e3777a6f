"""The boundaries of Python's own library: clocks, randomness, the environment, processes; and the lanes of its threads
and tasks."""
