#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One reader of the source: `tests/lint.sh gcc|cppcheck|clang-tidy BUILD` (BUILD has the generated headers). Prints "ok NAME", or
# "FAIL NAME:" and what it found. What is suppressed has its reason here, in .clang-tidy, or beside the line.
# shellcheck disable=SC2016 # $FLAGS and "$@" are for the shells that xargs starts
set -u
cd "$(dirname "$0")/.." || exit 1
flags=$(make -s --no-print-directory flags B="$2") || exit 1
found=$(mktemp) && trap 'rm -f "$found"' EXIT

# gcc's analyzer sees one file: it takes what a function of another file leaves in an out parameter for NULL or nothing, though it
# returned 0, and what is owned through a structure for lost. These kinds are for valgrind and the sanitizers.
FLAGS="$flags -Wno-analyzer-null-dereference -Wno-analyzer-null-argument -Wno-analyzer-possible-null-argument
-Wno-analyzer-use-of-uninitialized-value -Wno-analyzer-malloc-leak"
export FLAGS

case $1 in
gcc)
	printf '%s\n' layout/*/*.c fs/*.c fs/*/*.c | xargs -P "$(nproc)" -n 8 sh -c 'for f; do gcc $FLAGS -O1 -fanalyzer -c -o /dev/null "$f"; done' sh >"$found" 2>&1 ;;
cppcheck) # without what was generated, and the system's headers: it knows the C library by itself
	cppcheck -j "$(nproc)" --enable=warning,performance,portability --inline-suppr --std=c11 --quiet \
		-I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=312 layout fs >"$found" 2>&1 ;;
clang-tidy)
	FLAGS=$flags
	printf '%s\n' layout/*/*.c fs/*.c fs/*/*.c | xargs -P "$(nproc)" -n 16 sh -c 'clang-tidy --quiet "$@" -- $FLAGS 2>/dev/null' sh >"$found" ;;
esac
if [ -s "$found" ]; then
	echo "FAIL lint $1:"
	cat "$found"
	exit 1
fi
echo "ok lint $1"
