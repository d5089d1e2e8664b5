"""Config keys of small networks and batches, for fast updates."""

from __future__ import annotations

SMALL = {
    "attention_dim": 16,
    "attention_heads": 2,
    "recurrent_dim": 8,
    "hypernet_dim": 16,
    "mixing_dim": 8,
    "batch_size_episodes": 4,
    "learning_starts_episodes": 4,
    "episodes_per_training_step": 4,
}
