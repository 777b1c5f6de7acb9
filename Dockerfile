# dockerd under cgshim, on a base that has dockerd. `make image` builds the
# binary first; the base is an argument, so that any local image will do.
ARG BASE=docker:dind
FROM ${BASE}
COPY bin/cgshim /cgshim
ENTRYPOINT ["/cgshim", "--dind", "--", "dockerd"]
CMD []
