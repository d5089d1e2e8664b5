"""Attention of agents over entities: the paper's, and that over pairs of an agent and an entity."""
