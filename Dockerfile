# The win desk and the daily run in one image: docs/deploy.md
#
#   docker build --tag winpredict .
#   docker run --rm --volume winpredict:/workspace winpredict --help

# The Python that the tests run with.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ARG UV_VERSION=0.13.9
# "app crm warehouse" also reads PostgreSQL and DuckDB warehouses.
ARG EXTRAS="app crm"
ENV UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /source
# Libraries first: they take the time, and stay the same while only the code changes.
COPY pyproject.toml uv.lock ./
# The versions and hashes of uv.lock, through pip's interface, so that a mirror of PyPI will do. Nothing is compiled
# from source, as there is no compiler. Bytecode is made here, because the file system is read-only later.
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/root/.cache/uv \
    set -eu; \
    options=""; \
    for extra in ${EXTRAS}; do options="${options} --extra ${extra}"; done; \
    uv export --frozen --quiet --no-dev --no-emit-project ${options} --output-file /tmp/requirements.txt; \
    uv venv --python /usr/local/bin/python3 /opt/winpredict; \
    uv pip install --python /opt/winpredict --compile-bytecode --only-binary :all: --require-hashes \
    --requirement /tmp/requirements.txt
COPY README.md LICENSE ./
COPY configs configs
COPY src src
# The check fails where uv.lock no longer has what pyproject.toml asks for.
RUN --mount=type=cache,target=/root/.cache/uv \
    set -eu; \
    uv build --wheel --out-dir /tmp/dist; \
    uv pip install --python /opt/winpredict --compile-bytecode --no-deps /tmp/dist/*.whl; \
    uv pip check --python /opt/winpredict


FROM python:${PYTHON_VERSION}-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="winpredict" \
      org.opencontainers.image.description="Honest odds of winning every open sales deal, and the reasons why" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# OpenMP for LightGBM; Pango and a font for reports as PDF.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends fonts-dejavu-core libgomp1 libpangoft2-1.0-0 \
 && rm -rf /var/lib/apt/lists/*
# The ids are fixed, so that volumes, and policies that ask for a number, can rely on them.
RUN groupadd --gid 10001 winpredict \
 && useradd --uid 10001 --gid 10001 --home-dir /var/cache/winpredict --no-create-home --shell /usr/sbin/nologin \
    --no-log-init winpredict \
 && install --directory --owner=10001 --group=10001 --mode=0700 /workspace /var/cache/winpredict
COPY --from=build /opt/winpredict /opt/winpredict
COPY LICENSE THIRD_PARTY_NOTICES.md /usr/share/doc/winpredict/
# Nothing but the workspace, the cache of compiled loops and /tmp is written to: the root file system may be read-only.
ENV PATH=/opt/winpredict/bin:$PATH \
    HOME=/var/cache/winpredict \
    XDG_CACHE_HOME=/var/cache/winpredict \
    MPLCONFIGDIR=/var/cache/winpredict/matplotlib \
    NUMBA_CACHE_DIR=/var/cache/winpredict/numba \
    WINPREDICT_WORKSPACE=/workspace \
    WINPREDICT_LOG_DIR=/workspace/errors
USER 10001:10001
WORKDIR /workspace
VOLUME ["/workspace"]
EXPOSE 8765
# Of the desk. For a run, which answers nobody, switch it off: --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:8765/api/v1/health', timeout=4)"]
ENTRYPOINT ["winpredict"]
CMD ["serve", "--host", "0.0.0.0"]
