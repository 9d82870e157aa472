"""A time-stamping authority on this machine: certificates and answers by the openssl command, HTTP by us."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SETTINGS = """
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""
REFUSAL = bytes.fromhex("30053003020102")  # a TimeStampResp of status 2, rejection, without a token


@dataclass(frozen=True)
class Authority:
    """Where an authority answers, and the certificate to trust."""

    url: str
    root: Path


def openssl(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the openssl command; it must be installed."""
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=20)


def make_certificates(folder: Path) -> Path:
    """Make a root and an authority below it; return the root's certificate."""
    folder.mkdir(exist_ok=True)
    settings = folder / "openssl.cnf"
    settings.write_text(SETTINGS.format(folder=folder))
    (folder / "serial").write_text("01")
    for name in ("root", "signer"):
        key = folder / f"{name}.key"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    root, root_key, signer = folder / "root.pem", folder / "root.key", folder / "signer.pem"
    subject = ("-subj", "/CN=A root", "-days", "2", "-config", settings)
    openssl("req", "-x509", "-new", "-key", root_key, *subject, "-extensions", "root", "-out", root)
    request = folder / "signer.csr"
    subject = ("-subj", "/CN=An authority", "-config", settings)
    openssl("req", "-new", "-key", folder / "signer.key", *subject, "-out", request)
    below = ("-CA", root, "-CAkey", root_key, "-set_serial", "2", "-days", "2")
    extensions = ("-extfile", settings, "-extensions", "signer")
    openssl("x509", "-req", "-in", request, *below, *extensions, "-out", signer)
    return root


@contextmanager
def serve(folder: Path) -> Iterator[Authority]:
    """Run an authority; other paths than ``/`` misbehave, each as it is named."""
    root = make_certificates(folder)
    first: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            match self.path:
                case "/":
                    first.append(answer(folder, query))
                    self.send(first[-1])
                case "/replay":
                    self.send(first[0])
                case "/refuse":
                    self.send(REFUSAL)
                case "/noise":
                    self.send(b"\x30\x03abc")
                case "/long":
                    self.send(bytes(2**16 + 1))
                case "/slow":
                    self.drip()
                case "/short":
                    self.send(b"abc", announced=100)
                case "/move":
                    self.send(b"", status=302)
                case _:
                    self.send(b"", status=503)

        def send(self, content: bytes, status: int = 200, announced: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
            self.send_header("Location", "/")
            self.end_headers()
            self.wfile.write(content)

        def drip(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):  # the other end has had enough
                for _ in range(20):
                    self.wfile.write(b"\x30")
                    self.wfile.flush()
                    time.sleep(0.05)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Authority(f"http://127.0.0.1:{server.server_port}", root)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(folder: Path, query: bytes) -> bytes:
    """Have openssl answer a request."""
    (folder / "query").write_bytes(query)
    signer = ("-signer", folder / "signer.pem", "-inkey", folder / "signer.key")
    settings = ("-config", folder / "openssl.cnf")
    openssl("ts", "-reply", "-queryfile", folder / "query", *signer, *settings, "-out", folder / "answer")
    return (folder / "answer").read_bytes()
