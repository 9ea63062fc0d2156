# syntax=docker/dockerfile:1

# The images of Gatewright, for linux/amd64 and linux/arm64:
#
#   docker build -t gatewright:devel .                       the gateway without an Envoy: `gatewright serve`
#   docker build -t gatewright:devel-run --target run .      with one: `gatewright run`, the whole gateway
#
# A tag is a version, with -run behind it where an Envoy is in the image; devel is the
# one of what has none.
#
# Both platforms as one image, into a registry. An engine without containerd's store of
# images needs a builder for that, once: the first line.
#
#   docker buildx create --use
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=$VERSION -t $REGISTRY/gatewright:$VERSION --push .
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=$VERSION --target run -t $REGISTRY/gatewright:$VERSION-run --push .
#
# The other targets are parts of docker-compose.yaml. The builder is that of Docker 23 or
# newer: older ones skip folders that .dockerignore takes files of.

# Compiled on the machine that builds, for the machine that runs: no emulation.
# All is Go without cgo, so that no library is needed there.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=devel
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/cache \
    CGO_ENABLED=0 GOCACHE=/cache GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -tags grpcnotrace -ldflags "-s -w -X main.version=$VERSION" -o /out/ \
      ./cmd/gatewright ./examples/demo ./deploy/compose/firststart
# Folders that become volumes: a new volume takes owner and mode of the folder that
# an image has in its place, so nobody has to be root to make it.
RUN mkdir -p /made/run/gatewright /made/var/lib/gatewright /made/volumes/etcd \
      /made/volumes/secrets/redis /made/volumes/secrets/postgres /made/volumes/secrets/etcd \
      /made/volumes/secrets/gatewright /made/volumes/secrets/prometheus /made/volumes/secrets/grafana && \
    mkdir -m 1777 /made/tmp && chmod -R 0750 /made/run/gatewright /made/var/lib/gatewright /made/volumes && chmod 0700 /made/volumes/etcd

# What programs of Go need beside themselves: whom to trust, and somewhere to write.
FROM scratch AS static
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /made/tmp /tmp
ENV PATH=/usr/local/bin
USER 65532:65532

# What reads the config and judges, without an Envoy.
FROM static AS gatewright
COPY --from=build /out/gatewright /usr/local/bin/gatewright
COPY --from=build --chown=65532:65532 /made/run/gatewright /run/gatewright
COPY --from=build --chown=65532:65532 /made/var/lib/gatewright /var/lib/gatewright
ENV GATEWRIGHT_STATE_DIR=/var/lib/gatewright GATEWRIGHT_DATABASE_URL=sqlite:/var/lib/gatewright/keys.db
WORKDIR /etc/gatewright
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["gatewright", "health"]
ENTRYPOINT ["gatewright"]
CMD ["serve"]
ARG VERSION=devel
LABEL org.opencontainers.image.title="Gatewright" \
      org.opencontainers.image.description="An API gateway beside Envoy: what configures it and judges its requests" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/gatewright/gatewright"

# The whole gateway, or one of its Envoys.
FROM envoyproxy/envoy:distroless-v1.40.0 AS run
COPY --from=build /out/gatewright /usr/local/bin/gatewright
COPY --from=build --chown=65532:65532 /made/run/gatewright /run/gatewright
COPY --from=build --chown=65532:65532 /made/var/lib/gatewright /var/lib/gatewright
ENV GATEWRIGHT_STATE_DIR=/var/lib/gatewright GATEWRIGHT_DATABASE_URL=sqlite:/var/lib/gatewright/keys.db GATEWRIGHT_ENVOY=/usr/local/bin/envoy
WORKDIR /etc/gatewright
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["gatewright", "health"]
ENTRYPOINT ["gatewright"]
CMD ["run"]
ARG VERSION=devel
LABEL org.opencontainers.image.title="Gatewright" \
      org.opencontainers.image.description="An API gateway: Gatewright and the Envoy that it runs" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/gatewright/gatewright"

# The services behind the gateway of docker-compose.yaml.
FROM static AS demo
COPY --from=build /out/demo /out/firststart /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["demo"]

# What makes the passwords of docker-compose.yaml.
FROM static AS firststart
COPY --from=build /out/firststart /usr/local/bin/firststart
COPY --from=build --chown=65532:65532 /made/volumes /volumes
USER 65532:65532
ENTRYPOINT ["firststart"]
CMD ["secrets", "/volumes/secrets"]

# etcd, in the version that go.mod has.
FROM build AS build-etcd
ARG TARGETOS
ARG TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/cache \
    CGO_ENABLED=0 GOCACHE=/cache GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w" -o /out/etcd go.etcd.io/etcd/server/v3

FROM static AS etcd
COPY --from=build-etcd /out/etcd /out/firststart /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["etcd"]

# Two images that have neither a shell nor a probe get one.
FROM otel/opentelemetry-collector-contrib:0.165.0 AS collector
COPY --from=build /out/firststart /usr/local/bin/firststart

FROM jaegertracing/jaeger:2.13.0 AS jaeger
COPY --from=build /out/firststart /usr/local/bin/firststart

# Without --target, the first one is built.
FROM gatewright
