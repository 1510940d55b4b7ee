# Headwater's commands. `make help` lists them. One profile (dev) serves up, test and CI, so that everything is built once.

LISTEN ?= 127.0.0.1:8080
FUZZ_SECONDS ?= 20
CARGO ?= cargo
HEADWATER := target/debug/headwater

STACK ?= embedded kafka-postgres
MINUTES ?= 10
EVENTS ?= 200000
ROUNDS ?= 3

.PHONY: help up build tools test torture lint fuzz bench bench-servers release clean-data servers servers-down servers-clean servers-status
.DEFAULT_GOAL := help

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: build ## build, start Headwater at http://127.0.0.1:8080, load the demo on the first start
	@exec $(HEADWATER) up --listen $(LISTEN) --demo

build: tools ## build the headwater program
	@$(CARGO) build --locked --package headwater

# A C compiler for SQLite and Kafka's client; OpenSSL and zlib. Installed only where missing.
tools:
	@missing=; \
	command -v cc >/dev/null 2>&1 || missing="$$missing gcc libc6-dev"; \
	command -v make >/dev/null 2>&1 || missing="$$missing make"; \
	command -v pkg-config >/dev/null 2>&1 || missing="$$missing pkg-config"; \
	pkg-config --exists openssl 2>/dev/null || missing="$$missing libssl-dev"; \
	pkg-config --exists zlib 2>/dev/null || missing="$$missing zlib1g-dev"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ]; then as_root=; \
		elif command -v sudo >/dev/null 2>&1; then as_root=sudo; \
		else echo "The build needs$$missing. Install them as root: apt-get install$$missing" >&2; exit 2; fi; \
		command -v apt-get >/dev/null 2>&1 || { echo "The build needs$$missing: install them with your system's packages." >&2; exit 2; }; \
		echo "Installing$$missing, which the build needs"; \
		$$as_root apt-get update -qq && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@command -v $(CARGO) >/dev/null 2>&1 || { echo "The build needs a Rust toolchain: https://rustup.rs" >&2; exit 2; }

test: tools ## every test, on real servers too (started where they do not run), then the declared domains' own
	$(CARGO) test --locked --workspace
	$(HEADWATER) check
	$(HEADWATER) test

# STACK=embedded picks one; SEED=n draws the same faults and load again. `target/debug/headwater-torture --help` says more.
torture: tools ## faults on servers of its own, under load, for MINUTES on each STACK; the views must be as the log says
	@$(CARGO) build --locked --package headwater --package headwater-torture
	@target/debug/headwater-torture --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(STACK:%=--stack %)

lint: tools ## formatting, clippy with warnings denied, licences, bans and sources
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) deny --locked check licenses bans sources

# libFuzzer's flags are unstable; the bootstrap switch lets the stable compiler take them.
fuzz: tools ## malformed messages against the decoder, for FUZZ_SECONDS
	@for target in $$($(CARGO) fuzz list); do \
		echo "fuzz $$target for $(FUZZ_SECONDS) s"; \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -print_final_stats=1 || exit 1; \
	done

bench: release ## criterion's benches, then whole paths; see BENCHMARKS.md
	$(CARGO) bench --locked --workspace --benches
	target/release/headwater bench

# EVENTS=n and ROUNDS=n say how many of each. The keyspace that the profile names must be there: the run's are made like it.
bench-servers: tools ## whole paths on the servers of `make servers`, beside a loop written by hand; see BENCHMARKS.md
	$(CARGO) build --locked --release --package headwater --package headwater-benches
	@eval "$$(deploy/dev/servers env)" && target/release/headwater --config deploy/dev/headwater.yaml bench \
		--events $(EVENTS) --rounds $(ROUNDS) --by-hand target/release/headwater-by-hand

release: tools ## an optimised program, at target/release/headwater
	$(CARGO) build --locked --release --package headwater

# SERVERS="kafka postgres" picks some. `deploy/dev/servers --help` says more.
servers: ## real Kafka, Cassandra, schema registry and Postgres: install, fetch, start, wait until each answers
	@deploy/dev/servers up $(SERVERS)

servers-down: ## stop them; the data stays
	@deploy/dev/servers down $(SERVERS)

servers-clean: ## stop them and wipe their data
	@deploy/dev/servers clean $(SERVERS)

servers-status: ## what runs, where, in how much memory
	@deploy/dev/servers status $(SERVERS)

clean-data: ## forget all of the embedded default's data: log, registry, views, files, keys
	@[ ! -d data ] || find data -mindepth 1 -maxdepth 1 ! -name servers -exec rm -rf {} +
