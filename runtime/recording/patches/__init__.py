"""Patches: what a fork changes, said in a line, such as `llm.system+=" Be brief."`.

`grammar` reads a line, `fields` is the table of what can be changed, `plan` finds out what a patch means in a
recording, and the rest applies it to the bytes of a provider's format. All are pure functions, and light: a program
that is forked carries them with it."""
