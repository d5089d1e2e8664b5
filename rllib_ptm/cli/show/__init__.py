"""Shows and stores results: live table, plots, reports."""
