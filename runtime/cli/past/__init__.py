"""The commands that look back: ``greenroom timeline``, ``replay``, ``diff`` and ``context``."""
