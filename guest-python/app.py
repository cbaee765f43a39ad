"""A chunker in Python: a chunk a paragraph.

Its option `attempt` makes it try, before it cuts, what a plugin must not be able to do, and say what came of
that as its error. The tests ask for it; who copies this file leaves the second half out.
"""

import os
import random
import re
import socket
import sys
import time

from componentize_py_types import Err
from wit_world import WitWorld as World
from wit_world import exports
from wit_world.exports.chunking import Piece
from wit_world.imports.options import OptionSpec, OptionType

PARAGRAPH = re.compile(r"\S(?:.|\n(?![ \t]*\n))*")


def paragraphs(text):
    """Pieces of `text`, whose places are counted in bytes: Python counts in characters."""
    start_byte, before = 0, 0
    for found in PARAGRAPH.finditer(text):
        start_byte += len(text[before : found.start()].encode())
        before = found.start()
        yield Piece(start_byte, start_byte + len(found.group().rstrip().encode()), [])


class WitWorld(World):
    def describe(self):
        words = "|".join(["none", *ATTEMPTS])
        return [
            OptionSpec("attempt", OptionType.CHOICE, "none", words, "A misdeed to try first."),
            OptionSpec("port", OptionType.INTEGER, "9", "1..65535", "Where `sockets` tries to connect."),
        ]


class Chunking(exports.Chunking):
    def chunk(self, document, options):
        options = dict(options)
        attempt = ATTEMPTS.get(options["attempt"])
        said = attempt and attempt(options)
        if said:
            raise Err(said)
        return list(paragraphs(document.text))


def outcomes(**attempts):
    """What became of each attempt: the name of its exception, or that it was done."""
    said = []
    for name, attempt in attempts.items():
        try:
            attempt()
            said.append(f"{name} DONE")
        except Exception as error:
            said.append(f"{name} {type(error).__name__}")
    return ", ".join(said)


def files(_):
    return outcomes(
        read=lambda: open("/etc/passwd").read(),
        climb=lambda: open("../../../../etc/passwd").read(),
        write=lambda: open("/tmp/stockade-was-here", "w").write("here"),
        append=lambda: open("stockade-was-here", "a").write("here"),
        list=lambda: os.listdir("/"),
        make=lambda: os.mkdir("/stockade-was-here"),
        link=lambda: os.symlink("/etc", "out"),
        remove=lambda: os.remove("/etc/passwd"),
    )


def sockets(options):
    address = ("127.0.0.1", int(options["port"]))

    def datagram():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"here", address)

    return outcomes(
        connect=lambda: socket.create_connection(address, 1),
        listen=lambda: socket.socket().bind(("127.0.0.1", 0)),
        datagram=datagram,
        # Bytes, since Python's own tables for names are not bundled.
        resolve=lambda: socket.getaddrinfo(b"localhost", 80),
    )


def environment(_):
    return f"environment {dict(os.environ)}, arguments {sys.argv}"


def output(_):
    line = "x" * 1023
    for stream in (sys.stdout, sys.stderr):
        for _ in range(512):
            print(line, file=stream)
        stream.flush()


def sleep(_):
    time.sleep(3600)
    return "slept"


def leave(_):
    os._exit(7)


def chance(_):
    os.urandom(1 << 20)
    return "a mebibyte of random bytes DONE"


def dice(_):
    return f"dice {[random.SystemRandom().randrange(1_000_000) for _ in range(3)]}"


def clock(_):
    began = time.time(), time.monotonic(), time.perf_counter()
    for _ in range(10_000):
        pass
    ended = time.time(), time.monotonic(), time.perf_counter()
    return f"passed {[after - before for before, after in zip(began, ended)]}, since {began[0]}"


def stdin(_):
    return f"input {sys.stdin.read()!r}"


def loop(_):
    while True:
        pass


def memory(_):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


ATTEMPTS = {
    "files": files,
    "sockets": sockets,
    "environment": environment,
    "output": output,
    "sleep": sleep,
    "exit": leave,
    "random": chance,
    "dice": dice,
    "clock": clock,
    "stdin": stdin,
    "loop": loop,
    "memory": memory,
}
