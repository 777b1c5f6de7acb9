.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export CGO_ENABLED := 0

VERSION ?= 0.1.0
COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
GOARCH ?= $(shell go env GOHOSTARCH)
OUT ?= bin/cgshim
BUDGET ?= 2500000
FUZZTIME ?= 10s
KERNELS ?= 6.1 6.12
BASE ?= docker:dind
IMAGE ?= cgshim:dind
DIST ?= dist

# The ports with an entry point of our own, which records the signal state that
# the child is to inherit before the runtime changes it (shim/entry.go).
ENTRY_amd64 := github.com/cgshim/cgshim/shim.entry
ENTRY_arm64 := github.com/cgshim/cgshim/shim.entry

LDFLAGS := -s -w -buildid= -X main.version=$(VERSION) \
	$(if $(COMMIT),-X main.commit=$(COMMIT)) \
	$(if $(ENTRY_$(GOARCH)),-E $(ENTRY_$(GOARCH)))
# What keeps the binary small (docs/adr/0006-size.md): no inlining, functions not
# padded to cache lines, and the collector that is 45 kB smaller, for as long as Go
# has it. An init collects next to nothing.
ALIGN_amd64 := 1
LDFLAGS += $(if $(ALIGN_$(GOARCH)),-funcalign=$(ALIGN_$(GOARCH)))
SMALL := $(shell GOEXPERIMENT=nogreenteagc go env GOEXPERIMENT 2>/dev/null)
# cgshim_release is what names parts of the runtime (shim/runtime_release.go).
LDFLAGS += -checklinkname=0
TAGS := cgshim_release
BUILD = GOOS=linux GOEXPERIMENT=$(SMALL) go build -trimpath -buildvcs=false -tags $(TAGS) -gcflags=all=-l -ldflags '$(LDFLAGS)'

# What holds on the ports without assembly too.
PORTABLE := Quick|Orphans|Pause|Stop|Stuck|Drain|Reason|Script|JobOf|Shell|Closed|Exec|Dind

TOOL := go tool -modfile=$(CURDIR)/tools/go.mod
NEED := test/deps/install.sh
export CGSHIM_BIN ?= $(CURDIR)/bin/cgshim

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the static binary, bin/cgshim
	GOARCH=$(GOARCH) $(BUILD) -o $(OUT) .

test: ## tests that need neither root nor a special kernel
	go test ./...

# cgroup has no goroutine, and its tests re-execute themselves as PID 1.
race: ## the packages with goroutines under the race detector
	@$(NEED) cc
	CGO_ENABLED=1 go test -race . ./shim ./reaper

# What these test is not in the test's package: no cached results.
test-root: build ## as root, in namespaces: against the built binary and against tini
	@$(NEED) tini busybox unshare cc
	cd test && go test -count=1 $$(go list ./... | grep -Ev '/(vm|e2e|systems|bench|release)(/|$$)')
	@$(MAKE) -s build TAGS=cgshim_release,cgshim_portable ENTRY_$(GOARCH)= OUT=bin/cgshim-portable
	cd test && CGSHIM_BIN=$(CURDIR)/bin/cgshim-portable go test -count=1 ./init -run '$(PORTABLE)'

test-vm: build ## the cgroup code on Debian kernels with every v2 controller, under QEMU
	@$(NEED) qemu-system-x86_64 busybox
	cd test && go build -o ../bin/vmrun ./vm && go test -count=1 ./vm
	@printf '%s\n' $(KERNELS) | xargs -P 2 -I KERNEL \
		env CGSHIM_VM_KERNEL=KERNEL go test -count=1 -exec $(CURDIR)/bin/vmrun ./cgroup

test-e2e: build ## dockerd under cgshim and under its peers, in the VM
	cd test && go test -v -count=1 -timeout 30m ./e2e

test-k8s: build ## a real kubelet with cgshim in its pods, in the VM; K8S_API=1: and an API server
	cd test && CGSHIM_K8S_API=$(K8S_API) go test -v -count=1 -timeout 60m ./systems -run Kubelet

test-systems: build ## today's Docker, systemd, LXC and a supervisor in Go, in the VM
	cd test && go test -v -count=1 -timeout 60m ./systems -skip Kubelet

run: build ## start a real dockerd under cgshim in a sandbox, show it, stop it
	@$(NEED) dockerd docker busybox nsenter
	cd test && go run ./run $(RUNFLAGS)

image: build ## an image with cgshim as its entry point: make image BASE=docker:dind
	@$(NEED) docker
	docker build --build-arg BASE=$(BASE) -t $(IMAGE) .

bench: build ## against the peers, side by side; BENCHROUNDS=1 to see that it runs
	@$(NEED) cc tini dumb-init catatonit unshare
	cd test && go run ./bench $(BENCHFLAGS)

fuzz: ## every fuzz target for FUZZTIME
	@go list -f '{{.Dir}}' ./... | while read -r dir; do \
		for target in $$(go test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
		done; \
	done

cover: ## statements that the unprivileged tests reach
	@mkdir -p bin
	go test -coverprofile=bin/cover.out -coverpkg=./... ./...
	go tool cover -func=bin/cover.out | tail -1

lint: ## everything that reads the sources
	@$(NEED) shellcheck codespell mandoc
	test/lint.sh

vuln: ## known vulnerabilities in what the binary calls; needs the database
	$(TOOL) govulncheck ./...

size: ## the amd64 binary against the budget
	@$(MAKE) -s build GOARCH=amd64 OUT=bin/cross/linux-amd64
	@size=$$(stat -c %s bin/cross/linux-amd64); echo "linux/amd64: $$size of $(BUDGET) bytes"; \
		[ "$$size" -le $(BUDGET) ]

cross: ## every Linux port of Go
	@for port in $$(go tool dist list | sed -n 's,^linux/,,p'); do \
		$(MAKE) -s build GOARCH=$$port OUT=bin/cross/linux-$$port || exit 1; \
	done
	@cd bin/cross && stat -c '%s %n' linux-*

repro: ## the binary built in two directories is the same
	cd test && go run ./release -binaries -only amd64 -version $(VERSION) -commit "$(COMMIT)" -out $(CURDIR)/bin/repro

release: ## binaries, packages, SBOM and checksums in dist/, tried out
	@$(NEED) dpkg-deb lintian qemu-arm-static qemu-system-aarch64 busybox
	cd test && go run ./release -version $(VERSION) -commit "$(COMMIT)" -out $(CURDIR)/$(DIST)
	cd test && CGSHIM_DIST=$(CURDIR)/$(DIST) go test -count=1 ./release

# In the order in which they find most in least time. The nightly workflow has others.
CHECKS := lint size test race test-root run test-vm test-e2e bench release cross
check: RUNFLAGS = -all
check: export BENCHROUNDS = 1
check: ## what CI runs; what cannot run here fails
	@for verb in $(CHECKS); do \
		echo "=== make $$verb"; \
		began=$$(date +%s); \
		CGSHIM_MUST_RUN=1 $(MAKE) $$verb RUNFLAGS=$(RUNFLAGS) || { echo "check: make $$verb failed"; exit 1; }; \
		echo "=== make $$verb took $$(($$(date +%s) - began)) s"; \
	done

clean: ## remove what was built
	rm -rf bin $(DIST)

.PHONY: help build test race test-root test-vm test-e2e test-k8s test-systems run image bench fuzz cover lint vuln size cross repro release check clean
