"""Drift: once a day, whether recent scores are still those that the model was measured on."""
