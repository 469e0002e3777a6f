"""``greenroom run`` and what it shares with ``greenroom repl``: how scripts get the store, tools, agents and limits."""
