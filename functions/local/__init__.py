"""Moderato on a laptop: the very same Lambda apps on HTTP with the embedded store, and the `moderato` command."""

import os

# Unless this is set before its import, onnxruntime reports to its maker; a moderation service reports to nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
