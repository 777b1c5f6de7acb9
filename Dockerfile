# These commands build the images in a clone, which needs no preparation:
#
#   docker build --tag dind .                      docker:dind with cgshim as its init
#   docker build --target binary --tag cgshim .    /cgshim alone, for COPY --from=cgshim
#
# The images that the stages begin with are arguments, so that others can replace them.
ARG GO=golang:1.26-bookworm
ARG BASE=docker:dind

# Only BuildKit sets BUILDPLATFORM and the TARGET arguments. With them this stage runs on the
# builder's own platform and compiles for the target's.
FROM --platform=${BUILDPLATFORM:-linux} ${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETARCH
ARG TARGETVARIANT
ARG VERSION
ARG COMMIT
# The image dind adds these files to its base:
#
# - docker-init is cgshim. The base's entry script executes docker-init last, so there is one
#   init. dockerd also finds docker-init for `docker run --init` inside, where cgshim behaves
#   as tini.
# - The script dind is not executable, so the entry script leaves it out. cgshim does its
#   work.
#
# The stage dind copies the files and runs no command, because the shell of another platform
# may not run on the builder.
RUN export GOARM="${TARGETVARIANT#v}" \
    && make build OUT=/out/cgshim VERSION="$VERSION" COMMIT="$COMMIT" ${TARGETARCH:+GOARCH="$TARGETARCH"} \
    && mkdir -p /dind/usr/local/bin /out/licenses \
    && cp LICENSE NOTICE /out/licenses/ \
    && cp /out/cgshim /dind/cgshim \
    && ln -s /cgshim /dind/usr/local/bin/docker-init \
    && echo "# cgshim does what this script did (docker-init)." >/dind/usr/local/bin/dind

FROM scratch AS binary
COPY --from=build /out/cgshim /cgshim
COPY --from=build /out/licenses/ /usr/share/licenses/cgshim/
ENTRYPOINT ["/cgshim"]

# The entry point, the arguments and the other variables are the base's.
FROM ${BASE} AS dind
COPY --from=build /dind/ /
COPY --from=build /out/licenses/ /usr/share/licenses/cgshim/
ENV CGSHIM_CGROUP=auto CGSHIM_DIND=1
