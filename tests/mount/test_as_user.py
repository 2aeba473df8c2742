# SPDX-License-Identifier: Apache-2.0
"""The central tests once more, by a user who is not root."""
import re

from mount import lib, namespace

CENTRAL = ["view", "tree", "reads", "ranks", "steps", "umount", "unified_source", "tensors", "nodes"]


def central(tmp, name):
    """Runs a file of tests as a user who is not root, with rights to nothing but /dev/fuse and fusermount3."""
    if namespace.no_users():
        return namespace.no_users()
    said = namespace.as_user(tmp, r"""
export TMPDIR="$TMP/own/tmp"
cd /
as_user test -r "$PYTHON" || { echo unreachable; exit 0; }
as_user "$PYTHON" "$TESTS/mount/test_""" + name + r""".py" || :
""")
    if said == "unreachable\n":
        return "the tests' Python cannot be read by others"
    lib.need(re.search("^ok ", said, re.M) and not re.search("^FAIL|Traceback", said, re.M), said)
    return f"{len(re.findall('^ok ', said, re.M))} tests"


def make(name):
    return lambda tmp: central(tmp, name)


for each in CENTRAL:
    globals()[f"test_as_user_{each}"] = make(each)


if __name__ == "__main__":
    lib.main()
