# Builds for AArch64 and runs what was built under user-mode QEMU, so that CTest checks the NEON kernels on any machine.
#   cmake -B build-arm64 -G Ninja --toolchain cmake/aarch64-linux-gnu.cmake -DTNN_TEST_KINDS=kernels
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu)
# Without this pkg-config would answer for the build machine.
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig)
set(TNN_COMMAND OFF CACHE BOOL "" FORCE)
set(TNN_EXAMPLES OFF CACHE BOOL "" FORCE)
