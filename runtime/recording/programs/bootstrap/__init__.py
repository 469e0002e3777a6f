"""The folder that stands on PYTHONPATH while a program is recorded or replayed: Python itself imports `sitecustomize`
from it. Nothing else may stand here, since the program sees it."""
