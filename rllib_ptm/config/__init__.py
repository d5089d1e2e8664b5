"""What may be configured: every key with its type, default and legal values."""
