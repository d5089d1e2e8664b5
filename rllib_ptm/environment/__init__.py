"""What an environment must offer, and how its name becomes a game that PTM plays."""
