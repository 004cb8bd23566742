"""The predict image outside of Lambda: an HTTP server for SageMaker's endpoints and jobs, and for Kubernetes."""
