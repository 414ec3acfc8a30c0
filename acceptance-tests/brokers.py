"""What stands between the connector and its keys or its server: services that hand out temporary keys, a server with a
certificate of a private authority, a proxy. All of them listen on 127.0.0.1 and end with their block.
"""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import json
import pathlib
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROLE = "reader"
# What the services want to see before they hand out keys.
WEB_TOKEN, CONTAINER_TOKEN, INSTANCE_TOKEN = "web-identity-token", "Bearer container-token", "instance-token"


class Broker(contextlib.ExitStack):
    """STS, the agent of a container and the metadata service of an instance, all at one address.

    `keys` gives the next temporary keys, as boto3 shows those of STS, with the time at which they expire.
    """

    def __init__(self, keys: Callable[[], dict]):
        super().__init__()
        self.keys = keys
        # Requests, with the parameters of their bodies.
        self.asked: list[tuple[str, dict]] = []
        broker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                parameters = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
                broker.asked.append((f"{self.command} {self.path}", parameters))
                status, content = broker.answer(self.command, self.path, self.headers, parameters)
                content = content.encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = answer

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.callback(server.shutdown)
        self.endpoint = f"http://127.0.0.1:{server.server_port}"

    def answer(self, method: str, path: str, headers, parameters: dict) -> tuple[int, str]:
        folder = "/latest/meta-data/iam/security-credentials/"
        match method, path:
            case "POST", "/" if parameters["Action"] == "AssumeRole":
                return 200, self.of_sts("AssumeRole")
            case "POST", "/" if parameters.get("WebIdentityToken") == WEB_TOKEN:
                return 200, self.of_sts("AssumeRoleWithWebIdentity")
            case "GET", "/container" if headers.get("authorization") == CONTAINER_TOKEN:
                return 200, self.of_agent()
            case "PUT", "/latest/api/token":
                return 200, INSTANCE_TOKEN
            case "GET", _ if headers.get("x-aws-ec2-metadata-token") != INSTANCE_TOKEN:
                return 401, ""
            case "GET", _ if path == folder:
                return 200, ROLE
            case "GET", _ if path == folder + ROLE:
                return 200, self.of_agent()
        return 404, ""

    def of_agent(self) -> str:
        keys = self.keys()
        return json.dumps({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": iso(datetime.datetime.now(datetime.timezone.utc)),
                           "AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"],
                           "Token": keys["SessionToken"], "Expiration": iso(keys["Expiration"])})  # fmt: skip

    def of_sts(self, action: str) -> str:
        keys = {**(found := self.keys()), "Expiration": iso(found["Expiration"])}
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        parts = "".join(f"<{name}>{keys[name]}</{name}>" for name in names)
        user = f"<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/{ROLE}/x</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser>"
        return (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>{parts}</Credentials>'
            f"{user}</{action}Result></{action}Response>"
        )


def iso(time: datetime.datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


# --- certificates ---------------------------------------------------------------------------------------------------


def private_authority(folder: pathlib.Path, *hosts: str) -> tuple[pathlib.Path, ssl.SSLContext]:
    """The certificate of an authority that nobody knows, as a file, and a server's side of TLS that it signed for."""
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("private authority", hosts[0])]
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(subject, public_key, is_authority: bool, *extensions):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(names[0]).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        for extension in (x509.BasicConstraints(ca=is_authority, path_length=None), *extensions):
            builder = builder.add_extension(extension, critical=is_authority)
        return builder.sign(authority_key, hashes.SHA256())

    alternatives = x509.SubjectAlternativeName([alternative(host) for host in hosts])
    authority = certificate(names[0], authority_key.public_key(), True)
    server = certificate(names[1], key.public_key(), False, alternatives)
    pem = serialization.Encoding.PEM
    bundle, chain = folder / "authority.pem", folder / "server.pem"
    bundle.write_bytes(authority.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(server.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return bundle, context


def alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


# --- relays ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def relay(port: int, context: ssl.SSLContext | None = None, proxy: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Relays connections to a port of this machine: out of TLS with a context, or, as a proxy does, whatever server is
    asked for. Yields its own port and, of a proxy, the first lines of what it was asked."""
    first_lines: list[str] = []

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
            if context:
                client = context.wrap_socket(client, server_side=True)
            if proxy:
                enter(client, server, first_lines)
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener, serve), daemon=True).start()
        yield listener.getsockname()[1], first_lines


def accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()


def enter(client: socket.socket, server: socket.socket, first_lines: list[str]) -> None:
    """Reads what a proxy is asked: CONNECT is answered, the head of anything else goes on with the path alone."""
    head = b""
    while b"\r\n\r\n" not in head and (more := client.recv(65536)):
        head += more
    line, rest = head.split(b"\r\n", 1)
    first_lines.append(line.decode())
    method, target, version = line.split(b" ")
    if method == b"CONNECT":
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return
    path = b"/" + target.split(b"/", 3)[3]
    # One request for each connection: the next one would come with a whole address again.
    server.sendall(b" ".join([method, path, version]) + b"\r\nconnection: close\r\n" + rest)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
