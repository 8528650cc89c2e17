"""A name server on UDP and TCP. Usage: name_server.py ADDRESS NAME…

It resolves every NAME to 127.0.0.1, and no other. If a name begins with `large`, its response by
UDP is truncated, so that a resolver has to ask by TCP. It prints each question, so that a test can
see what was asked; the first line says that it is ready.
"""

import socket
import struct
import sys
import threading

HEADER = 12  # bytes
NAME_ERROR, TRUNCATED, RESPONSE = 3, 0x0200, 0x8180
TYPE_A = 1


def question_of(request: bytes) -> tuple[str, int, bytes]:
    """Return the name, the record type and the bytes of a request's only question."""
    labels, at = [], HEADER
    while length := request[at]:
        labels.append(request[at + 1 : at + 1 + length].decode())
        at += 1 + length
    (kind,) = struct.unpack_from("!H", request, at + 1)
    return ".".join(labels), kind, request[HEADER : at + 5]


def response_to(request: bytes, names: list[str], protocol: str) -> bytes:
    """Return the response, with one address, none, an error, or only the flag for TCP."""
    name, kind, question = question_of(request)
    print(protocol, name, flush=True)
    flags, answers = RESPONSE, b""
    if name not in names:
        flags |= NAME_ERROR
    elif protocol == "udp" and name.startswith("large"):
        flags |= TRUNCATED
    elif kind == TYPE_A:
        answers = struct.pack("!HHHIH", 0xC00C, TYPE_A, 1, 60, 4) + socket.inet_aton("127.0.0.1")
    counts = struct.pack("!HHHH", 1, bool(answers), 0, 0)
    return request[:2] + struct.pack("!H", flags) + counts + question + answers


def serve_tcp(listener: socket.socket, names: list[str]) -> None:
    """Answer every request of one connection after the other."""
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            while size := stream.read(2):
                response = response_to(stream.read(*struct.unpack("!H", size)), names, "tcp")
                connection.sendall(struct.pack("!H", len(response)) + response)


def main(address: str, names: list[str]) -> None:
    """Serve until the process ends."""
    place = (address, 53)
    with (
        socket.create_server(place) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(place)
        threading.Thread(target=serve_tcp, args=(listener, names), daemon=True).start()
        print("ready", flush=True)
        while True:
            request, client = datagrams.recvfrom(512)
            datagrams.sendto(response_to(request, names, "udp"), client)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
