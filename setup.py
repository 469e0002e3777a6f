"""Finds the packages: each top-level folder X is `greenroom.X`, and what is below it follows."""

from setuptools import find_packages, setup

FLOORS = ("storage", "actors", "runtime", "scripting")

setup(packages=[f"greenroom.{name}" for name in find_packages(include=[*FLOORS, *(f"{floor}.*" for floor in FLOORS)])])
