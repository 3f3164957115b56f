# For GNU make and BSD make. All the work is cargo's; README.md says what each target is for.

CARGO?=	cargo
CC?=	cc

build:
	$(CARGO) build --release

test:
	sh tests/setup
	$(CARGO) test

demo: build
	sh tests/setup
	$(CARGO) build --release --package sysadm-iocage-lab
	$(CC) -std=c99 -Wall -Wextra -Iinclude -o target/release/host examples/host.c -ldl
	target/release/demo target/release/host target/release/libsysadm_iocage.so

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

clean:
	$(CARGO) clean

.PHONY: build test demo lint clean
