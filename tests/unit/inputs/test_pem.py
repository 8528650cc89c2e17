"""The inputs in PEM: what is taken of them, and every way in which they can be wrong."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from entrypoint.credentials import Secret, Tls
from entrypoint.inputs.pem import read_tls
from entrypoint.inputs.reader import Reader
from tests.unit.http.handshakes import DEPLOYER, OURS

WORKSPACE = Path("/github/workspace")
OTHER = OURS.client("other")
RSA = trustme.CA(key_type=trustme.KeyType.RSA).private_key_pem.bytes().decode()
BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def looked_at(inputs: Mapping[str, str], workspace: Path = WORKSPACE) -> tuple[Tls, dict[str, str]]:
    """What the inputs say, and what is said of each that is wrong; no input is named twice."""
    reader = Reader(inputs)
    tls = read_tls(reader, workspace)
    mistakes = {mistake.name: f"{mistake.problem} {mistake.remedy}" for mistake in reader.mistakes}
    assert len(mistakes) == len(reader.mistakes)
    return tls, mistakes


def tls_of(inputs: Mapping[str, str], workspace: Path = WORKSPACE) -> Tls:
    """What the inputs say, in which there is no mistake."""
    tls, mistakes = looked_at(inputs, workspace)
    assert mistakes == {}
    return tls


def test_nothing_given() -> None:
    """Without these inputs there is nothing to trust, and nothing to present."""
    assert tls_of({}) == Tls()


def test_text() -> None:
    """PEM text is its blocks alone, whatever stands around them and however its lines end."""
    bag = (
        "Bag Attributes\r\n    friendlyName: "
        f"me\r\n{OURS.pem}subject=/CN=x\n{DEPLOYER.certificate}\n"
    )
    tls = tls_of({"ca_certificate": bag.replace("\n", "\r\n").replace("\r\r", "\r")})

    lines = [line.strip() for line in tls.ca.split("\n")]
    assert "\n".join(lines) == f"{OURS.pem.strip()}\n{DEPLOYER.certificate.strip()}\n"
    assert (tls.certificate, tls.key) == ("", Secret(""))


def test_client_certificate() -> None:
    """A client certificate comes with its key, and its chain."""
    chain = f"{DEPLOYER.certificate}{OURS.pem}"
    tls = tls_of({"client_certificate": chain, "client_key": f"\n{DEPLOYER.key}"})

    assert tls.certificate.split() == chain.split()
    assert tls.key.reveal().split() == DEPLOYER.key.split()
    assert tls.ca == ""


def test_both_in_one_file(tmp_path: Path) -> None:
    """A file may hold certificate and key together, and a byte order mark: each input takes its own
    blocks.
    """
    (tmp_path / "client.pem").write_text(
        f"\ufeff{DEPLOYER.key}{DEPLOYER.certificate}", encoding="utf-8"
    )
    (tmp_path / "ca.pem").write_text(OURS.pem)
    both = {
        "client_certificate": "client.pem",
        "client_key": "./client.pem",
        "ca_certificate": "ca.pem",
    }
    texts = {
        "client_certificate": DEPLOYER.certificate,
        "client_key": DEPLOYER.key,
        "ca_certificate": OURS.pem,
    }
    tls = tls_of(both, tmp_path)

    assert tls == tls_of(texts)
    assert tls != Tls()


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        (
            {"client_certificate": DEPLOYER.certificate},
            {"client_key": "empty, but client_certificate is given"},
        ),
        ({"client_key": DEPLOYER.key}, {"client_certificate": "empty, but client_key is given"}),
        (
            {"client_certificate": DEPLOYER.certificate, "client_key": OTHER.key},
            {"client_key": "does not belong"},
        ),
        (
            {"client_certificate": DEPLOYER.certificate, "client_key": RSA},
            {"client_key": "does not belong"},
        ),
        (
            {
                "client_certificate": DEPLOYER.certificate,
                "client_key": DEPLOYER.encrypted("pass").key,
            },
            {"client_key": "encrypted"},
        ),
        (
            {
                "client_certificate": DEPLOYER.certificate,
                "client_key": RSA.replace(
                    "KEY-----\n",
                    "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
                    1,
                ),
            },
            {"client_key": "encrypted"},
        ),
        (
            {"client_certificate": BROKEN, "client_key": DEPLOYER.key},
            {"client_certificate": "cannot be read"},
        ),
        (
            {
                "client_certificate": DEPLOYER.certificate,
                "client_key": BROKEN.replace("CERTIFICATE", "PRIVATE KEY"),
            },
            {"client_certificate": "it or client_key cannot be read"},
        ),
        (
            {"client_certificate": DEPLOYER.key, "client_key": DEPLOYER.certificate},
            {
                "client_certificate": "contains no PEM certificate",
                "client_key": "contains no PEM private key",
            },
        ),
        ({"ca_certificate": BROKEN}, {"ca_certificate": "cannot be read"}),
        ({"ca_certificate": f"{OURS.pem}{BROKEN}"}, {"ca_certificate": "cannot be read"}),
        ({"ca_certificate": OURS.pem.replace("\n", " ")}, {"ca_certificate": "cannot be read"}),
        ({"ca_certificate": OURS.pem[:-40]}, {"ca_certificate": "contains no PEM certificate"}),
        ({"ca_certificate": DEPLOYER.key}, {"ca_certificate": "contains no PEM certificate"}),
        (
            {"ca_certificate": OURS.pem.replace("\nMI", "\nMä")},
            {"ca_certificate": "characters outside ASCII"},
        ),
        ({"ca_certificate": "MIIB\nMIIB"}, {"ca_certificate": "neither PEM text nor a path"}),
        ({"ca_certificate": "M" * 401}, {"ca_certificate": "neither PEM text nor a path"}),
        ({"ca_certificate": "missing.pem"}, {"ca_certificate": "there is no file"}),
        ({"ca_certificate": "../outside.pem"}, {"ca_certificate": "out of the workspace"}),
        (
            {"ca_certificate": "/etc/ssl/certs/ca-certificates.crt"},
            {"ca_certificate": "out of the workspace"},
        ),
        ({"ca_certificate": "link.pem"}, {"ca_certificate": "out of the workspace"}),
        ({"ca_certificate": "empty.pem"}, {"ca_certificate": "contains no PEM certificate"}),
        ({"ca_certificate": "latin1.pem"}, {"ca_certificate": "not UTF-8"}),
        (
            {"client_certificate": "missing.pem", "client_key": "missing.pem"},
            {
                "client_certificate": "there is no file",
                "client_key": "nor the path of a file that can be read",
            },
        ),
        (
            {
                "client_certificate": BROKEN,
                "client_key": DEPLOYER.key,
                "ca_certificate": "missing.pem",
            },
            {"ca_certificate": "there is no file", "client_certificate": "cannot be read"},
        ),
    ],
)
def test_mistakes(tmp_path: Path, inputs: Mapping[str, str], wrong: dict[str, str]) -> None:
    """PEM text that is none, a file that is elsewhere, a key that does not fit: each names the
    input that has to change.
    """
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "outside.pem").write_text(OURS.pem)
    (workspace / "link.pem").symlink_to(tmp_path / "outside.pem")
    (workspace / "empty.pem").write_text("")
    (workspace / "latin1.pem").write_bytes(b"\xe9")
    _, found = looked_at(inputs, workspace)

    assert found.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words in found[name]


def test_every_mistake_at_once() -> None:
    """What is wrong with the one hides nothing that is wrong with the other."""
    _, mistakes = looked_at(
        {
            "ca_certificate": BROKEN,
            "client_certificate": DEPLOYER.certificate,
            "client_key": OTHER.key,
        }
    )

    assert set(mistakes) == {"ca_certificate", "client_key"}
    _, mistakes = looked_at(
        {"ca_certificate": BROKEN, "client_key": DEPLOYER.encrypted("secret").key}
    )
    assert set(mistakes) == {"ca_certificate", "client_certificate", "client_key"}
