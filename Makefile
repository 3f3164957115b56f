# For GNU make and BSD make. All the work is cargo's; README.md says what each target is for.

CARGO?=	cargo
CC?=	cc
INSTALL?=	install
LDCONFIG?=	/sbin/ldconfig
PREFIX?=	/usr/local
DESTDIR?=
# For how long each fuzzer runs.
FUZZ_SECONDS?=	60
# How much happens in a storm (tests/storm), with which number it begins, and where: simulated, real (a
# ZFS), or both.
STORM_OPERATIONS?=	100000
STORM_SEED?=
STORM_WORLD?=	simulated
STORM=	STORM_OPERATIONS=$(STORM_OPERATIONS) STORM_SEED=$(STORM_SEED) STORM_WORLD=$(STORM_WORLD)
# How much is run on OpenZFS: short or full.
OPENZFS?=	full

# The library's name at run time; its number is that of the interface (SYSADM_IOCAGE_ABI_VERSION).
SONAME=	libsysadm_iocage.so.1

# What cargo builds; a port builds it elsewhere (and sets CARGO=true, since it is built already).
LIBRARY?=	target/release/libsysadm_iocage.so

LIBDIR=	$(DESTDIR)$(PREFIX)/lib
INCLUDEDIR=	$(DESTDIR)$(PREFIX)/include
# Where pkg-config looks, which is a habit of each system.
PCPARENT!=	case $$(uname) in FreeBSD | DragonFly) echo libdata ;; *) echo lib ;; esac
PCDIR?=	$(DESTDIR)$(PREFIX)/$(PCPARENT)/pkgconfig
MANDIR?=	$(DESTDIR)$(PREFIX)/share/man
DOCDIR=	$(DESTDIR)$(PREFIX)/share/doc/sysadm-iocage
EXAMPLEDIR=	$(DESTDIR)$(PREFIX)/share/examples/sysadm-iocage
DATADIR=	$(DESTDIR)$(PREFIX)/share/sysadm-iocage

# The cdylib alone: beside the rlib that tests link, cargo builds it without link-time optimization.
BUILD=	$(CARGO) rustc --release --lib --crate-type cdylib

build:
	@CARGO="$(CARGO)" sh tests/setup build
	$(BUILD)

install: build install-header install-library install-docs install-examples

install-header:
	$(INSTALL) -d $(INCLUDEDIR)
	$(INSTALL) -m 644 include/sysadm_iocage.h $(INCLUDEDIR)

# The two files and the patch for the sysadm server's source go to share/sysadm-iocage/server; docs/server.md.
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
	@case "$(DESTDIR)$$(uname)" in Linux) \
		$(LDCONFIG) || echo "run $(LDCONFIG) as root" >&2; \
		$(LDCONFIG) -p 2>/dev/null | grep -q $(SONAME) || \
			echo "programs find the library only with LD_LIBRARY_PATH=$(LIBDIR)" >&2; \
		pkg-config --exists sysadm_iocage 2>/dev/null || \
			echo "pkg-config finds it only with PKG_CONFIG_PATH=$(PCDIR)" >&2 ;; \
	esac

install-docs:
	$(INSTALL) -d $(DOCDIR)
	$(INSTALL) -m 644 README.md CHANGELOG.md SECURITY.md LICENSE docs/*.md docs/*.rst $(DOCDIR)

install-examples:
	$(INSTALL) -d $(EXAMPLEDIR)
	$(INSTALL) -m 644 examples/host.c examples/table.c $(EXAMPLEDIR)

uninstall:
	rm -f $(INCLUDEDIR)/sysadm_iocage.h $(LIBDIR)/libsysadm_iocage.so $(LIBDIR)/$(SONAME)
	rm -f $(PCDIR)/sysadm_iocage.pc $(MANDIR)/man3/sysadm_iocage.3 $(MANDIR)/man7/sysadm-iocage.7
	rm -rf $(DOCDIR) $(EXAMPLEDIR) $(DATADIR)

# What of the port follows from Cargo.lock.
port:
	sh port/crates

test:
	@CARGO="$(CARGO)" sh tests/setup test
	@CARGO="$(CARGO)" sh tests/run

demo:
	@CARGO="$(CARGO)" sh tests/setup demo
	$(BUILD)
	$(CARGO) build --release --package sysadm-iocage-lab
	$(CC) -std=c99 -Wall -Wextra -Iinclude -o target/release/host examples/host.c -ldl
	@target/release/demo target/release/host target/release/libsysadm_iocage.so

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

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --test kernel_zfs -- -D warnings
	$(CARGO) fmt --manifest-path benches/Cargo.toml --check
	$(CARGO) clippy --manifest-path benches/Cargo.toml --target-dir target/benches --all-targets -- -D warnings
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --release --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings
	CARGO=$(CARGO) sh tests/dependencies

# On Debian, for FreeBSD: port/cross.
freebsd:
	sh port/cross/build

lint-freebsd:
	sh port/cross/lint

clean:
	$(CARGO) clean

.PHONY: storm storm-mutants build install install-header install-library install-docs install-examples uninstall port test demo \
	openzfs sanitize fuzz bench lint freebsd lint-freebsd clean
