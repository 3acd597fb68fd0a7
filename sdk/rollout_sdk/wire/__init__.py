"""Bytes to model and back: the one border where protobuf is spoken."""
