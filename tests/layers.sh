#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The boundary of layout/, proven on its object code, and the order of the folders. usage: layers.sh BUILD
# 1. liblayout.a asks the C library for memory, strings, patterns, sorting and formatting only: a core that could open, map, print, log or
#    exit would not be pure any more. 2. A symbol names its file: what foo.o gives to others is called foo or foo_something.
# 3. Each folder includes headers of itself and of those before it only, so data flows one way.
folders='layout/base layout/values layout/formats layout/checkpoint layout/names layout/view fs/base fs/options fs/source fs/model fs/serve fs/verbs'
lib=$1/liblayout.a
allowed='^(stpcpy|mem(cpy|move|set|cmp|chr|rchr)|str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|pbrk|to[du]|toull?)|malloc|calloc|realloc|free'
allowed="$allowed|v?snprintf|reg(comp|exec|error|free)|qsort(_r)?|bsearch|__assert_fail|__stack_chk_fail|__errno_location|__ctype_b_loc|__(mem|str|v?snprintf)[a-z]*_chk|__isoc[0-9x]*_[a-z]*"
allowed="$allowed|cJSON_[A-Za-z]*|pb_[a-z_]*|crc32_z|XXH[0-9A-Za-z_]*|_GLOBAL_OFFSET_TABLE_)\$"
bad=0

defined=$(nm --defined-only --extern-only "$lib" | awk 'NF == 3 { print $3 }' | sort -u)
for symbol in $(nm -u "$lib" | awk '$1 == "U" { print $2 }' | sort -u); do
	echo "$defined" | grep -qx "$symbol" && continue
	echo "$symbol" | grep -qE "$allowed" && continue
	echo "layers: liblayout.a calls $symbol, which is no business of layout/: $(nm -uA "$lib" | awk -v s="$symbol" '$NF == s { print $1 }' | tr '\n' ' ')"
	bad=1
done

nm -A --defined-only --extern-only "$lib" | awk '
	{ split($1, at, ":"); object = at[2]; sub(/\.o$/, "", object) }
	object ~ /\.pb$/ { next }
	$NF != object && index($NF, object "_") != 1 { print "layers: " object ".c gives out " $NF; bad = 1 }
	END { exit bad }' || bad=1

grep -Ho '^#include "[^"]*' layout/*/*.[ch] fs/*/*.[ch] | awk -F '[/:"]' -v folders="$folders" '
	BEGIN { n = split(folders, f, " "); for (i = 1; i <= n; i++) rank[f[i]] = i }
	{ own = $1 "/" $2; other = $5 "/" $6 }
	!(own in rank) || !(other in rank) || rank[other] > rank[own] { print "layers: " $1 "/" $2 "/" $3 " includes a header of " other; bad = 1 }
	END { exit bad || NR == 0 }' || bad=1

[ $bad = 0 ] && echo "ok   layers: liblayout.a is pure, its symbols name their files, and the folders stand on one another"
exit $bad
