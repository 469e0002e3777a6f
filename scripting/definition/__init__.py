"""What a global is, as data: functions with their types, options and shapes, and the layout that bindings read."""
