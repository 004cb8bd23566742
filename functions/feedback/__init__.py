"""Feedback: record what moderators say of decisions, and queue for review what was wrong."""
