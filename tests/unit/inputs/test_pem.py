"""Reading the PEM inputs."""

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


def read_inputs(
    inputs: Mapping[str, str], workspace: Path = WORKSPACE
) -> tuple[Tls, dict[str, str]]:
    """Return the TLS settings and each error by input; no input has two errors."""
    reader = Reader(inputs)
    tls = read_tls(reader, workspace)
    input_errors = {
        input_error.name: f"{input_error.problem} {input_error.remedy}"
        for input_error in reader.errors
    }
    assert len(input_errors) == len(reader.errors)
    return tls, input_errors


def read_valid_inputs(inputs: Mapping[str, str], workspace: Path = WORKSPACE) -> Tls:
    tls, input_errors = read_inputs(inputs, workspace)
    assert input_errors == {}
    return tls


def test_without_pem_inputs_tls_is_empty() -> None:
    assert read_valid_inputs({}) == Tls()


def test_pem_text_is_reduced_to_its_blocks() -> None:
    bag = (
        "Bag Attributes\r\n    friendlyName: "
        f"me\r\n{OURS.pem}subject=/CN=x\n{DEPLOYER.certificate}\n"
    )
    tls = read_valid_inputs({"ca_certificate": bag.replace("\n", "\r\n").replace("\r\r", "\r")})

    lines = [line.strip() for line in tls.ca.split("\n")]
    assert "\n".join(lines) == f"{OURS.pem.strip()}\n{DEPLOYER.certificate.strip()}\n"
    assert (tls.certificate, tls.key) == ("", Secret(""))


def test_client_certificate_has_its_key_and_chain() -> None:
    chain = f"{DEPLOYER.certificate}{OURS.pem}"
    tls = read_valid_inputs({"client_certificate": chain, "client_key": f"\n{DEPLOYER.key}"})

    assert tls.certificate.split() == chain.split()
    assert tls.key.reveal().split() == DEPLOYER.key.split()
    assert tls.ca == ""


def test_one_file_may_hold_certificate_and_key(tmp_path: Path) -> None:
    """A byte order mark is allowed."""
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
    tls = read_valid_inputs(both, tmp_path)

    assert tls == read_valid_inputs(texts)
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
                "client_key": "nor the path of a readable file",
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
def test_each_error_names_the_input_to_change(
    tmp_path: Path, inputs: Mapping[str, str], wrong: dict[str, str]
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "outside.pem").write_text(OURS.pem)
    (workspace / "link.pem").symlink_to(tmp_path / "outside.pem")
    (workspace / "empty.pem").write_text("")
    (workspace / "latin1.pem").write_bytes(b"\xe9")
    _, found = read_inputs(inputs, workspace)

    assert found.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words in found[name]


def test_all_errors_are_reported_at_once() -> None:
    _, input_errors = read_inputs(
        {
            "ca_certificate": BROKEN,
            "client_certificate": DEPLOYER.certificate,
            "client_key": OTHER.key,
        }
    )

    assert set(input_errors) == {"ca_certificate", "client_key"}
    _, input_errors = read_inputs(
        {"ca_certificate": BROKEN, "client_key": DEPLOYER.encrypted("secret").key}
    )
    assert set(input_errors) == {"ca_certificate", "client_certificate", "client_key"}
