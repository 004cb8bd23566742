"""Rollout: before a new version of the predict function gets traffic, it has to give the model's golden answers."""
