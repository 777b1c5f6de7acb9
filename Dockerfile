# In a clone, with nothing else:
#
#   docker build --tag dind .                      docker:dind with cgshim as its init
#   docker build --target binary --tag cgshim .    /cgshim alone, for COPY --from=cgshim
#
# Every image that it begins with is an argument, so that others will do.
ARG GO=golang:1.26-bookworm
ARG BASE=docker:dind

# BuildKit alone sets BUILDPLATFORM and the TARGET arguments, and cross-compiles by them.
FROM --platform=${BUILDPLATFORM:-linux} ${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETARCH
ARG TARGETVARIANT
ARG VERSION
ARG COMMIT
# What the image dind adds to its base:
#
# - docker-init, which the base's entry script executes last, is cgshim. So there is one
#   init, and dockerd finds it for `docker run --init` inside as well, where it is as tini.
# - dind, the script, is not executable, and so the entry script leaves it out. cgshim
#   does its work. It is COPY and not RUN, for another platform's shell does not run here.
RUN export GOARM="${TARGETVARIANT#v}" \
    && make build OUT=/out/cgshim VERSION="$VERSION" COMMIT="$COMMIT" ${TARGETARCH:+GOARCH="$TARGETARCH"} \
    && mkdir -p /dind/usr/local/bin \
    && cp /out/cgshim /dind/cgshim \
    && ln -s /cgshim /dind/usr/local/bin/docker-init \
    && echo "# cgshim does what this script did (docker-init)." >/dind/usr/local/bin/dind

FROM scratch AS binary
COPY --from=build /out/cgshim /cgshim
ENTRYPOINT ["/cgshim"]

# Entry point, arguments and variables are the base's.
FROM ${BASE} AS dind
COPY --from=build /dind/ /
ENV CGSHIM_CGROUP=auto CGSHIM_DIND=1
