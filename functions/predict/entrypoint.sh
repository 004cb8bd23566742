#!/bin/sh
# SageMaker and Kubernetes start this image with `serve`; Lambda starts it with the name of a handler, as its base means it.
if [ "${1:-}" = serve ]; then
  export PYTHONPATH=/var/task:/opt/python
  exec python -m predict.hosting.main
fi
exec /lambda-entrypoint.sh "$@"
