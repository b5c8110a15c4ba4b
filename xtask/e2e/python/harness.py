"""What every Python program shares: its command line, names, the records it sends, and expectations that say what differed."""

import contextlib
import logging
import os
import sys
import time
import traceback
from dataclasses import dataclass

BOOTSTRAP = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")
RUN = os.environ.get("RUN", f"manual-{os.getpid()}-{int(time.time())}")
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 4
PATIENCE_S = 45
EPOCH_MS = 1_700_000_000_000


def name(what):
    """A topic, group or transactional id of this run alone."""
    return f"{RUN}-{what}"


def equal(what, got, want):
    if got != want:
        raise AssertionError(f"{what}\n   got  {short(got)}\n   want {short(want)}")


def check(what, truth):
    if not truth:
        raise AssertionError(what)


def same_list(what, got, want):
    """Lists that should be equal, told by the first place where they are not."""
    for at, (one, other) in enumerate(zip(got, want)):
        equal(f"{what}: at {at}", one, other)
    equal(f"{what}: how many", len(got), len(want))


def short(thing):
    text = repr(thing)
    return text if len(text) <= 1500 else f"{text[:1500]}… ({len(text)} characters)"


def until(what, condition, told=lambda: ""):
    """Calls `condition` until it answers something true, and returns that; `told` says how far it came."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
    raise AssertionError(f"{what}: not within {PATIENCE_S} s; {told()}")


@dataclass
class Login:
    """How to come in at a listener that asks who it is."""

    listener: str  # SCRAM, TLS or MTLS
    mechanism: str | None  # none where a certificate tells who it is
    user: str = os.environ.get("USERNAME", "")
    password: str = os.environ.get("PASSWORD", "")

    @property
    def address(self):
        return os.environ[self.listener]

    @property
    def tls(self):
        return self.listener != "SCRAM"

    @property
    def principal(self):
        return f"User:{self.user}" if self.mechanism else os.environ["PRINCIPAL"]

    @property
    def protocol(self):
        """By Kafka's name."""
        return "SSL" if not self.mechanism else "SASL_SSL" if self.tls else "SASL_PLAINTEXT"


LOGINS = [
    Login("SCRAM", "SCRAM-SHA-256"), Login("SCRAM", "SCRAM-SHA-512"), Login("TLS", "SCRAM-SHA-512"), Login("TLS", "PLAIN"),
    Login("MTLS", None),
]


def certificate(file):
    """A file of the authority or the client."""
    return os.path.join(os.environ["CERTIFICATES"], file)


class LoginRefused(Exception):
    """For libraries that only log that a login was refused, and then fail as if nobody was there."""


@contextlib.contextmanager
def login_refusal_logged(logger, error, words):
    """Turns that failure into `LoginRefused` if the library's log has the words."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda line: lines.append(line.getMessage())
    logging.getLogger(logger).addHandler(handler)
    try:
        yield
    except error as failure:
        raise LoginRefused(lines[-1]) if any(words in line for line in lines) else failure
    finally:
        logging.getLogger(logger).removeHandler(handler)


class Record:
    """A record as it was sent; `partition` and the place in it are known because the sender chose them."""

    NULLS = True  # whether the library can send a null header, and a record whose key and value are null

    def __init__(self, number):
        self.partition = number % PARTITIONS
        self.key = None if number % 5 == 0 else f"key-{number}".encode()
        self.value = None if number % 7 == 1 else b"" if number % 11 == 0 else f"value-{number}-".encode() + b"x" * (number % 200)
        if not self.NULLS and self.key is None and self.value is None:
            self.value = b"a key or a value must be there"
        self.headers = [] if number % 3 == 0 else [("a", str(number).encode()), ("a", b"again"), ("empty", b"")]
        if self.NULLS and number % 3 == 1:
            self.headers.append(("null", None))
        self.timestamp = EPOCH_MS + number

    def seen_at(self, offset):
        return (offset, self.key, self.value, self.headers, self.timestamp)


def by_partition(records):
    """What a reader should see: partition → the records with their offsets."""
    seen = {}
    for record in records:
        place = seen.setdefault(record.partition, [])
        place.append(record.seen_at(len(place)))
    return seen


def main(lib, **own):
    """Runs the scenario named on the command line, a shared one or one of the library's own; the exit code tells."""
    from scenarios import SHARED
    Record.NULLS = getattr(lib, "NULLS", True)
    wanted = sys.argv[1]
    try:
        own[wanted]() if wanted in own else SHARED[wanted](lib)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
