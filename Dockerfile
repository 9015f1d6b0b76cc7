# The gateway as one static binary in an otherwise empty image.
#
#   docker build -t switchboard .
#   docker buildx build --platform linux/amd64,linux/arm64 -t switchboard .
#
# Each platform is built on itself (or emulated): nothing is cross-compiled, and so no architecture is named here.

# With the toolchain and a C compiler, for LMDB and TLS. Its glibc, 2.34 or newer, is what is linked in.
ARG RUST_IMAGE=rust:1.95-bookworm

FROM ${RUST_IMAGE} AS toolchain
WORKDIR /build
# Static, without symbols. Names are resolved by what glibc itself has for /etc/hosts and DNS: no library is loaded for that.
ENV RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_TERM_COLOR=never
# With a target named, the flags above hold for the program and not for what only runs while it is built.
RUN rustc --print host-tuple >/target-triple

# The dependencies alone: fetched and built again only when they change. The program is an empty one, without benches and tests. (No cache
# mounts: this stage is the cache, also on builders that refuse them.)
FROM toolchain AS dependencies
COPY Cargo.toml Cargo.lock ./
RUN sed -i -E '/^\[\[(bench|test)\]\]$/,/^$/d' Cargo.toml && mkdir src && echo '//! Nothing yet.' >src/lib.rs && \
    printf '//! Nothing yet.\nfn main() {}\n' >build.rs && cp build.rs src/main.rs
RUN cargo build --release --locked --bin switchboard --target "$(cat /target-triple)" && \
    cargo clean --release --locked --package switchboard --target "$(cat /target-triple)"

FROM dependencies AS program
COPY build.rs ./
COPY proto proto
COPY src src
RUN cargo build --release --locked --bin switchboard --target "$(cat /target-triple)" && \
    cp "target/$(cat /target-triple)/release/switchboard" /switchboard

# What the program reads at run time, beside its own files.
FROM toolchain AS root
WORKDIR /root-of-image
RUN mkdir -p etc/ssl/certs && cp -L /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ && \
    echo 'switchboard:x:65532:65532:switchboard:/var/lib/switchboard:/nowhere' >etc/passwd && \
    echo 'switchboard:x:65532:' >etc/group && \
    echo 'hosts: files dns' >etc/nsswitch.conf && \
    chmod -R u=rwX,go=rX etc && \
    mkdir -m 1777 tmp && \
    mkdir -m 0750 /data

FROM scratch
COPY --from=root /root-of-image/ /
# A volume takes its owner from here.
COPY --from=root --chown=65532:65532 /data/ /var/lib/switchboard/
COPY --from=program /switchboard /switchboard

# Listeners stay on loopback until they are set: gRPC and ops beyond it need an access token, and a variable here would
# go before what a configuration file says.
ENV SWITCHBOARD_DATA_DIR=/var/lib/switchboard
VOLUME /var/lib/switchboard
USER 65532:65532
# gRPC for handlers; webhooks; the live view, metrics and health.
EXPOSE 50051 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=1m --retries=3 CMD ["/switchboard", "health", "--timeout", "4s"]
ENTRYPOINT ["/switchboard"]

# Last, since they change with every build.
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/switchboard/switchboard
LABEL org.opencontainers.image.title="switchboard" \
      org.opencontainers.image.description="A gateway that owns a Telegram bot's connection and fans its updates out over gRPC, durably and in order" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.url="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}/tree/main/docs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
