# The two commands of a newcomer: `make demo` shows the main job, `make test` passes the tests.
.PHONY: demo test build lint bench
demo: build
	./demo/run
build:
	cargo build --release --bins
test:
	./tests/run
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
bench:
	./tests/bench
