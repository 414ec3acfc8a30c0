# The connector's image: a slim Debian, the binary, certificates and /bin/sh. Airbyte does not use the entry point; it
# runs   sh -c 'eval "$AIRBYTE_ENTRYPOINT read --config …"'   as uid 1000 in a working directory of its own, so the
# shell and the absolute path are needed.
#
#   make image                                     copies target/dist/tollgate, built outside (the default)
#   docker build --target build -t tollgate/source-s3:dev .       compiles it inside; wants the BUILDER image
#
# BASE must have the C library of the system that built the binary, or a newer one.
ARG BASE=debian:bookworm-slim
ARG BUILDER=rust:1.95-slim-bookworm

FROM ${BASE} AS base
RUN test -e /etc/ssl/certs/ca-certificates.crt \
    || (apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*)
RUN groupadd --gid 1000 airbyte \
    && useradd --uid 1000 --gid 1000 --home-dir /airbyte --no-create-home --shell /bin/sh airbyte \
    && install -d -o 1000 -g 1000 /airbyte
ENV AIRBYTE_ENTRYPOINT="/airbyte/tollgate"
USER 1000:1000
WORKDIR /airbyte
ENTRYPOINT ["/airbyte/tollgate"]
ARG VERSION=dev
LABEL io.airbyte.name="tollgate/source-s3" io.airbyte.version="${VERSION}"

FROM base AS prebuilt
ARG BINARY=target/dist/tollgate
COPY ${BINARY} /airbyte/tollgate

FROM ${BUILDER} AS compile
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked --bin tollgate

FROM base AS build
COPY --from=compile /src/target/dist/tollgate /airbyte/tollgate

# The last stage is what `docker build` makes when no target is named.
FROM prebuilt
