"""The network around a container: name service, and servers with certificates of an authority of their own."""

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
import threading


class Names:
    """A DNS server on loopback that knows a few names, all at 127.0.0.1; and what it was asked."""

    def __init__(self, *names):
        self.names = {name.lower() for name in names}
        self.asked = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, client = self._socket.recvfrom(512)
            except OSError:
                return
            if not query:
                return
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, (kind,) = ".".join(labels).lower(), struct.unpack("!H", query[at + 1 : at + 3])
        self.asked.add(name)
        question = query[12 : at + 5]
        known, is_a = name in self.names, kind == 1
        # Answer, recursion available; NXDOMAIN for what is not known, no data for AAAA and others.
        flags = 0x8180 if known else 0x8183
        answers = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([127, 0, 0, 1])] if known and is_a else []
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0) + question + b"".join(answers)

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Authority:
    """A certificate authority that nobody knows, with a certificate for one server."""

    def __init__(self, directory, host):
        self.roots = directory / "authority.pem"
        self.chain, self.key = directory / "server.pem", directory / "server.key"
        key, request, extensions = directory / "authority.key", directory / "request.pem", directory / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{host}\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for command in (
            ["req", "-x509", *curve, "-keyout", key, "-out", self.roots, "-subj", "/CN=An authority of its own", "-days", "2"],
            ["req", *curve, "-keyout", self.key, "-out", request, "-subj", f"/CN={host}"],
            ["x509", "-req", "-in", request, "-CA", self.roots, "-CAkey", key, "-CAcreateserial", "-out", self.chain]
            + ["-days", "2", "-extfile", extensions],
        ):
            subprocess.run(["openssl", *command], check=True, capture_output=True)


class TlsServer:
    """Takes TLS connections and hands what is in them to a plain server, or only notes how they begin."""

    def __init__(self, authority, port, behind=None, protocol="http/1.1"):
        self.beginnings = []
        self.came = threading.Event()
        self._behind = behind
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.chain, authority.key)
        context.set_alpn_protocols([protocol])
        self._loop = asyncio.new_event_loop()
        # A client that does not trust the certificate ends the handshake: that is its business.
        self._loop.set_exception_handler(lambda loop, context: None)
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", port, ssl=context)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()

    async def _serve(self, reader, writer):
        first = await reader.read(65536)
        self.beginnings.append(first[:24])
        self.came.set()
        if self._behind:
            plain_reader, plain_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            plain_writer.write(first)
            await asyncio.gather(_pump(reader, plain_writer), _pump(plain_reader, writer))

    def close(self):
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
