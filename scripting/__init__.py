"""Runs scripts: engines, their sandbox, and the globals that all languages share.

An engine converts values and calls the globals (`greenroom.scripting.globals`), which are plain Python over the session
handles of `greenroom.runtime`; `principal` decides what a script may reach.
"""
