# The two commands of a newcomer: `make demo` shows the main job, `make test` passes the tests.
.PHONY: demo test test-machine build lint bench
demo: build
	./demo/run
build:
	cargo build --release --bins
test:
	./tests/run
# Rollback on a whole machine under qemu: a part of `make test`, too.
test-machine: build
	./tests/lab/install machine
	./tests/machine/run
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
bench:
	./tests/bench
