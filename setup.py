"""Finds the packages: each top-level folder X is `greenroom.X`, and what is below it follows. Of the examples only the
demo is a package, because the command `greenroom demo` plays it."""

from setuptools import find_packages, setup

FLOORS = ("storage", "actors", "runtime", "scripting")
found = find_packages(include=[*FLOORS, *(f"{floor}.*" for floor in FLOORS)])

setup(packages=[f"greenroom.{name}" for name in (*found, "examples.demo")])
