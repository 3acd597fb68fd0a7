"""A scope around each request and each task, for ASGI, WSGI, Django and Celery.

What is recorded in it belongs to exactly the flags that were decided in it; `rollout_sdk.current_scope()` returns it.
Each middleware takes `context`, a function of the request or task, which is called once, by the first decision that
needs it. Where it fails the context is empty; no request breaks.
"""
