# Mulberry.  `make demo` shows it, `make test` proves it; both install what is
# missing, build, and work in a temporary directory.  The rest is PGXS.

EXTENSION = mulberry
DATA = mulberry--1.0.sql
MODULE_big = mulberry

SRCS = $(wildcard src/*.c) $(wildcard src/core/*.c) $(wildcard src/worker/*.c)
OBJS = $(SRCS:.c=.o)

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-declaration-after-statement $(WERROR)
SHLIB_LINK = -lcurl -lcrypto -lm

REGRESS = $(patsubst sql/%.sql,%,$(wildcard sql/*.sql))
REGRESS_OPTS = --inputdir=.
ISOLATION = $(patsubst specs/%.spec,%,$(wildcard specs/*.spec))

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*.h src/core/*.h src/worker/*.h)
