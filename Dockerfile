# The image in which the action runs. Builds with BuildKit and with the legacy builder alike.
# A release builds both architectures and both stages on one digest of this base (release.yml); in between, the tag brings its
# fixes in.

FROM python:3.13-slim AS build

# pip stays outside of the environment that it fills.
RUN python -m venv --without-pip /opt/action
COPY requirements.txt /build/
# --no-deps: the lock is complete but for what is asked for and not needed here: charset-normalizer, and PyGithub, which would
# bring a C library for cryptography and 27 MiB. The wheel of actions-toolkit also installs its own tests, as "tests".
RUN pip --python /opt/action/bin/python install --no-deps --require-hashes --no-cache-dir --no-compile \
        -r /build/requirements.txt \
    && rm -r /opt/action/lib/python3.13/site-packages/tests
# The post stage: an entry point of its own has to be one path without arguments.
COPY bin/post /opt/action/bin/post
COPY entrypoint /opt/action/lib/python3.13/site-packages/entrypoint
# Bytecode that is never checked against its source: it holds whatever a layer does to the times of files.
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/action/lib

FROM python:3.13-slim

LABEL org.opencontainers.image.title="Airflow DAG Run" \
      org.opencontainers.image.description="Run an Airflow DAG for this commit, wait for it, and let the workflow go on only if it succeeded." \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /opt/action /opt/action
# The action as a command, for systems that start a shell in the image.
COPY bin/airflow-dag-run /usr/local/bin/

# Exec form, so that Python is process 1 and gets the runner's signals. -I, because the working directory is the user's
# checkout and the job's environment flows in: neither may decide what is imported. -u, because -I ignores
# PYTHONUNBUFFERED. -B, because the base has no bytecode of the standard library, and nothing that a container writes is kept.
# No USER: the runner's command files can be written by root only.
ENTRYPOINT ["/opt/action/bin/python", "-I", "-u", "-B", "-m", "entrypoint"]
