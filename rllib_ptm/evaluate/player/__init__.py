"""Episodes to look at: an interactive page, and a figure of several moments."""
