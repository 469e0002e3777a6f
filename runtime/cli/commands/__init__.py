"""The commands of ``greenroom``, a module for each group of them."""
