# docker build -t udt . && docker run --rm -v "$PWD":/data udt train reviews.csv --target label
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY udt ./udt
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.13-slim
COPY --from=build /wheel/*.whl /tmp/
# What the wheel needs stands in it, with its versions.
# hadolint ignore=DL3013
RUN wheel=$(echo /tmp/openudt-*.whl) \
    && pip install --no-cache-dir "${wheel}[serve]" \
    && rm "${wheel}" \
    && useradd --create-home --uid 1000 udt \
    && mkdir /data \
    && chown udt /data
# Compiled kernels stay in a place of the user's own.
ENV NUMBA_CACHE_DIR=/home/udt/.cache/udt PYTHONUNBUFFERED=1
USER 1000
WORKDIR /data
EXPOSE 8000
ENTRYPOINT ["udt"]
CMD ["--help"]
