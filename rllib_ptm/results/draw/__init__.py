"""Figures of runs in one look: on paper and on screens, light and dark, with and without colour."""
