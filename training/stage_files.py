"""The names of the files that stages leave: all that a pipeline's definition knows of them."""

SUMMARY = "summary.json"
"""What became of the labels."""

EVALUATION = "evaluation.json"
"""What a pipeline decides by."""
COMPARISON = "comparison.json"
"""Every figure of both models."""
REPORT = "report.md"
"""The same for a person."""
STATISTICS = "model_statistics.json"
"""The challenger's figures as a model registry shows them."""
