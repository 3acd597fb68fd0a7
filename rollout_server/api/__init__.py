"""The borders that are listened on: gRPC services and HTTP."""
