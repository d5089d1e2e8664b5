"""Complete checkpoints of plain arrays, from which a run resumes exactly."""
