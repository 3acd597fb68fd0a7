# The server and the command line, and nothing else. A test replays these steps (tests/e2e/test_dockerfile.py).
#
#   docker build -t rollout-guard .
#   docker run --read-only -v rollout:/var/lib/rollout -e ROLLOUT_INSECURE_LISTEN=yes -p 127.0.0.1:7070:7070 rollout-guard

FROM python:3.13.5-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src

# Without pip in it: what is not in the image cannot be used there.
COPY requirements/server.lock requirements/build.lock requirements/
RUN python -m venv --without-pip /opt/rollout \
    && python -m pip --python /opt/rollout/bin/python install --require-hashes --only-binary :all: -r requirements/server.lock \
    && python -m pip install --require-hashes --only-binary :all: -r requirements/build.lock

COPY pyproject.toml README.md LICENSE ./
COPY scripts/compile_engine.py scripts/
COPY examples examples
COPY sdk sdk
COPY rollout_server rollout_server
RUN python -m hatchling build -t wheel -d /wheels \
    && python -m pip --python /opt/rollout/bin/python install --no-deps --no-index /wheels/*.whl \
    && mkdir -m 0700 /data

FROM python:3.13.5-slim-bookworm
COPY --from=build /opt/rollout /opt/rollout
# The one place that is written to; a volume that is mounted here takes owner and mode from it.
COPY --from=build --chown=10001:10001 /data /var/lib/rollout

# Beyond this container nothing is served in clear text unless told so: give TLS files, or ROLLOUT_INSECURE_LISTEN.
ENV PATH=/opt/rollout/bin:$PATH \
    HOME=/var/lib/rollout \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ROLLOUT_DATA=/var/lib/rollout \
    ROLLOUT_LISTEN=0.0.0.0:7070 \
    ROLLOUT_HTTP_LISTEN=0.0.0.0:7071
WORKDIR /var/lib/rollout
USER 10001:10001
VOLUME ["/var/lib/rollout"]
EXPOSE 7070 7071
STOPSIGNAL SIGTERM
# gRPC health, without a token. Where the port speaks TLS, ROLLOUT_TLS_CA names the authority of its certificate.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["rollout", "health"]
ENTRYPOINT ["rollout"]
CMD ["serve"]
