# Mulberry.  `make demo` shows it, `make test` proves it; both install what is
# missing, build, and work in a temporary directory.  The rest is PGXS.
#
#	make					the extension and its programs
#	make extension			the extension alone, which needs none of the programs' libraries
#	make install			the extension, into the PostgreSQL of PG_CONFIG
#	make install-programs	the programs, into $(programs_bindir), /usr/local/bin by default
#	make installcheck		pg_regress and isolation tests in a running server
#	make demo, make test	see README.md; SUITES="regress tap" for some of the tests
#	make bench				ratios against the named peers, see bench/
#	make bench-dtmf			one of them, here the DTMF receiver's
#	make campaign			the long experiments, see docs/results.md
#	make sql				install and update scripts out of the subjects' files, see src/install/order
#	make format, make lint

# The install script of this version, and one that updates to it from each version before.
version := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" mulberry.control)
scripts := mulberry--$(version).sql \
	$(foreach from,$(wildcard updates/*--*.sql),mulberry--$(firstword $(subst --, ,$(notdir $(from))))--$(version).sql)

EXTENSION = mulberry
DATA = $(scripts)
MODULE_big = mulberry

SRCS = $(sort $(wildcard src/*.c src/*/*.c src/core/*/*.c))
OBJS = $(SRCS:.c=.o)

PG_CPPFLAGS = -I$(srcdir)/src -DMULBERRY_VERSION='"$(version)"'
# as in src/core/Makefile, which the programs use
PG_CFLAGS = -ffp-contract=off -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-declaration-after-statement
SHLIB_LINK = -lcurl -lcrypto -lm

REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --inputdir=. --load-extension=pgcrypto --load-extension=mulberry
ISOLATION = $(patsubst specs/%.spec,%,$(sort $(wildcard specs/*.spec)))
ISOLATION_OPTS = $(REGRESS_OPTS)

EXTRA_CLEAN = $(SRCS:.c=.bc) build

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

programs_bindir = /usr/local/bin

# A bare machine has no pg_config yet; these install it.
own_targets = demo try test bench bench-% campaign format lint sql
ifneq ($(PGXS),)
# To install the extension, and to build it alone, takes none of the programs' libraries.
all: sql $(if $(filter extension install installcheck,$(MAKECMDGOALS)),,programs)
include $(PGXS)
extension: all
$(OBJS): $(wildcard src/*/*.h src/core/*/*.h)
src/mulberry.o src/mulberry.bc src/server/extension.o src/server/extension.bc: mulberry.control
else ifneq ($(filter-out $(own_targets),$(or $(MAKECMDGOALS),all)),)
$(error no pg_config: install postgresql-server-dev-NN, or name one with PG_CONFIG=; "make test" and "make demo" install it themselves)
endif

# Assembled anew whenever one of its parts has changed.
sql: $(scripts)
$(scripts): scripts/assemble-sql mulberry.control src/install/order $(wildcard src/*/*.sql updates/*.sql)
	scripts/assemble-sql $@ >$@.new
	mv $@.new $@

# Each program has a directory with a Makefile of its own; http/ is the library that they share, and a program for its tests.
programs:
	@set -e; for program in $(dir $(wildcard http/Makefile speech/Makefile gateway/Makefile edge/Makefile)); do $(MAKE) -C $$program; done

install-programs uninstall-programs:
	@set -e; for program in $(dir $(wildcard speech/Makefile gateway/Makefile edge/Makefile)); do $(MAKE) -C $$program $(@:-programs=) bindir=$(programs_bindir); done

demo test campaign:
	@scripts/$@ $(SUITES)

# The same as the demo, and stays up until it is stopped.
try:
	@TRY=yes scripts/demo

bench:
	@scripts/install-packages build programs demo test bench
	@$(MAKE) -C bench

bench-%:
	@scripts/install-packages build programs demo test bench
	@$(MAKE) -C bench $*

# One file after another, so that a failure names its file.
format:
	@$$(scripts/clang format) --version >/dev/null 2>&1 || scripts/install-packages lint
	@for file in $$(git ls-files '*.c' '*.h' | grep -v '_tables\.c$$'); do $$(scripts/clang format) -i "$$file"; done

lint:
	@scripts/lint

# For scripts/test.
print-regress:
	@echo $(REGRESS)
print-isolation:
	@echo $(ISOLATION)

.PHONY: extension sql programs install-programs uninstall-programs demo try test campaign bench format lint print-regress print-isolation
