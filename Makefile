# For GNU make and BSD make. All the work is cargo's; README.md says what each target is for.

CARGO?=	cargo
CC?=	cc
INSTALL?=	install
PREFIX?=	/usr/local
DESTDIR?=

# The library's name at run time; its number is that of the interface (SYSADM_IOCAGE_ABI_VERSION).
SONAME=	libsysadm_iocage.so.1

LIBDIR=	$(DESTDIR)$(PREFIX)/lib
INCLUDEDIR=	$(DESTDIR)$(PREFIX)/include
# On Linux it is rather $(DESTDIR)$(PREFIX)/lib/pkgconfig.
PCDIR?=	$(DESTDIR)$(PREFIX)/libdata/pkgconfig
DOCDIR=	$(DESTDIR)$(PREFIX)/share/doc/sysadm-iocage
EXAMPLEDIR=	$(DESTDIR)$(PREFIX)/share/examples/sysadm-iocage
SERVERDIR=	$(DESTDIR)$(PREFIX)/share/sysadm-iocage/server

build:
	$(CARGO) build --release

# The two files for the sysadm server's source go to share/sysadm-iocage/server; docs/server.md.
install: build
	$(INSTALL) -d $(LIBDIR) $(INCLUDEDIR) $(PCDIR) $(DOCDIR) $(EXAMPLEDIR) $(SERVERDIR)
	$(INSTALL) -m 755 target/release/libsysadm_iocage.so $(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(LIBDIR)/libsysadm_iocage.so
	$(INSTALL) -m 644 include/sysadm_iocage.h $(INCLUDEDIR)
	version=$$(sed -n '/^version = /{s/[^0-9.]//g;p;q;}' Cargo.toml) && printf '%s\n' \
		'prefix=$(PREFIX)' 'Name: sysadm_iocage' \
		'Description: Manages FreeBSD jails kept by iocage: JSON in, JSON out' \
		"Version: $$version" 'Cflags: -I$${prefix}/include' \
		'Libs: -L$${prefix}/lib -lsysadm_iocage' >$(PCDIR)/sysadm_iocage.pc
	$(INSTALL) -m 644 README.md CHANGELOG.md LICENSE docs/*.md $(DOCDIR)
	$(INSTALL) -m 644 examples/host.c $(EXAMPLEDIR)
	$(INSTALL) -m 644 include/sysadm/sysadm-iocage.h include/sysadm/sysadm-iocage.cpp $(SERVERDIR)

test:
	sh tests/setup
	$(CARGO) test

demo: build
	sh tests/setup
	$(CARGO) build --release --package sysadm-iocage-lab
	$(CC) -std=c99 -Wall -Wextra -Iinclude -o target/release/host examples/host.c -ldl
	target/release/demo target/release/host target/release/libsysadm_iocage.so

bench:
	$(CARGO) bench --bench listing

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

clean:
	$(CARGO) clean

.PHONY: build install test demo bench lint clean
