#!/bin/sh
# Uses an installed tinynn as a stranger would: a program built with CMake, one with pkg-config, the headers from C++, and
# the examples, which run.
#
#   tests/check_install.sh PREFIX WORK_FOLDER
set -eu
root=$(realpath "$(dirname "$0")/..")
prefix=$(realpath "$1")
mkdir -p "$2"
work=$(realpath "$2")

cat >"$work/main.c" <<'C'
#include <stdio.h>
#include <tinynn/tnn.h>

int main(void) {
    puts(tnn_status_text(TNN_OK));
    return 0;
}
C
cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(stranger LANGUAGES C)
find_package(tinynn 0.1 REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared PRIVATE tinynn::tnn)
add_executable(static main.c)
target_link_libraries(static PRIVATE tinynn::tnn_static)
CMAKE

cmake -S "$work" -B "$work/build" -G Ninja --log-level=WARNING -DCMAKE_PREFIX_PATH="$prefix"
cmake --build "$work/build" >/dev/null
[ "$("$work/build/shared")" = ok ]
[ "$("$work/build/static")" = ok ]

pc=$(find "$prefix" -name tinynn.pc)
export PKG_CONFIG_PATH="$(dirname "$pc")"
library=$(pkg-config --variable=libdir tinynn)
version=$(pkg-config --modversion tinynn)
cc "$work/main.c" $(pkg-config --cflags --libs tinynn) -o "$work/by_pkg_config"
[ "$(LD_LIBRARY_PATH=$library "$work/by_pkg_config")" = ok ]

# A version whose API may differ has another soname: until 1.0 the minor number counts.
case $version in 0.*) soname=libtnn.so.${version%.*} ;; *) soname=libtnn.so.${version%%.*} ;; esac
[ -e "$library/$soname" ] || { echo "no $soname beside version $version" >&2; exit 1; }

# A prefix may have a space in it.
make -C "$root" -n configure PREFIX='/a b' | grep -qF -- '-DCMAKE_INSTALL_PREFIX="/a b"' || { echo "PREFIX is cut at a space" >&2; exit 1; }

# As README.md says.
for example in "$root"/examples/*.c; do
    cc -O2 "$example" $(pkg-config --cflags --libs tinynn) -lm -o "$work/$(basename "$example" .c)"
done
LD_LIBRARY_PATH=$library "$work/generate" "$root/models/shakespeare.gguf" "ROMEO:" 8 >"$work/generate.out"
grep -q 'tokens' "$work/generate.out"

if command -v clang++ >/dev/null; then
    clang++ -x c++ -std=c++11 -Wall -Werror -fsyntax-only -I"$prefix/include" "$work/main.c"
fi

"$prefix/bin/tnn" --version >/dev/null
[ -e "$prefix/share/man/man1/tnn.1" ]
echo "installed files serve CMake and pkg-config users"
