# macp-observer: one Makefile, no recursion into folders, everything that is made lands in $(BUILD).
#
#   make            both programs            make test      the one test command
#   make deps       Debian packages          make demo      the whole path on one port
#   make lint | asan | tsan | fuzz | check-sql | bench | bench-lists | interop | streams-long
#   make install | clean
#   V=1 shows the commands; BUILD=dir builds elsewhere; SANITIZE=address,undefined instruments.

VERSION  := 0.1.0
BUILD    ?= build
PREFIX   ?= /usr/local
CC       ?= gcc
CLANG    ?= clang
SANITIZE ?=
WERROR   ?=

ifeq ($(origin CC),default)
CC := gcc
endif
ifneq ($(V),1)
Q := @
endif
say = @printf '  %-8s %s\n' $(1) $(2)

# --- flags -----------------------------------------------------------------------------------

# Rows of tables leave members at zero on purpose.
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef \
        -Wconversion -Wno-missing-field-initializers $(if $(WERROR),-Werror)
PACKAGES := jansson libpq libprotobuf-c uuid libpcre2-8 libcurl libmicrohttpd libsystemd
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
HARDEN := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong
SAN_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined
CFLAGS_ALL := -std=gnu17 -g -fPIE -ffunction-sections -fdata-sections -D_GNU_SOURCE \
        -DMACP_VERSION='"$(VERSION)"' -I. -I$(BUILD) -I$(BUILD)/proto $(PKG_CFLAGS) \
        $(if $(SANITIZE),$(SAN_FLAGS),$(HARDEN)) $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections \
        $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

LIBS_SHARED := -ljansson -lpq -luuid -lcrypto -lpthread -lm
LIBS_FCGI   := -lfcgi $(LIBS_SHARED)
LIBS_OBS    := -lz -lgrpc -lgpr -lprotobuf-c -lpcre2-8 -lcurl -lmicrohttpd -lsystemd $(LIBS_SHARED)
LIBS_TEST   := -lcmocka -lssl

# --- sources ---------------------------------------------------------------------------------

PROTO    := $(shell find proto -name '*.proto')
PROTO_C  := $(patsubst proto/%.proto,$(BUILD)/proto/%.pb-c.c,$(PROTO))
PROTO_H  := $(PROTO_C:.c=.h)
QUERIES  := $(sort $(wildcard sql/queries/*.sql))
MIGRATIONS := $(sort $(wildcard sql/migrations/*.sql))

SHARED_C  := $(wildcard shared/*.c)
FCGI_C    := $(filter-out fcgi/main.c,$(wildcard fcgi/*.c))
OBS_C     := $(filter-out observerd/main.c,$(wildcard observerd/*.c))
RUNTIME_C := $(wildcard tests/runtime/*.c)
SUPPORT_MAINS := $(wildcard tests/support/*_main.c)
SUPPORT_C := $(filter-out $(SUPPORT_MAINS),$(wildcard tests/support/*.c))
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
GOLDEN    := $(patsubst tests/golden/%.c,$(BUILD)/tests/golden/%,$(wildcard tests/golden/test_*.c))
INTEGRATION := $(patsubst tests/integration/%.c,$(BUILD)/tests/integration/%,$(wildcard tests/integration/test_*.c))
FAULT     := $(patsubst tests/fault/%.c,$(BUILD)/tests/fault/%,$(wildcard tests/fault/test_*.c))
BENCH     := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/bench_*.c))
# Again, behind another web server. A sanitizer would learn nothing from Apache: the program is the
# same, unlike with plain CGI.
WEB_RUNS  := $(foreach run,requests|cgi reading|cgi \
             $(if $(SANITIZE),,requests|apache operations|apache streams|apache slow|apache),\
             "$(BUILD)/tests/integration/test_$(subst |, --web ,$(run))")
FUZZ      := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS     := $(BUILD)/tests/scripted-runtime $(BUILD)/tests/full_disk.so $(BUILD)/tests/clock_jump.so \
             $(patsubst tests/support/%_main.c,$(BUILD)/tests/%,$(SUPPORT_MAINS))
PROGRAMS  := $(BUILD)/macp-observerd $(BUILD)/macp-fcgi

objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
PROTO_O := $(patsubst $(BUILD)/proto/%.c,$(BUILD)/obj/proto/%.o,$(PROTO_C))
SQL_O   := $(BUILD)/obj/sql.gen.o

.PHONY: tsan tsan-built all deps need-deps test test-built unit golden integration fault lint asan fuzz fuzz-built \
    bench bench-built interop demo check-sql bench-lists install clean tools streams-long
.SECONDARY:
.DELETE_ON_ERROR:

all: $(PROGRAMS)
tools: $(TOOLS)

# --- generated code --------------------------------------------------------------------------

$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h &: proto/%.proto
	$(call say,PROTOC,$<)
	@mkdir -p $(BUILD)/proto
	$(Q)protoc-c --c_out=$(BUILD)/proto -Iproto $<

$(BUILD)/sql.gen.c $(BUILD)/sql.gen.h &: sql/generate.awk $(QUERIES) $(MIGRATIONS)
	$(call say,SQL,$(BUILD)/sql.gen.c)
	@mkdir -p $(BUILD)
	$(Q)awk -v out=$(BUILD)/sql.gen -f sql/generate.awk $(MIGRATIONS) $(QUERIES)

# --- objects and archives --------------------------------------------------------------------

COMPILE = $(Q)$(CC) $(CFLAGS_ALL) $(WARN) -MMD -MP -c -o $@ $<

$(BUILD)/obj/proto/%.o: $(BUILD)/proto/%.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(SQL_O): $(BUILD)/sql.gen.c $(BUILD)/sql.gen.h
	@mkdir -p $(@D)
	$(COMPILE)

$(BUILD)/obj/%.o: %.c | $(PROTO_H) $(BUILD)/sql.gen.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(COMPILE)

define archive
$(1): $(2)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(eval $(call archive,$(BUILD)/libproto.a,$(PROTO_O)))
$(eval $(call archive,$(BUILD)/libshared.a,$(call objs,$(SHARED_C)) $(SQL_O)))
$(eval $(call archive,$(BUILD)/libobserverd.a,$(call objs,$(OBS_C))))
$(eval $(call archive,$(BUILD)/libfcgiapp.a,$(call objs,$(FCGI_C))))
$(eval $(call archive,$(BUILD)/libsupport.a,$(call objs,$(SUPPORT_C))))

# --- programs --------------------------------------------------------------------------------

LINK = $(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@

$(BUILD)/macp-observerd: $(call objs,observerd/main.c) $(BUILD)/libobserverd.a $(BUILD)/libproto.a $(BUILD)/libshared.a
	$(call say,LINK,$@)
	$(LINK) $^ $(LIBS_OBS)

$(BUILD)/macp-fcgi: $(call objs,fcgi/main.c) $(BUILD)/libfcgiapp.a $(BUILD)/libshared.a
	$(call say,LINK,$@)
	$(LINK) $^ $(LIBS_FCGI)

$(BUILD)/tests/scripted-runtime: $(call objs,$(RUNTIME_C)) $(BUILD)/libproto.a $(BUILD)/libshared.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(LINK) $^ $(LIBS_OBS)

# Go into programs by LD_PRELOAD, some of them not ours, so without sanitizers.
$(BUILD)/tests/full_disk.so $(BUILD)/tests/clock_jump.so: $(BUILD)/tests/%.so: tests/fault/%.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -O2 -fPIC -shared -D_GNU_SOURCE $(WARN) -o $@ $< -ldl

$(BUILD)/tests/%: $(BUILD)/obj/tests/support/%_main.o $(BUILD)/libsupport.a $(BUILD)/libshared.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(LINK) $^ $(LIBS_TEST) $(LIBS_SHARED)

# Unit, golden and bench programs may reach into either program's modules; integration and fault
# tests see them only from outside.
INSIDE := $(BUILD)/libobserverd.a $(BUILD)/libfcgiapp.a $(BUILD)/libsupport.a $(BUILD)/libproto.a $(BUILD)/libshared.a
$(UNIT) $(GOLDEN) $(BENCH): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(INSIDE)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(LINK) $^ $(LIBS_TEST) -lfcgi $(LIBS_OBS)

$(INTEGRATION) $(FAULT): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libsupport.a $(BUILD)/libshared.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(LINK) $^ $(LIBS_TEST) $(LIBS_SHARED)

# Built with clang in a folder of its own; everything is instrumented, only the target has main.
$(FUZZ): $(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(INSIDE)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS_TEST) -lfcgi $(LIBS_OBS)

-include $(shell [ -d $(BUILD)/obj ] && find $(BUILD)/obj -name '*.d')

# --- packages --------------------------------------------------------------------------------

PACKAGES_DEBIAN := gcc g++ libc6-dev make pkg-config protobuf-c-compiler protobuf-compiler libprotobuf-c-dev \
    libgrpc-dev libfcgi-dev libjansson-dev libpq-dev uuid-dev zlib1g-dev libpcre2-dev libcurl4-openssl-dev \
    libssl-dev ca-certificates uthash-dev \
    libmicrohttpd-dev libsystemd-dev systemd \
    libcmocka-dev postgresql-15 lighttpd apache2-bin wrk clang clang-format \
    libclang-rt-14-dev python3 python3-venv python3-jsonschema curl jq perl procps
# No service is started: policy-rc.d says no while packages are installed, and the distribution's
# own cluster is not made.
deps:
	@tests/support/deps.sh $(PACKAGES_DEBIAN)

# Targets that people type bring what is missing first; the objects themselves do not look.
need-deps:
	@tests/support/deps.sh $(PACKAGES_DEBIAN)

# --- tests -----------------------------------------------------------------------------------

# Each test program prints cmocka's lines; run.sh adds them up and ends with "N passed, N failed".
RUN_TESTS = tests/support/run.sh $(BUILD)

# The API against its own description.
CONTRACT = "tests/integration/openapi.py $(BUILD)"

unit: $(UNIT)
	@$(RUN_TESTS) unit $(UNIT)
golden: $(GOLDEN)
	@$(RUN_TESTS) golden $(GOLDEN)
integration: $(INTEGRATION) $(PROGRAMS) tools
	@$(RUN_TESTS) integration $(INTEGRATION) $(WEB_RUNS) $(CONTRACT)
fault: $(FAULT) $(PROGRAMS) tools
	@$(RUN_TESTS) fault $(FAULT)
# A thousand followers of fifty runs, through a dozen restarts.
streams-long: $(BUILD)/tests/fault/test_followers $(PROGRAMS) tools
	@$(RUN_TESTS) streams-long "$(BUILD)/tests/fault/test_followers --long"
test: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD) test-built
# Benches are linked, too, and not run: they reach into modules and must not fall behind.
test-built: $(PROGRAMS) tools $(UNIT) $(GOLDEN) $(INTEGRATION) $(FAULT) $(BENCH)
	@$(RUN_TESTS) test $(UNIT) $(GOLDEN) "$(BUILD)/tests/sqlcheck" \
	    "tests/support/observer_gate.sh $(BUILD)" "tests/support/observer_gate.sh --self-test" \
	    "tests/golden/differential.sh $(BUILD)" "tests/golden/planted_type.sh $(BUILD)" \
	    "tests/integration/install.sh $(BUILD)" \
	    $(INTEGRATION) $(WEB_RUNS) $(CONTRACT) $(FAULT)

check-sql: $(BUILD)/tests/sqlcheck
	@$(BUILD)/tests/sqlcheck

# The same programs and tests, instrumented, in a folder of their own.
asan: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined test-built

# What threads share without gRPC, which no race detector can see into: from mailboxes and batches
# to whole shards.
THREADED := $(patsubst %,$(BUILD)/tests/unit/test_%,\
              writer mailbox notifier spool claim handover decoder shard)
tsan: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan SANITIZE=thread tsan-built
tsan-built: $(THREADED)
	@$(RUN_TESTS) tsan $(THREADED)

FUZZ_SECONDS ?= 10
fuzz: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzzing CC=$(CLANG) \
	    SANITIZE=fuzzer-no-link,address,undefined fuzz-built
fuzz-built: $(FUZZ)
	@tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ)

lint: need-deps $(PROTO_C) $(BUILD)/sql.gen.c
	@LINT_CFLAGS='$(subst ','\'',$(CFLAGS_ALL) $(WARN))' .ci/lint.sh $(BUILD)

bench: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD) bench-built
bench-built: $(BENCH) $(PROGRAMS) tools
	@set -e; for b in $(BENCH); do $$b; done
# Lists alone, on as many runs as wanted.
BENCH_RUNS ?= 200000
bench-lists: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD) $(BUILD)/tests/bench/bench_lists all tools
	@$(BUILD)/tests/bench/bench_lists $(BENCH_RUNS)

interop: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD) all tools
	@BUILD=$(BUILD) tests/interop/run.sh

# The whole path on one port, until Ctrl-C; DEMO_CHECK=1 runs it once, unattended.
demo: need-deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD) all tools
	@$(BUILD)/tests/demo $(if $(filter 1,$(DEMO_CHECK)),--check)

# --- installation ------------------------------------------------------------------------------

# Folders may be given one by one: SYSCONFDIR, UNITDIR and SYSUSERSDIR are where systemd looks.
SYSCONFDIR  ?= /etc
UNITDIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
DOCDIR      := $(PREFIX)/share/doc/macp-observer
UNITS       := $(wildcard observerd/*.service.in fcgi/*.service.in fcgi/*.socket.in)
fill_unit = sed -e 's|@sbindir@|$(PREFIX)/sbin|; s|@sysconfdir@|$(SYSCONFDIR)|' \
    -e '/^@hardening@$$/{r shared/hardening.conf' -e 'd}'

install: $(PROGRAMS)
	install -d $(addprefix $(DESTDIR),$(PREFIX)/sbin $(PREFIX)/share/man/man8 $(DOCDIR) $(UNITDIR) \
	    $(SYSUSERSDIR))
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/sbin/
	install -m 644 README.md LICENSE lighttpd.conf.example fcgi/*.conf.example $(DESTDIR)$(DOCDIR)/
	install -m 644 observerd/README.md $(DESTDIR)$(DOCDIR)/observerd.md
	install -m 644 observerd/alerts.yml $(DESTDIR)$(DOCDIR)/
	install -m 644 fcgi/README.md $(DESTDIR)$(DOCDIR)/fcgi.md
	install -m 644 shared/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/macp-observer.conf
	for unit in $(UNITS); do \
	    $(fill_unit) "$$unit" >"$(DESTDIR)$(UNITDIR)/$$(basename "$$unit" .in)" || exit 1; done
	for program in observerd fcgi; do \
	    $(BUILD)/macp-$$program config --man >$(DESTDIR)$(PREFIX)/share/man/man8/macp-$$program.8 && \
	    $(BUILD)/macp-$$program config --example >$(DESTDIR)$(DOCDIR)/$$program.env || exit 1; done

clean:
	rm -rf $(BUILD)
