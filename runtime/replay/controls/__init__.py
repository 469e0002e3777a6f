"""Controls of replays: start, pause, step, breakpoints, progress, schedules."""
