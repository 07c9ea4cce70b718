"""The generated exports: customers, orders and deliveries of two markets, at two moments, the second with 1 % changed and 1 % new."""

import shutil
from pathlib import Path

from process import measure


class Exports:
    """Generated files, and an inbox to drop them into. `lines` are those of orders."""

    def __init__(self, generate, work, lines):
        self.folder = Path(work) / f"exports-{lines}"
        self.folder.mkdir()
        measure([generate, "--out", str(self.folder), "--order-lines", str(lines), "--undated"],
                self.folder / "generate.log")
        self.inbox = self.folder / "inbox"
        first = sorted((self.folder / "first").iterdir())
        self.bytes = sum(path.stat().st_size for path in first)
        self.lines = sum(count_lines(path) - 1 for path in first if "Orders" in path.name)  # without the header

    def drop(self, moment):
        """Puts the files of a moment into the inbox, over what is there."""
        self.inbox.mkdir(exist_ok=True)
        for path in (self.folder / moment).iterdir():
            shutil.copyfile(path, self.inbox / path.name)

    def touch(self):
        """Adds one line end to each file: other content, the same rows."""
        for path in self.files():
            with open(path, "ab") as file:
                file.write(b"\n")

    def files(self):
        """The files in the inbox."""
        return sorted(self.inbox.iterdir())

    def remove(self):
        """Removes everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def count_lines(path):
    """Line ends in a file."""
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
