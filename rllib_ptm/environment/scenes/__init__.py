"""What episodes look like: positions, health, shots. The player and the snapshots draw them."""
