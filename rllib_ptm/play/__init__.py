"""Plays episodes with the policy: env runner, rollout, exploration, recording."""
