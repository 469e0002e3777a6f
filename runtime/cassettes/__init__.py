"""Recordings as tests: where their bundles lie, and what is said when a program has come to ask for something else."""
