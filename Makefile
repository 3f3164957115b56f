# For GNU make and BSD make. All the work is cargo's; CONTRIBUTING.md says what each target is for.

CARGO?=	cargo
CC?=	cc
INSTALL?=	install
LDCONFIG?=	/sbin/ldconfig
PREFIX?=	/usr/local
DESTDIR?=
# For how long each fuzzer runs.
FUZZ_SECONDS?=	60
# How much happens in a storm (tests/storm), or for how long, with which number it begins, and where:
# simulated, real (a ZFS), or both.
STORM_OPERATIONS?=	100000
STORM_SECONDS?=
STORM_SEED?=
STORM_WORLD?=	simulated
STORM=	STORM_OPERATIONS=$(STORM_OPERATIONS) STORM_SECONDS=$(STORM_SECONDS) STORM_SEED=$(STORM_SEED) STORM_WORLD=$(STORM_WORLD)
# How much is run on OpenZFS: short or full.
OPENZFS?=	full

# The library's name at run time; its number is that of the interface (SYSADM_IOCAGE_ABI_VERSION).
SONAME=	libsysadm_iocage.so.1

# What cargo builds; a port builds it elsewhere (and sets CARGO=true, since it is built already).
LIBRARY?=	target/release/libsysadm_iocage.so

# The command beside it, and how it is compiled. It finds the library in ../lib, seen from where it is.
COMMAND?=	target/release/sysadm-iocage
CFLAGS?=	-O2

LIBDIR=	$(DESTDIR)$(PREFIX)/lib
INCLUDEDIR=	$(DESTDIR)$(PREFIX)/include
# Where pkg-config looks, which is a habit of each system.
PCPARENT!=	case $$(uname) in FreeBSD | DragonFly) echo libdata ;; *) echo lib ;; esac
PCDIR?=	$(DESTDIR)$(PREFIX)/$(PCPARENT)/pkgconfig
MANDIR?=	$(DESTDIR)$(PREFIX)/share/man
DOCDIR=	$(DESTDIR)$(PREFIX)/share/doc/sysadm-iocage
EXAMPLEDIR=	$(DESTDIR)$(PREFIX)/share/examples/sysadm-iocage
# Where bash and zsh look for completions.
BASHDIR=	$(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSHDIR=	$(DESTDIR)$(PREFIX)/share/zsh/site-functions
DATADIR=	$(DESTDIR)$(PREFIX)/share/sysadm-iocage

# The cdylib alone: beside the rlib that tests link, cargo builds it without link-time optimization.
BUILD=	$(CARGO) rustc --release --lib --crate-type cdylib

build:
	@CARGO="$(CARGO)" sh tests/setup build
	$(BUILD)

# In the tree, ../lib is target/lib.
command: build $(COMMAND)
	mkdir -p target/lib
	case "$(LIBRARY)" in /*) ln -sf "$(LIBRARY)" target/lib/$(SONAME) ;; \
		*) ln -sf "../../$(LIBRARY)" target/lib/$(SONAME) ;; esac

# First beside its place: another make may be installing it.
$(COMMAND): examples/command/*.c examples/command/command.h include/sysadm_iocage.h
	@mkdir -p $$(dirname $@)
	$(CC) -std=c99 -Wall -Wextra $(CFLAGS) $(LDFLAGS) -Iinclude -o $@.$$$$ examples/command/*.c "$(LIBRARY)" \
		-Wl,-rpath,'$$ORIGIN/../lib' -Wl,-z,origin && mv $@.$$$$ $@

install: build install-header install-library install-command install-docs install-examples

install-header:
	$(INSTALL) -d $(INCLUDEDIR)
	$(INSTALL) -m 644 include/sysadm_iocage.h $(INCLUDEDIR)

# The two files and the patch for the sysadm server's source go to share/sysadm-iocage/server; docs/server.md.
# The sources of the other languages go beside them, since they are for this library; docs/languages.md.
# Linux finds a new library only after ldconfig has seen it, and only in the folders of its configuration
# (Debian's has /usr/local/lib); FreeBSD looks into the folder.
install-library: build
	$(INSTALL) -d $(LIBDIR) $(PCDIR) $(MANDIR)/man3 $(MANDIR)/man7 $(DATADIR)/server
	$(INSTALL) -m 755 $(LIBRARY) $(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(LIBDIR)/libsysadm_iocage.so
	version=$$(sed -n '/^version = /{s/[^0-9.]//g;p;q;}' Cargo.toml) && printf '%s\n' \
		'prefix=$(PREFIX)' 'Name: sysadm_iocage' \
		'Description: Manages FreeBSD jails kept by iocage: JSON in, JSON out' \
		"Version: $$version" 'Cflags: -I$${prefix}/include' \
		'Libs: -L$${prefix}/lib -lsysadm_iocage' >$(PCDIR)/sysadm_iocage.pc
	$(INSTALL) -m 644 docs/sysadm_iocage.3 $(MANDIR)/man3
	$(INSTALL) -m 644 docs/sysadm-iocage.7 $(MANDIR)/man7
	$(INSTALL) -m 644 include/sysadm/sysadm-iocage.h include/sysadm/sysadm-iocage.cpp include/sysadm/optional.patch \
		$(DATADIR)/server
	$(INSTALL) -d $(DATADIR)/python/src/sysadm_iocage $(DATADIR)/go
	$(INSTALL) -m 644 bindings/python/pyproject.toml bindings/python/README.md $(DATADIR)/python
	$(INSTALL) -m 644 bindings/python/src/sysadm_iocage/__init__.py bindings/python/src/sysadm_iocage/py.typed \
		$(DATADIR)/python/src/sysadm_iocage
	$(INSTALL) -m 644 bindings/go/go.mod bindings/go/iocage.go bindings/go/callbacks.go bindings/go/jobs.go $(DATADIR)/go
	@case "$(DESTDIR)$$(uname)" in Linux) \
		$(LDCONFIG) || echo "run $(LDCONFIG) as root" >&2; \
		$(LDCONFIG) -p 2>/dev/null | grep -q $(SONAME) || \
			echo "programs find the library only with LD_LIBRARY_PATH=$(LIBDIR)" >&2; \
		! command -v pkg-config >/dev/null || pkg-config --exists sysadm_iocage || \
			echo "pkg-config finds it only with PKG_CONFIG_PATH=$(PCDIR)" >&2 ;; \
	esac

install-command: build $(COMMAND)
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(MANDIR)/man8 $(BASHDIR) $(ZSHDIR)
	$(INSTALL) -m 755 $(COMMAND) $(DESTDIR)$(PREFIX)/bin/sysadm-iocage
	$(INSTALL) -m 644 docs/sysadm-iocage.8 $(MANDIR)/man8
	$(INSTALL) -m 644 examples/command/completion.bash $(BASHDIR)/sysadm-iocage
	$(INSTALL) -m 644 examples/command/_sysadm-iocage $(ZSHDIR)

install-docs:
	$(INSTALL) -d $(DOCDIR)
	$(INSTALL) -m 644 README.md CHANGELOG.md SECURITY.md LICENSE docs/*.md docs/*.rst docs/*.svg $(DOCDIR)

install-examples:
	$(INSTALL) -d $(EXAMPLEDIR)
	$(INSTALL) -m 644 examples/host.c examples/table.c $(EXAMPLEDIR)
	$(INSTALL) -m 755 examples/inventory.py $(EXAMPLEDIR)

uninstall:
	rm -f $(INCLUDEDIR)/sysadm_iocage.h $(LIBDIR)/libsysadm_iocage.so $(LIBDIR)/$(SONAME)
	rm -f $(PCDIR)/sysadm_iocage.pc $(MANDIR)/man3/sysadm_iocage.3 $(MANDIR)/man7/sysadm-iocage.7
	rm -f $(DESTDIR)$(PREFIX)/bin/sysadm-iocage $(MANDIR)/man8/sysadm-iocage.8
	rm -f $(BASHDIR)/sysadm-iocage $(ZSHDIR)/_sysadm-iocage
	rm -rf $(DOCDIR) $(EXAMPLEDIR) $(DATADIR)

test:
	@CARGO="$(CARGO)" sh tests/setup test
	@CARGO="$(CARGO)" sh tests/run

demo:
	@CARGO="$(CARGO)" sh tests/setup demo
	$(MAKE) command
	$(CARGO) build --release --package sysadm-iocage-lab
	@target/release/demo $(COMMAND)

# On Linux, whose kernel's OpenZFS runs in a virtual machine.
openzfs:
	CARGO=$(CARGO) sh tests/openzfs/run $(OPENZFS)

sanitize:
	CARGO=$(CARGO) sh tests/sanitize

fuzz:
	@CARGO="$(CARGO)" sh tests/setup fuzz
	CARGO=$(CARGO) sh fuzz/run $(FUZZ_SECONDS)

storm:
	@CARGO="$(CARGO)" sh tests/setup test
	$(STORM) STORM_TALLY=1 $(CARGO) test --profile storm --no-default-features --test storm -- --nocapture

# Whether it is rough enough.
storm-mutants:
	CARGO="$(CARGO)" sh tests/storm/mutants

bench:
	CARGO_TARGET_DIR=$$PWD/target/benches $(CARGO) bench --manifest-path benches/Cargo.toml

# Draws the documents' pictures, and writes their tables of what was measured, of what is kept.
pictures:
	CARGO_TARGET_DIR=$$PWD/target/benches $(CARGO) run --quiet --locked --manifest-path benches/Cargo.toml \
		--package sysadm-iocage-pictures

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --test kernel_zfs --test packaging -- -D warnings
	$(CARGO) fmt --all --manifest-path benches/Cargo.toml --check
	$(CARGO) clippy --workspace --manifest-path benches/Cargo.toml --target-dir target/benches --all-targets -- -D warnings
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --release --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings
	CARGO=$(CARGO) sh tests/dependencies

# On Debian, for FreeBSD: port/cross.
freebsd:
	sh port/cross/build

lint-freebsd:
	sh port/cross/lint

# FreeBSD's packages of what `make freebsd` builds.
package: freebsd
	@CARGO="$(CARGO)" sh tests/setup package
	MAKE="$(MAKE)" sh port/package

# The last commit as a release.
dist:
	@CARGO="$(CARGO)" sh tests/setup dist
	CARGO="$(CARGO)" sh port/dist

clean:
	$(CARGO) clean

.PHONY: build command install install-header install-library install-command install-docs install-examples uninstall \
	test storm storm-mutants demo openzfs sanitize fuzz bench pictures lint freebsd lint-freebsd package dist clean
