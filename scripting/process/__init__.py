"""Runs a script in a process of its own, which can be killed at any moment without harm to anything.

A fork server, one clean child process of the host for each runtime and language, has the engine loaded and forks a
process for every script (`fork_server`). The host keeps a few ready (`children`). In the process of the script the same
sandbox runs as on a thread (`child`), under limits of the kernel (`limits`). Its calls cross a socket as frames
(`wire`) of MessagePack (`packing`), and the host answers them from the real functions (`remote`).

The modules that run in the children import only what these need: no store, no actors, no pydantic.
"""
