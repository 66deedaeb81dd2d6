"""Who made a file, signed into it as a content credential (C2PA), and read back.
(sign, read_credential, parse_notes, find_signer, make_signer, Credential)

A credential proves that a file is as it was when it was signed, and by which certificate. It does
not prove that what the signer says is true, and anyone can take it off: so there is a watermark.
Source: C2PA Technical Specification 2.2; `section` below means its sections.
"""

from __future__ import annotations

import io
import json
import mimetypes
import os
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kisslab import __version__
from kisslab.records import Result, record

if TYPE_CHECKING:
    from c2pa import Context, Signer

# IPTC's words for media that a trained model made, or had a part in; platforms look for them.
SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = (SOURCES + "trainedAlgorithmicMedia", SOURCES + "compositeWithTrainedAlgorithmicMedia")
ACTIONS, RUN = "c2pa.actions.v2", "kisslab.run"  # labels of the two assertions, section 18
STRANGER = "signingCredential.untrusted"
PEM = serialization.Encoding.PEM
PLAIN = (PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
YEARS = 10  # that a development certificate is valid


@record
class Credential(Result):
    """What a file's content credential says, and what checking it says."""

    state: str  # "missing", "invalid", "valid" (by a stranger) or "trusted" (by one we know)
    signer: str  # the name in the certificate
    generated: bool  # whether it says that a trained model made the file
    notes: str  # JSON of what made the file; empty when another program signed it
    problems: tuple[str, ...]  # codes of the checks that failed, section 15.2

    @property
    def whole(self) -> bool:
        """Whether the file is as it was when it was signed, whoever signed it."""
        return self.state in ("valid", "trusted")


def sign(path: str | Path, notes: str, signer: str | Path | None = None) -> Path:
    """Sign a content credential into an .mp4, .png, .gif or .webp, in place.

    notes: JSON of what made the file, as its metadata has it. signer: see `find_signer`. Nothing is
    asked of the network, so no authority vouches for the time. ValueError: the certificate can't
    sign, or the file is of another kind. OSError: the file can't be read or written.
    """
    path, pem = Path(path), find_signer(signer)
    import c2pa  # a library of 23 MB: loaded only where a file is signed or read

    signed = io.BytesIO()
    try:
        with (
            open(path, "rb") as file,
            _key(pem) as key,
            c2pa.Builder(_manifest(notes), _context()) as builder,
        ):
            builder.sign(key, _mime(path), file, signed)
    except c2pa.C2paError as error:
        raise ValueError(f"{pem}: can't sign {path.name} with it ({error})") from error
    path.write_bytes(signed.getbuffer())
    return path


def read_credential(path: str | Path, anchors: str | Path | None = None) -> Credential:
    """The content credential of a file, checked without the network.

    anchors: a PEM file of certificates to trust, beside this machine's own. OSError: no such file;
    ValueError: no certificates are in `anchors`.
    """
    import c2pa

    path = Path(path)
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"{path}: No such file, or no ordinary one")
    try:
        with (
            open(path, "rb") as file,
            c2pa.Reader(_mime(path), file, context=_context(anchors)) as reader,
        ):
            return _credential(json.loads(reader.json()))
    except c2pa.C2paError as error:
        problem = str(error).partition(":")[0]
        state = "missing" if problem in ("ManifestNotFound", "NotSupported") else "invalid"
        return Credential(state, "", False, "", (problem,))
    except (LookupError, TypeError, AttributeError, RecursionError):
        return Credential("invalid", "", False, "", ("malformed",))


def parse_notes(notes: str) -> dict[str, Any]:
    """What a file's notes say; the run's record is under "run". ValueError if they are no notes."""
    try:
        said = json.loads(notes)
        if not isinstance(said["run"], dict):
            raise TypeError("the record is no dict")
    except (ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
        raise ValueError(f"these are no notes of a kisslab run ({error})") from error
    return said


def find_signer(path: str | Path | None = None) -> Path:
    """The PEM file to sign with: `path`, the one that KISSLAB_SIGNING names, or this machine's own.

    It holds a private key without a password and its certificates, the signer's first. This
    machine's own is made on first use in the user's cache; no one else has a reason to trust it.
    ValueError: no such file, or something else is in it.
    """
    named = path or os.environ.get("KISSLAB_SIGNING")
    pem = Path(named) if named else _own()
    if not named and not os.path.exists(pem):  # Path.exists raises where it may not look
        make_signer(pem)
    _read_signer(pem)
    return pem


def make_signer(path: str | Path) -> Path:
    """A new key and development certificate in one PEM file that only its owner can read.

    Of two processes that make it at once, the first one's stays. OSError: it can't be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent)  # only its owner can read it
        try:
            with open(handle, "wb") as file:
                file.write(_new_signer())
            _name_once(part, path)
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            f"{path}: the certificate that clips are signed with can't be kept there "
            f"({error.strerror}); set KISSLAB_CACHE to a folder that can be written, or "
            "KISSLAB_SIGNING to a PEM file of yours"
        ) from error
    return path


def _name_once(part: str, path: Path) -> None:
    """Rename it, unless another process was quicker."""
    try:
        os.link(part, path)  # unlike a rename, it fails where there is such a file
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links, exFAT for instance
        if not path.exists():
            os.replace(part, path)


def _own() -> Path:
    """Where this machine's own certificate lies."""
    place = os.environ.get("KISSLAB_CACHE")
    return (Path(place) if place else platformdirs.user_cache_path("kisslab")) / "signing.pem"


def _new_signer() -> bytes:
    """A key, its certificate and the issuer's, whose own key is thrown away: it issues no more.

    C2PA refuses a certificate that signed itself, and takes one that is for e-mail (section 14.5).
    """
    key, issuer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    leaf = _certificate("kisslab on this machine", key, issuer, issues=False)
    root = _certificate("issuer of kisslab on this machine", issuer, issuer, issues=True)
    signed = (
        leaf.add_extension(purpose, critical=False).sign(issuer, hashes.SHA256()),
        root.sign(issuer, hashes.SHA256()),
    )
    return key.private_bytes(*PLAIN) + b"".join(one.public_bytes(PEM) for one in signed)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, issues: bool
) -> x509.CertificateBuilder:
    """All that both certificates have, unsigned; `issues`: it may sign certificates, else data."""
    public, now = key.public_key(), datetime.now(timezone.utc)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "crl_sign", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    usage |= {"digital_signature": not issues, "key_cert_sign": issues}
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("issuer of kisslab on this machine"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(issues, 0 if issues else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
    )


def _name(name: str) -> x509.Name:
    """No name of a user or a machine: the certificate travels in every file."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-made, for development"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _read_signer(pem: Path) -> tuple[Any, bytes]:
    """The private key, and the certificates as PEM."""
    try:
        data = pem.read_bytes()
        key = serialization.load_pem_private_key(data, password=None)
        return key, _certificates(data)
    except (OSError, ValueError, TypeError) as error:  # TypeError: the key has a password
        raise ValueError(
            f"{pem}: can't be signed with ({error}); give a PEM file of a private key without a "
            "password and its certificates, or none, and kisslab makes one for this machine"
        ) from error


def _key(pem: Path) -> Signer:
    """c2pa's signer of a PEM file, without an authority for the time."""
    import c2pa

    key, chain = _read_signer(pem)
    private = key.private_bytes(*PLAIN)
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(_algorithm(key), chain, private, None))


def _algorithm(key: object) -> str:
    """C2PA's name for how a key signs, section 13.2."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {256: "es256", 384: "es384"}.get(key.curve.key_size, "es512")
    return "ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "ps256"


def _manifest(notes: str) -> dict[str, Any]:
    """What is signed beside the file's hash: that a trained model made it, which, and how."""
    agent = {"name": "kisslab", "version": __version__}
    made = {"action": "c2pa.created", "digitalSourceType": GENERATED[0], "softwareAgent": agent}
    models = parse_notes(notes)["run"].get("models", {})
    return {
        "claim_generator_info": [agent],
        "assertions": [
            {"label": ACTIONS, "data": {"actions": [made]}},
            {"label": RUN, "data": {"models": models, "notes": notes}},
        ],
    }


def _context(anchors: str | Path | None = None) -> Context:
    import c2pa

    return c2pa.Context(settings=c2pa.Settings.from_dict(_settings(anchors)))


def _settings(anchors: str | Path | None = None) -> dict[str, Any]:
    """No thumbnails, no network, and whom to trust: this machine, and `anchors`."""
    settings: dict[str, Any] = {
        # A hostile file may name an address to fetch its manifest from.
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    named = [Path(one) for one in (anchors, os.environ.get("KISSLAB_SIGNING")) if one]
    files = [*named, _own()] if os.path.exists(_own()) else named
    if files:
        trusted = b"".join(map(_anchors, files))
        settings["trust"] = {"user_anchors": trusted.decode()}
    return settings


def _anchors(path: Path) -> bytes:
    """The certificates in a PEM file. OSError or ValueError, which name it."""
    try:
        return _certificates(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: no certificates to trust ({error}); give a PEM file") from error


def _certificates(data: bytes) -> bytes:
    """The certificates in a PEM file's bytes, without the key in it. ValueError: there are none."""
    found = x509.load_pem_x509_certificates(data)
    return b"".join(one.public_bytes(PEM) for one in found)


def _credential(store: dict[str, Any]) -> Credential:
    """The active manifest of c2pa's report."""
    manifest = store["manifests"][store["active_manifest"]]
    data = {one["label"]: one.get("data", {}) for one in manifest.get("assertions", ())}
    actions = data.get(ACTIONS, data.get("c2pa.actions", {})).get("actions", ())
    problems = (one["code"] for one in store.get("validation_status", ()))
    return Credential(
        state=store["validation_state"].lower(),
        signer=manifest.get("signature_info", {}).get("common_name", ""),
        generated=any(action.get("digitalSourceType") in GENERATED for action in actions),
        notes=_notes(data.get(RUN)),
        problems=tuple(sorted({code for code in problems if code != STRANGER})),
    )


def _notes(data: Any) -> str:
    """The notes in the assertion of that name; empty where it is missing, or not as we write it."""
    notes = data.get("notes") if isinstance(data, dict) else None
    try:
        parse_notes(notes if isinstance(notes, str) else "")
    except ValueError:
        return ""
    return notes


def _mime(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
