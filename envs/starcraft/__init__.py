"""StarCraft micro-battles: tasks, units, spawns, simulators, and what a team observes."""
