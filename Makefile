# The targets that CONTRIBUTING.md names; 'make' lists them.
SHELL := bash -euo pipefail
PKG ?= ./...
PLATFORMS := linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1|/' | column -t -s '|'

.PHONY: build
build: ## the program for this machine: ./intellidocs-agent
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o intellidocs-agent ./cmd/intellidocs-agent

.PHONY: demo
demo: ## the whole pipeline on this machine, nothing to set up
	go run ./cmd/intellidocs-agent demo

.PHONY: test
test: ## every test that this machine can run (PKG=./queue for one package)
	go test $(PKG)

.PHONY: race
race: ## the same under the race detector, shuffled
	GORACE=atexit_sleep_ms=0 go test -race -shuffle=on -timeout 20m $(PKG)

.PHONY: fmt
fmt: ## format the sources
	gofumpt -w $$(git ls-files '*.go')

.PHONY: lint
lint: ## format, go.mod, vet, staticcheck
	@unformatted=$$(gofumpt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofumpt: $$unformatted"; exit 1; }
	go mod tidy -diff
	go vet ./... && go vet -tags manual ./cmd/intellidocs-agent
	staticcheck ./...

.PHONY: cross
cross: ## compile for every platform, the tests too (BUT=linux/amd64)
	@for p in $(filter-out $(BUT),$(PLATFORMS)); do \
	  echo "$$p"; export GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0; go build ./... && go vet ./... || exit 1; \
	done

.PHONY: fuzz
fuzz: ## every fuzz target for a while (TIME=1m)
	.ci/fuzz.sh $(or $(TIME),10s)

.PHONY: bench
bench: ## the built agent beside a bare client and syslog-ng; examples/bench/RESULT.md (BEFORE=an earlier agent; SHORT=1: does it work?)
	go run ./examples/bench $(if $(BEFORE),-before $(BEFORE)) $(if $(SHORT),-short,-o examples/bench/RESULT.md)

.PHONY: microbench
microbench: ## what a change may have made slower (PKG=./queue for one package)
	go test -run '^$$' -bench . -timeout 30m $(PKG)

.PHONY: soak
soak: ## the long tests: kills under each kind of rotation, a large history
	INTELLIDOCS_SOAK=1 go test -count=1 -timeout 30m -run 'Kill9|Mix|LargeHistory' -v ./cmd/intellidocs-agent

.PHONY: memory
memory: ## the built agent in a memory cgroup of 64 MiB against whoever wants to end it (root)
	INTELLIDOCS_SOAK=long go test -count=1 -timeout 60m -run '^TestMemory' -v ./cmd/intellidocs-agent

.PHONY: disks
disks: ## disks that fail, in every way and place: a table of delivered, lost, restarts, recovery
	@INTELLIDOCS_SOAK=1 INTELLIDOCS_FAULT=$(or $(FAULT),all) go test -count=1 -timeout 90m -run DiskFaults -v ./cmd/intellidocs-agent | grep -vE '^ *(=== |--- PASS|PASS)'

.PHONY: scenarios
scenarios: ## what becomes of a log in the field: a table of written, delivered, rejected, gaps
	@go test -count=1 -run '^TestScenarios$$' -v ./cmd/intellidocs-agent | grep -vE '^ *(=== |--- PASS|PASS)'

.PHONY: pictures
pictures: ## README's pictures, of the page and of a Slack message (needs Chromium)
	INTELLIDOCS_PICTURES=1 go test -count=1 -run '^TestPictures' ./cmd/intellidocs-agent

.PHONY: image
image: ## the container image, by buildah or docker: intellidocs-agent
	examples/container/build.sh intellidocs-agent

.PHONY: packages
packages: ## dist/*.deb and dist/*.rpm
	examples/systemd/package.sh

.PHONY: release
release: ## dist/release: archives, packages, what they are made of, checksums (VERSION=1.2.3)
	examples/binary/release.sh $(VERSION)

.PHONY: ci
ci: ## everything, as root on Debian: installs what it needs, lets no test skip
	.ci/run
