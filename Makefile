# The few commands most people need; CMake does the work (see CMakeLists.txt for its options).
#
#   make            build/tnn, build/libtnn.a, build/libtnn.so
#   make test       build and run every test
#   make demo       the small model in models/ speaks, learns for a minute, and speaks differently
#   make demo-real  fetch a model that people use (98 MB) and let it answer PROMPT
#   make install    DESTDIR and PREFIX are honoured
#   make format     clang-format over the sources
#   make clean
#
# Missing packages are installed by tools/install-deps; `make DEPS=check` only names them.

BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc 2>/dev/null || echo 1)
DEPS   ?= install
PROMPT ?= What is gravity?

CONFIGURE = cmake -S . -B $(BUILD) -G Ninja -DCMAKE_INSTALL_PREFIX="$(PREFIX)" $(CMAKE_ARGS)
BUILD_CMD = cmake --build $(BUILD) -j $(JOBS)

.PHONY: all deps configure test demo demo-real install format clean
.NOTPARALLEL:

all: configure
	$(BUILD_CMD) --target product

deps:
	@tools/install-deps --$(DEPS) build

configure: deps
	@$(CONFIGURE) --log-level=WARNING

test: configure
	@tools/install-deps --$(DEPS) test
	$(BUILD_CMD)
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

demo: all
	@tools/demo $(BUILD)/tnn $(BUILD)/demo

demo-real: all
	@tools/install-deps --$(DEPS) fetch
	@tools/demo-real $(BUILD)/tnn "$(PROMPT)"

install: all
	cmake --install $(BUILD)

format:
	@tools/install-deps --$(DEPS) format
	@tools/format

clean:
	rm -rf $(BUILD)
