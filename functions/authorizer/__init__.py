"""The authorizer function: it says who sent a request, before any other function sees it."""
