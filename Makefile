.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export CGO_ENABLED := 0

# VERSION is the tag without the v. In a tarball or a shallow clone, which have no tag, the
# packager sets VERSION. Without it the binary reports the version of the module (version.go).
VERSION ?= $(patsubst v%,%,$(shell git describe --tags --match 'v[0-9]*' --abbrev=12 2>/dev/null))
COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
GOARCH ?= $(shell go env GOHOSTARCH)
OUT ?= bin/cgshim
BUDGET ?= 3200000
FUZZTIME ?= 10s
COVER ?= 80
KERNELS ?= 6.1 6.12
GOS ?= go1.25.14 go1.27.4
BASE ?= docker:dind
IMAGE ?= cgshim:dind
DIST ?= dist

# Packagers may copy this build (docs/packaging.md). It adds these flags to go build, each
# with its reason:
#
#   -trimpath, -buildvcs=false  the same binary from a clone and from a tarball
#   -s -w                       no symbol table and no DWARF, 2.9 MB instead of 4.3
#   -X                          the version and the commit that --version prints
LDFLAGS := -s -w $(if $(VERSION),-X main.version=$(VERSION)) $(if $(COMMIT),-X main.commit=$(COMMIT))
#   -E                          on these ports the process starts at an entry point of its
#                               own, so that PID 1 never starts Go's runtime
#                               (docs/adr/0008-no-runtime.md)
NATIVE := 386 amd64 arm arm64 loong64 ppc64le riscv64 s390x
$(foreach port,$(NATIVE),$(eval ENTRY_$(port) := github.com/cgshim/cgshim/shim/pid1.entry))
LDFLAGS += $(if $(ENTRY_$(GOARCH)),-E $(ENTRY_$(GOARCH)))
#   GOEXPERIMENT=nojsonv2       with Go 1.27, whose second encoding/json is 0.7 MB larger
#                               (docs/adr/0006-size.md)
EXPERIMENT := $(if $(filter go1.27 go1.27.%,$(shell go env GOVERSION)),GOEXPERIMENT=nojsonv2)
BUILD = GOOS=linux $(EXPERIMENT) go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

# PORTABLE matches the tests that also pass on ports without assembly.
PORTABLE := Quick|Orphans|Pause|Stop|Stuck|Drain|Reason|Script|JobOf|Shell|Closed|Exec|Dind

# Tests of what goroutines do in the portable build. Its start takes long under the race
# detector, so tests with very many runs are not among them. Tests that count real-time
# signals are not either, because a portable build may take equal ones for one.
RACE := Pause|Stop|Stuck|Drain|Reason|JobOf|OrphansAre|Rewrite|Resize
# Tests of the package cgroup that have goroutines.
SHARED := NothingIsShared|OnlyOnTheMainThread

TOOL := go tool -modfile=$(CURDIR)/tools/go.mod
UNPRIVILEGED := $(if $(filter 0,$(shell id -u)),setpriv --reuid=65534 --regid=65534 --clear-groups)
NEED := test/deps/install.sh
export CGSHIM_BIN ?= $(CURDIR)/bin/cgshim

# The names after NEED in a recipe are the programs that the target installs.
help: ## list the targets, and the programs that each installs by apt if they are missing
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 } \
		/^\t@\$$\(NEED\) / { sub(/^[^)]*\) /, ""); printf "%-16s   installs %s\n", "", $$0 }' $(MAKEFILE_LIST)

build: ## the static binary, bin/cgshim
	GOARCH=$(GOARCH) $(BUILD) -o $(OUT) .

test: ## tests that need neither root nor a special kernel
	go test ./...

# The portable build has goroutines, for signals, orphans and limits. A race ends it with
# status 66, so that a test fails, and leaves a file in bin/ in any case.
race: ## as root: the portable build, and what other programs import, under the race detector
	@$(NEED) cc busybox unshare
	CGO_ENABLED=1 go test -race ./shim/... ./reaper
	CGO_ENABLED=1 go test -race ./cgroup -run '$(SHARED)'
	@rm -f bin/race.*
	CGO_ENABLED=1 go build -race -o bin/cgshim-race .
	cd test && CGSHIM_BIN=$(CURDIR)/bin/cgshim-race GORACE="halt_on_error=1 exitcode=66 log_path=$(CURDIR)/bin/race" \
		go test -count=1 ./init -run '$(RACE)'
	@! cat bin/race.* 2>/dev/null

# These tests run bin/cgshim. Go does not notice when that changes, so it must not cache the
# results (-count=1).
test-root: build ## as root, in namespaces: against the built binary and against tini
	@$(NEED) tini dumb-init busybox unshare cc
	cd test && go test -count=1 $$(go list ./... | grep -Ev '/(vm|e2e|systems|bench|images|builds|starved)(/|$$)')
	@$(MAKE) -s build ENTRY_$(GOARCH)= OUT=bin/cgshim-portable
	cd test && CGSHIM_BIN=$(CURDIR)/bin/cgshim-portable go test -count=1 ./init -run '$(PORTABLE)'

test-starved: build ## as root, what an init outlives, and tini beside it; STARVED_TIME=60s for longer
	@$(NEED) tini cc bindfs qemu-x86_64-static strace unshare
	cd test && go test -count=1 -timeout 60m ./starved -skip Odd $(STARVEDFLAGS)

test-odd: build ## as root, odd environments beside tini: filters that refuse or kill, start conditions
	@$(NEED) tini cc strace unshare
	cd test && go test -count=1 -v -timeout 60m ./starved -run 'Odd|StartConditions'

test-starved-vm: build ## the fork storm at pids.max on STARVED_CPUS (8) CPUs, under QEMU
	@$(NEED) tini cc qemu-system-x86_64 busybox
	cc -static -O1 -o bin/starved test/starved/testdata/starved.c
	cd test && go build -o ../bin/vmrun ./vm
	cd test && CGSHIM_VM_CPUS=$(or $(STARVED_CPUS),8) CGSHIM_STARVED=/pkg CGSHIM_STARVED_TIME=$(or $(STARVED_TIME),60s) \
		CGSHIM_VM_FILES="$(CURDIR)/bin/cgshim $(CURDIR)/bin/starved /usr/bin/tini-static" \
		go test -count=1 -exec $(CURDIR)/bin/vmrun -v ./starved -run 'TestForkStorm|TestSignalsWithoutProcesses'

test-vm: build ## the cgroup code on Debian kernels with every v2 controller, under QEMU
	@$(NEED) qemu-system-x86_64 busybox
	cd test && go build -o ../bin/vmrun ./vm && go test -count=1 ./vm
	@printf '%s\n' $(KERNELS) | xargs -P 2 -I KERNEL \
		env CGSHIM_VM_KERNEL=KERNEL go test $(VMFLAGS) -count=1 -timeout 40m -exec $(CURDIR)/bin/vmrun ./cgroup

test-e2e: build ## dockerd under cgshim and under its peers, in the VM
	@$(NEED) qemu-system-x86_64 busybox mkfs.ext4
	cd test && go test $(E2EFLAGS) -v -count=1 -timeout 60m ./e2e

test-k8s: build ## a real kubelet with cgshim in its pods, in the VM; K8S_API=1: and an API server
	@$(NEED) qemu-system-x86_64 busybox mkfs.ext4 cc
	cd test && CGSHIM_K8S_API=$(K8S_API) go test -v -count=1 -timeout 60m ./systems -run Kubelet

test-systems: build ## today's Docker, systemd, LXC and a supervisor in Go, in the VM
	@$(NEED) qemu-system-x86_64 busybox mkfs.ext4 cc
	cd test && go test -v -count=1 -timeout 60m ./systems -skip Kubelet

run: build ## start a real dockerd under cgshim in a sandbox, show it, stop it
	@$(NEED) dockerd docker busybox nsenter
	cd test && go run ./run $(RUNFLAGS)

image: ## docker:dind with cgshim as its init, by the Dockerfile: make image BASE=docker:dind
	@$(NEED) docker
	docker build --build-arg BASE=$(BASE) --build-arg VERSION="$(VERSION)" --build-arg COMMIT="$(COMMIT)" -t $(IMAGE) .

test-images: build ## the Dockerfile by both builders of Docker, on bases made here
	@$(NEED) dockerd docker busybox git unshare
	cd test && go test -count=1 -timeout 20m -run 'TestDockerfile|TestExamples' ./images

bench: build ## against the peers, side by side; BENCHROUNDS=1 to see that it runs
	@$(NEED) cc tini dumb-init catatonit unshare
	cd test && go run ./bench $(BENCHFLAGS)

fuzz: ## every fuzz target for FUZZTIME
	@go list -f '{{.Dir}}' ./... | while read -r dir; do \
		for target in $$(go test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
		done; \
	done

mutants: ## as root, whether a test notices each mistake of a list; ONLY=cgroup/mount for a part
	@$(NEED) git
	cd tools && go run ./mutants $(if $(ONLY),-only '$(ONLY)')

cover: ## statements that tests reach; of shim at least COVER % without root
	@mkdir -p bin
	go test -coverprofile=bin/cover.out -coverpkg=./... ./...
	go tool cover -func=bin/cover.out | tail -1
	go test -c -cover -o bin/shim.test ./shim
	@cd shim && out=$$($(UNPRIVILEGED) ../bin/shim.test) || { echo "$$out"; exit 1; }; \
		echo "$$out" | awk -v least=$(COVER) '$$1 == "coverage:" { print "shim: " $$2 " by its own tests, " least "% wanted"; is = $$2 + 0 } \
			END { exit is < least }'

lint: ## the checks that only read the sources; ARCHS="386 arm" for other architectures
	@$(NEED) shellcheck codespell mandoc
	ARCHS="$(ARCHS)" test/lint.sh

vuln: ## known vulnerabilities in the code that the binary calls; needs the database
	$(TOOL) govulncheck ./...

size: ## the amd64 binary against the budget
	@$(MAKE) -s build GOARCH=amd64 OUT=bin/cross/linux-amd64
	@size=$$(stat -c %s bin/cross/linux-amd64); echo "linux/amd64: $$size of $(BUDGET) bytes"; \
		[ "$$size" -le $(BUDGET) ]

builds: ## every way to build it, each as PID 1; BUILDS=all: with a C linker and GOS too
	@$(NEED) unshare cc qemu-riscv64-static
	cd test && CGSHIM_BUILDS="$(BUILDS)" CGSHIM_GOS="$(GOS)" go test -count=1 -timeout 40m ./builds

cross: ## every Linux port of Go
	@for port in $$(go tool dist list | sed -n 's,^linux/,,p'); do \
		$(MAKE) -s build GOARCH=$$port OUT=bin/cross/linux-$$port || exit 1; \
	done
	@cd bin/cross && stat -c '%s %n' linux-*

repro: ## the binary built in two directories is the same
	cd tools && go run ./release -binaries -only amd64 -version "$(or $(VERSION),0.0.0)" -commit "$(COMMIT)" -out $(CURDIR)/bin/repro

# The tag is the version. Without a tag the version is 0.0.0-dev, which is not for
# publishing.
release: VERSION := $(or $(VERSION),0.0.0-dev)
release: ## binaries, packages, images, SBOM and checksums in dist/, tried out; ONLY=amd64,arm64
	@$(NEED) git dpkg-deb lintian rpm rpm2cpio mandoc qemu-arm-static qemu-system-aarch64 busybox dockerd docker docker-registry unshare
	cd tools && go run ./release -version "$(VERSION)" -commit "$(COMMIT)" -only "$(ONLY)" -out $(CURDIR)/$(DIST)
	cd tools && CGSHIM_DIST=$(CURDIR)/$(DIST) CGSHIM_ONLY="$(ONLY)" go test -count=1 ./release
	cd test && CGSHIM_DIST=$(CURDIR)/$(DIST) go test -count=1 -run TestRelease ./images

push-images: ## the images of dist/ to a registry: make push-images REGISTRY=registry.example/group
	@cd tools && go run ./images -dist "$(abspath $(DIST))" -version "$(VERSION)" -registry "$(REGISTRY)" -base "$(BASE)" $(if $(findstring -,$(VERSION)),,-latest)

version: # print the version
	@echo "$(VERSION)"

# This prints the section of the changelog for the version, which must exist and not be empty.
release-notes:
	@awk -v version="$(VERSION)" '/^## / { on = index($$0, "## [" version "]") == 1; next } on { print; if (NF) said = 1 } END { exit !said }' CHANGELOG.md || \
		{ echo "CHANGELOG.md has nothing under [$(VERSION)]" >&2; exit 1; }

# Each of these leaves a processor idle for a part of its time.
test-vm+release:
	@$(MAKE) -j2 -Otarget test-vm release

# The checks that find most in the least time come first. The other ports, the second kernel of
# test-vm, the peers and the doubled cases of e2e, the benchmark, and the builds that need a C
# linker or another Go are in the nightly run (.github/workflows/nightly.yml). On Linux 6.1 the
# mount is replaced without MOVE_MOUNT_BENEATH. The machine's own kernel, in `make test`, usually
# has it.
CHECKS := lint size test race test-root test-starved run builds test-images test-vm+release test-e2e
check: RUNFLAGS = -all
check: export KERNELS = 6.1
check: export ONLY = amd64,arm64
check: export CGSHIM_E2E_PEERS = off
check: export VMFLAGS = -short
check: export E2EFLAGS = -short
check: ## the tests of each push, as CI runs them; what cannot run here fails
	@for verb in $(CHECKS); do \
		echo "=== make $$verb"; \
		began=$$(date +%s); \
		CGSHIM_MUST_RUN=1 $(MAKE) $$verb RUNFLAGS=$(RUNFLAGS) || { echo "check: make $$verb failed"; exit 1; }; \
		echo "=== make $$verb took $$(($$(date +%s) - began)) s"; \
	done

clean: ## remove everything that was built, and say what stays
	rm -rf bin $(DIST)
	@cache=$${XDG_CACHE_HOME:-$$HOME/.cache}/cgshim; [ ! -d "$$cache" ] || \
		echo "kept: $$(du -sh "$$cache" | tr '\t' ' '), kernels and disks of the virtual machines"

notices: ## write NOTICE, the licences of what is linked in
	tools/notices/notices.sh >NOTICE

.PHONY: help notices build builds test race test-root test-starved test-odd test-starved-vm test-vm test-e2e test-k8s test-systems test-images test-vm+release run image bench fuzz mutants cover lint vuln size cross repro release push-images version release-notes check clean
