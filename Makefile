# `make help` lists what can be made. Two targets are enough to begin with:
# `make run` is the gateway, `make test` proves it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
PACKAGES := ./...

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: build envoy ## The gateway with demo services, on 127.0.0.1:8080
	@GATEWRIGHT_ENVOY="$$(scripts/envoy)" bin/quickstart -c examples/quickstart/gateway.yaml

.PHONY: build
build: ## Build bin/gatewright
	@$(GO) build -trimpath -tags grpcnotrace -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/gatewright ./examples/quickstart

# The end-to-end tests come first: they wait more than they work, and meanwhile all others
# are built and run.
TESTED := ./test $(PACKAGES)

.PHONY: test
test: envoy redis postgres nginx prometheus etcd otlpsink test-module ## Install what the tests need, and run them all
	TESTENV_REQUIRE=1 GATEWRIGHT_ENVOY="$$(scripts/envoy)" GATEWRIGHT_ENVOY_MODULE="$$(scripts/module)" $(GO) test -timeout 20m $(TESTED)

.PHONY: module
module: ## Build Envoy's dynamic module, which remembers verdicts (needs Rust's cargo, or installs it)
	@scripts/module

.PHONY: test-module
test-module:
	@"$$(scripts/cargo)" test --quiet --offline --manifest-path envoy/module/Cargo.toml --target-dir bin/module

.PHONY: race
race: envoy redis postgres nginx ## The tests of all packages but the end-to-end ones, under the race detector
	TESTENV_REQUIRE=1 GATEWRIGHT_ENVOY="$$(scripts/envoy)" $(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v /test$$)

.PHONY: check
check: fmt-check vet lint vuln test manifests ## All that CI does

.PHONY: pipelines
pipelines: envoy ## The access log into a real Elasticsearch, as deploy/logs sends it (needs a JDK and Maven)
	TESTENV_REQUIRE=1 GATEWRIGHT_ENVOY="$$(scripts/envoy)" ELASTICSEARCH="$$(scripts/elasticsearch)" $(GO) test -count=1 -run "TestPipelines|TestShippers|TestLogPipelines" -v ./test

.PHONY: shippers
shippers: envoy ## Filebeat and Fluent Bit themselves, as deploy/logs has them (FILEBEAT= and FLUENT_BIT= are their paths)
	GATEWRIGHT_ENVOY="$$(scripts/envoy)" $(GO) test -count=1 -run "TestFilebeat|TestFluentBit|TestShippers" -v ./test

.PHONY: jaeger
jaeger: envoy redis postgres prometheus etcd otlpsink ## docker-compose.yaml with a real Jaeger (builds it: minutes, once)
	cd test/jaeger && $(GO) build -trimpath -ldflags "-s -w" -o ../../bin/jaeger github.com/jaegertracing/jaeger/cmd/jaeger
	TESTENV_REQUIRE=1 GATEWRIGHT_ENVOY="$$(scripts/envoy)" JAEGER=$(CURDIR)/bin/jaeger $(GO) test -count=1 -run TestComposeWithJaeger -v ./test

.PHONY: step
step: envoy ## What docs/control-plane-tls.md says of step, by step itself (builds it: minutes, once)
	cd test/step && $(GO) build -trimpath -ldflags "-s -w" -o ../../bin/step github.com/smallstep/cli/cmd/step
	TESTENV_REQUIRE=1 GATEWRIGHT_ENVOY="$$(scripts/envoy)" STEP=$(CURDIR)/bin/step $(GO) test -count=1 -run TestControlPlaneTLSDocument -v ./test

.PHONY: manifests
manifests: ## Run or judge what the documents say of docker, kubectl and Helm; judge what is deployed
	cd deploy/internal/check && $(GO) vet ./... && $(GO) test ./...
	cd deploy/internal/engine && $(GO) vet ./...

# Of Kubernetes' own module, in the version of deploy/internal/cluster.
KUBERNETES := v1.37.2
.PHONY: cluster
cluster: etcd ## Install on a real Kubernetes API server what the documents say (builds it: minutes, once)
	cd deploy/internal/cluster && $(GO) build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES)" -o ../../../bin/kube-apiserver .
	cd deploy/internal/check && KUBE_APISERVER="$(CURDIR)/bin/kube-apiserver" $(GO) test -count=1 -run TestClusterCommands ./...

# Docker's plugin for builds is asked for its version.
.PHONY: engine
engine: envoy redis postgres prometheus ## Build the Dockerfile and run docker compose on a real Docker engine (as root; compiles much)
	@scripts/docker
	$(GO) mod download
	mkdir -p bin/engine
	cd deploy/internal/engine && CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X github.com/docker/buildx/version.Version=$$($(GO) list -m -f '{{.Version}}' github.com/docker/buildx)" -o ../../../bin/engine/ tool
	cd test/otlpsink && $(GO) build -o ../../bin/engine/ . ./collector
	cd deploy/internal/engine && ENGINE_PROGRAMS="$(CURDIR)/bin/engine" $(GO) test -count=1 -timeout 1h -v ./...

.PHONY: fmt
fmt: ## Format the code
	gofmt -w $$(git ls-files '*.go')

.PHONY: fmt-check
fmt-check:
	@files=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$files" ]; then echo "not formatted (make fmt): $$files"; exit 1; fi

.PHONY: vet
vet:
	$(GO) vet $(PACKAGES)

.PHONY: lint
lint: ## staticcheck
	$(GO) tool staticcheck $(PACKAGES)

.PHONY: vuln
vuln: ## govulncheck, where its database can be reached
	@scripts/vuln

.PHONY: golden
golden: ## Write golden files and generated files anew
	$(GO) generate ./config
	$(GO) test ./internal/plan ./envoy -run Golden -update

FUZZTIME ?= 10m
.PHONY: fuzz
fuzz: ## Fuzz everything that parses what others send (FUZZTIME=10m each)
	@scripts/fuzz $(FUZZTIME)

ROUNDS ?= 100
.PHONY: placement
placement: envoy ## Compare policies inside Envoy with asking, for hours (ROUNDS=100 of some 5 000 pairs)
	TESTENV_REQUIRE=1 GATEWRIGHT_ENVOY="$$(scripts/envoy)" PLACEMENT_ROUNDS=$(ROUNDS) $(GO) test -count=1 -timeout 24h -run TestPlacementsAgree -v ./test

.PHONY: flakes
flakes: envoy redis postgres nginx prometheus etcd ## The whole test suite 20 times in a row
	@for i in $$(seq 20); do echo "run $$i"; TESTENV_REQUIRE=1 $(GO) test -count=1 -timeout 15m $(TESTED) | grep -v '^ok\|no test files' || true; done

.PHONY: envoy
envoy: ## Find Envoy, or install it into .tools/
	@scripts/envoy >/dev/null

.PHONY: otlpsink
otlpsink:
	@cd test/otlpsink && $(GO) build -o /dev/null . && $(GO) build -o /dev/null ./collector

.PHONY: redis
redis:
	@scripts/redis >/dev/null

.PHONY: postgres
postgres:
	@scripts/postgres >/dev/null

.PHONY: nginx
nginx:
	@scripts/nginx >/dev/null

.PHONY: prometheus
prometheus:
	@scripts/prometheus >/dev/null

.PHONY: etcd
etcd:
	@scripts/etcd >/dev/null || echo "without an etcd the full set of docker-compose.yaml is not run" >&2

.PHONY: rollouts
rollouts: envoy redis ## A failing canary and a healthy one, 20 rollouts each through Envoy; and 3000 simulated ones of each kind
	TESTENV_REQUIRE=1 ROLLOUT_RUNS=20 $(GO) test -count=1 -timeout 40m ./test -run TestARollout -parallel 3 -v
	ROLLOUT_RUNS=3000 $(GO) test -count=1 -timeout 40m ./rollout -run WrongDecisions -v

.PHONY: bench-check
bench-check: ## Measure what a Check costs, beside a no-op (ARGS="-rounds 3 -o FILE")
	@$(GO) run ./bench/check $(ARGS)

.PHONY: bench-limits
bench-limits: redis ## Measure what a limit costs (ARGS="-redis ADDRESS -rival NAME=ADDRESS/PID -o FILE")
	@$(GO) run ./bench/limits $(ARGS)

.PHONY: soak-limits
soak-limits: redis ## What four instances admit together in a minute of full load, beside the bound
	@$(GO) run ./bench/limits -rounds 0 -many 0 -fleet 60s $(ARGS)

.PHONY: bench-outcomes
bench-outcomes: ## Measure what it costs to learn how requests have ended (ARGS="-rounds 3 -o FILE")
	@$(GO) run ./bench/outcomes $(ARGS)

.PHONY: bench-overload
bench-overload: envoy ## Measure goodput beyond a backend's capacity (ARGS="-times 10 -time 60s -o FILE"; five minutes)
	@GATEWRIGHT_ENVOY="$$(scripts/envoy)" $(GO) run ./bench/overload $(ARGS)

.PHONY: bench-floods
bench-floods: envoy ## Measure what others feel of attacks on a listener (ARGS="-attacks 'HTTP/2' -o FILE"; twelve minutes)
	@GATEWRIGHT_ENVOY="$$(scripts/envoy)" $(GO) run ./bench/floods $(ARGS)

.PHONY: bench-edge
bench-edge: envoy redis ## Measure what a policy costs inside Envoy, and by a call (ARGS="-key FILE -authz NAME=ADDRESS/PID -ratelimit NAME=ADDRESS/PID,PID -o FILE"; -print says what rivals must have)
	@GATEWRIGHT_ENVOY="$$(scripts/envoy)" GATEWRIGHT_ENVOY_MODULE="$$(scripts/module)" $(GO) run ./bench/edge $(ARGS)

.PHONY: bench-quic
bench-quic: envoy ## Show what becomes of handshakes by QUIC while a plain Envoy's certificate is replaced (ARGS="-time 1m -o FILE")
	@GATEWRIGHT_ENVOY="$$(scripts/envoy)" $(GO) run ./bench/quic $(ARGS)

.PHONY: bench-control
bench-control: envoy ## Measure the control plane on a real Envoy (ARGS="-rows change -o FILE")
	@GATEWRIGHT_ENVOY="$$(scripts/envoy)" $(GO) run ./bench/control $(ARGS)

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist
