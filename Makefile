# Two commands are all a new machine needs: `make demo` and `make test`. Both install the Debian packages they miss.

BUILD_PACKAGES := libsqlite3-dev libcurl4-openssl-dev libssl-dev libmicrohttpd-dev libdeflate-dev zlib1g-dev \
	libpq-dev libmariadb-dev libzstd-dev libsnappy-dev liblz4-dev libbrotli-dev pkg-config
RUN_PACKAGES := ca-certificates curl procps util-linux
TEST_PACKAGES := python3 python3-venv openssl sqlite3 postgresql mariadb-server strace
# Swift's runtime inside the program: it starts faster, takes less memory, and runs where no Swift is installed.
RELEASE := swift build -c release --static-swift-stdlib --product etlctl
SWIFT_FORMAT_PATHS := Package.swift Sources Tests

.PHONY: demo test build release lint format packages clean

demo: ## Firestore to BigQuery's stand-in on this machine, with a report
	@Scripts/install-packages.sh $(BUILD_PACKAGES) $(RUN_PACKAGES) python3
	@$(RELEASE)
	@Scripts/demo.sh

test: ## All tests, with real servers on loopback
	@Scripts/install-packages.sh $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES)
	@Scripts/test.sh

build: ## The program, for this machine
	@Scripts/install-packages.sh $(BUILD_PACKAGES)
	$(RELEASE)

lint: ## Formatting, and who may import what
	swift format lint --strict --recursive $(SWIFT_FORMAT_PATHS)
	Scripts/lint-imports.sh

format: ## Formats the sources in place
	swift format --in-place --recursive $(SWIFT_FORMAT_PATHS)

clean:
	swift package clean

ROUNDS ?= 1000
torture: ## Kills the program at every moment, ROUNDS=1000 times over; SEED=n repeats one round
	@Scripts/install-packages.sh $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES)
	@TORTURE_ROUNDS=$(ROUNDS) $(if $(SEED),TORTURE_SEED=$(SEED)) Scripts/test.sh --filter "CrashTests|RemoteTortureTests"
.PHONY: torture

BENCH ?=
bench: ## etlctl beside its floors, in turns (Benchmarks/README.md); BENCH="--only CASE --scale 0.1" for less
	@Scripts/install-packages.sh $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) gcc libc6-dev
	@$(RELEASE)
	@Scripts/bench.sh $(BENCH)

bench-peers: ## etlctl beside what users would pick instead
	@Scripts/install-packages.sh $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) gcc libc6-dev
	@$(RELEASE)
	@Scripts/bench.sh --peers $(BENCH)
.PHONY: bench bench-peers
