# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are made once and then kept, for as long as they would be made from the same description."""
import json
import os
import sys


def ensure(folder, description, make):
    """`folder`, by make(folder) unless it is there, made from this description. That is written last: it says that all is."""
    text = json.dumps(description)
    try:
        with open(f"{folder}/description.json") as f:
            if f.read() == text:
                return folder
    except FileNotFoundError:
        pass
    print(f"making the checkpoint {folder}", file=sys.stderr)
    make(folder)
    os.sync()  # or it would be written out while something is measured
    with open(f"{folder}/description.json", "w") as f:
        f.write(text)
    return folder
