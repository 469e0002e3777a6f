"""Scripts: engines, their sandbox, and the globals that every language shares.

An engine converts values and binds; the globals (`greenroom.scripting.globals`) are plain Python over the session
proxies of `greenroom.runtime`; `principal` decides what a script may reach.
"""
