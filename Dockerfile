# A static program in an empty image. Serves /srv on port 8080:
#
#   docker build --tag sluicegate .
#   docker run --publish 8080:8080 --volume "$PWD/site:/srv:ro" sluicegate

FROM rust:1.95-alpine AS build
# A C compiler for ring.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
# As in contrib/release.sh.
ENV CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
RUN cargo build --release --locked --bin sluicegate

FROM scratch
# The authorities that backends, a quota server and collectors of spans are checked against.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/sluicegate /usr/bin/sluicegate
COPY contrib/docker/sluicegate.toml /etc/sluicegate/sluicegate.toml
WORKDIR /srv
# No name of the image, which has no /etc/passwd.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=12s --start-period=2s CMD ["/usr/bin/sluicegate", "health"]
ENTRYPOINT ["/usr/bin/sluicegate"]
CMD ["run", "/etc/sluicegate/sluicegate.toml"]
