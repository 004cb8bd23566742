"""Retraining: what starts the training pipeline, once for each batch of labels, and what became of it."""
