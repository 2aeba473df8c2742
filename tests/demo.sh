#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What gatherfs does, on a small real checkpoint. usage: demo.sh GATHERFS
set -eu
cd "$(dirname "$0")/.."
case=tests/oracle/cases/real_stack_pp2_opt
XDG_CACHE_HOME=$(mktemp -d /tmp/gatherfs-demo-XXXX) && export XDG_CACHE_HOME # nothing is to remain
mnt=$(mktemp -d /tmp/gatherfs-demo-XXXX)
trap '{ mountpoint -q "$mnt" && fusermount3 -uz "$mnt"; rmdir "$mnt"; rm -rf "$XDG_CACHE_HOME"; } 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM

echo "A checkpoint of 8 ranks, cut as MindSpore's own compiler said: 2 pipeline stages, tensor parallel by 2, optimizer shards by 2."
for r in 0 1 7; do
	ls -l $case/src/rank_$r/*.safetensors | awk '{ printf "  %9d  %s\n", $5, $9 }'
	[ $r != 1 ] || echo "        ..."
done
echo
echo "\$ gatherfs mount $case/src $mnt"
"$1" mount $case/src "$mnt"
echo "\$ ls -l $mnt"
ls -l "$mnt" | tail -n +2 | awk '{ printf "  %9d  %s\n", $5, $9 }'
echo
echo "\$ python, with safetensors.safe_open(...)"
.venv/check/bin/python tests/demo.py "$mnt" $case/expected.json
echo
echo "\$ gatherfs umount $mnt"
"$1" umount "$mnt"
