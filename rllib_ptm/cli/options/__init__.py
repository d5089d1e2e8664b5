"""The options of the commands: what they take, and how they are shown."""
