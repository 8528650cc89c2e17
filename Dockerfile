# The image of the action. BuildKit and the legacy builder can both build it.
# A release builds both architectures on one digest of this base (release.yml). Between releases,
# the tag brings in the fixes of the base.

FROM python:3.13-slim AS build

# What the image has of the base: Python, the libraries that it links to, a shell.
COPY image/rootfs.py /build/
RUN python -B /build/rootfs.py /rootfs
# The environment contains no pip; the pip of the base fills it.
RUN python -m venv --without-pip /opt/action && rm /opt/action/bin/[aA]ctivate*
COPY requirements.txt /build/
# --no-deps: the lock file has all packages except two that are declared but not needed:
# charset-normalizer, and PyGithub, which would add a C library for cryptography and 27 MiB.
# The wheels of actions-toolkit and certifi install their own tests too.
RUN pip --python /opt/action/bin/python install --no-deps --require-hashes --no-cache-dir --no-compile \
        -r /build/requirements.txt \
    && rm -r /opt/action/lib/python3.13/site-packages/tests \
             /opt/action/lib/python3.13/site-packages/certifi/tests
# The post stage: post-entrypoint must be one path without arguments.
COPY bin/post /opt/action/bin/post
COPY entrypoint /opt/action/lib/python3.13/site-packages/entrypoint
# Bytecode that Python never checks against its source, because image layers may change file times.
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/action/lib
# The list of what the image contains. No scanner could find Python in it.
COPY image/sbom.py /build/
RUN python -B /build/sbom.py /rootfs /opt/action >/build/sbom.spdx.json && mv /build/sbom.spdx.json /opt/action/

# Nothing of the base that image/rootfs.py does not name: a third of the bytes, no package manager,
# and bytecode for the whole standard library, of which the base has none (docs/notes/image.md).
FROM scratch

LABEL org.opencontainers.image.title="Airflow DAG Run" \
      org.opencontainers.image.description="Run an Airflow DAG for this commit, wait for it, and let the workflow go on only if it succeeded." \
      org.opencontainers.image.licenses="Apache-2.0"

# Two layers: the first one changes only with the base.
COPY --from=build /rootfs /
COPY --from=build /opt/action /opt/action
# The action as a command, for CI systems that start a shell in the image.
COPY bin/airflow-dag-run /usr/local/bin/

ENV PATH=/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8

# Exec form, so that Python is process 1 and gets the runner's signals.
# -I, because neither the working directory (the user's checkout) nor the job's environment may
# decide which modules are imported.
# -u, because -I ignores PYTHONUNBUFFERED.
# -B, because a container keeps no files.
# No USER, because only root can write the runner's command files.
ENTRYPOINT ["/opt/action/bin/python", "-I", "-u", "-B", "-m", "entrypoint"]
