"""Labeling: reviews that wait become a labeling job, and what a finished one says becomes answers and labels."""
