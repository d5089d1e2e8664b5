"""Success rates of tasks, the priorities that follow from them, and how a task is drawn."""
