"""StarCraft micro-battles, from a task's name to what a team sees."""
