"""Credentials and what `verify` says. Oracle: C2PA's own library checks what was signed with it."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from typer.testing import CliRunner

from kisslab import provenance, zoo
from kisslab.bench.nasty import EPS, ODD_RUNS, film
from kisslab.bench.trust import WAYS, strip
from kisslab.cli import app
from kisslab.formats import WRITERS
from kisslab.photo import load_photo
from kisslab.provenance import find_signer, make_signer, parse_notes, read_credential, sign
from kisslab.verify import Verification, _frames, verify
from kisslab.video import Clip, make_clip, message_of, read_notes, read_record, save
from kisslab.watermark import SMALLEST

SUFFIXES = ("mp4", "png", "gif", "webp")
RUN = {"style": "tender", "consent": "agreed", "models": {"kiss": "0" * 64}, "fps": 24.0}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """A machine that has no certificate yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KISSLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("KISSLAB_SIGNING", raising=False)
        yield


@pytest.fixture(scope="module")
def clip() -> Clip:
    rgb = (load_photo(zoo.data_path("portraits/couple_02.jpg")).rgb * 255).astype(np.uint8)
    return make_clip(np.stack([np.roll(rgb, 3 * t, axis=1) for t in range(6)]), 24.0)


@pytest.fixture(scope="module", params=SUFFIXES)
def saved(request, clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(clip, tmp_path_factory.mktemp("saved") / f"kiss.{request.param}", run_record=RUN)


@pytest.fixture(scope="module")
def mp4(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(clip, tmp_path_factory.mktemp("saved") / "kiss.mp4", run_record=RUN)


def states(seen: Verification) -> dict[str, str]:
    return {finding.name: finding.state for finding in seen.findings}


def test_save_signs_and_this_machine_trusts_itself(saved: Path) -> None:
    credential = read_credential(saved)
    assert credential.state == "trusted" and credential.generated and not credential.problems
    assert json.loads(credential.notes)["run"] == RUN == read_record(saved)
    assert credential.notes == read_notes(saved)


def test_c2pa_itself_reads_models_and_source(mp4: Path) -> None:
    import c2pa

    with c2pa.Reader("video/mp4", mp4.open("rb")) as reader:
        store = json.loads(reader.json())
    assertions = {
        a["label"]: a["data"] for a in store["manifests"][store["active_manifest"]]["assertions"]
    }
    (action,) = assertions["c2pa.actions.v2"]["actions"]
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert assertions["kisslab.run"]["models"] == RUN["models"]
    assert store["validation_state"] == "Valid"
    assert [s["code"] for s in store["validation_status"]] == ["signingCredential.untrusted"]


def test_verify_finds_all_four(saved: Path) -> None:
    seen = verify(saved)
    assert seen.whole and set(states(seen).values()) == {"there"}, seen.findings
    assert "as kisslab made it" in seen.verdict
    assert seen.watermark.message == json.loads(seen.notes)["watermark"]


@pytest.mark.parametrize("size", [(180, 241), (181, 240), (181, 241)])
def test_an_odd_mp4_is_whole(size: tuple[int, int], clip: Clip, tmp_path: Path) -> None:
    """H.264 has even sizes only: one more column must not move the mark."""
    small = make_clip(clip.frames[:2, : size[0], : size[1]], 24.0)
    seen = verify(save(small, tmp_path / "odd.mp4", run_record=RUN))
    assert seen.whole, seen.findings


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_long_clip_that_changes_is_whole(suffix: str, tmp_path: Path) -> None:
    """Ten seconds, of four couples one after the other."""
    scenes = [load_photo(zoo.data_path(f"portraits/couple_0{k}.jpg")).rgb for k in (1, 2, 3, 4)]
    small = [cv2.resize((rgb * 255).astype(np.uint8), (180, 128)) for rgb in scenes]
    clip = make_clip(np.repeat(np.stack(small), 60, axis=0), 24.0)
    seen = verify(save(clip, tmp_path / f"long.{suffix}", run_record=RUN))
    assert seen.whole, seen.findings


def test_a_strange_machine_sees_it_whole_but_trusts_nobody(
    mp4: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = find_signer()
    monkeypatch.setenv("KISSLAB_CACHE", str(tmp_path))
    assert read_credential(mp4).state == "valid"
    assert "does not know" in verify(mp4).findings[0].sentence
    assert read_credential(mp4, anchors=pem).state == "trusted"
    assert not list(tmp_path.iterdir())  # looking makes no certificate


@pytest.mark.parametrize("way", WAYS)
def test_what_was_done_to_a_file_is_said(way: str, mp4: Path, tmp_path: Path) -> None:
    tamper, expected = WAYS[way]
    out = tmp_path / "tampered.mp4"
    tamper(mp4, out)
    seen = verify(out)
    assert not seen.whole and expected.items() <= states(seen).items(), seen.findings
    word = "changed since" if "wrong" in states(seen).values() else "lost on its way: credential"
    assert word in seen.verdict


def test_a_foreign_file_has_nothing(clip: Clip, tmp_path: Path) -> None:
    out = tmp_path / "holiday.mp4"
    WRITERS[".mp4"](out, iter(clip.frames), clip.fps, "holiday", 85)
    seen = verify(out)
    assert set(states(seen).values()) == {"missing"} and seen.verdict.startswith("foreign")
    assert "proves nothing" in seen.verdict


def test_a_watermark_without_a_record_is_of_nobody_knows_what(mp4: Path, tmp_path: Path) -> None:
    strip(mp4, tmp_path / "bare.mp4")
    seen = verify(tmp_path / "bare.mp4")
    assert seen.findings[2].sentence == f"{seen.watermark.message}; of which record is unknown"


def test_the_record_of_another_run_does_not_fit_the_watermark(mp4: Path, tmp_path: Path) -> None:
    """Not even if it says that it has this watermark."""
    strip(mp4, tmp_path / "a.mp4", read_notes(mp4).replace("agreed", "forged"))
    seen = verify(tmp_path / "a.mp4")
    assert "forged" in seen.findings[1].sentence and "another run" in seen.findings[2].sentence
    assert message_of(read_notes(mp4)) == seen.watermark.message


def test_a_small_clip_does_not_claim_a_watermark(clip: Clip, tmp_path: Path) -> None:
    for side, has in ((SMALLEST - 1, False), (SMALLEST, True)):
        small = make_clip(clip.frames[:, 90:][:, :side, :200], 24.0)
        path = save(small, tmp_path / "small.png", run_record=RUN)
        assert bool(json.loads(read_notes(path))["watermark"]) is has
        assert states(verify(path))["watermark"] == ("there" if has else "none")
        assert verify(path).whole


@pytest.mark.parametrize("notes", ODD_RUNS)
def test_notes_of_another_shape_are_none(notes: str, clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    WRITERS[".mp4"](path, iter(clip.frames), 24.0, notes, 85)
    verify(path)
    try:
        said = parse_notes(notes)
    except ValueError:
        assert verify(path).notes == ""
        with pytest.raises(ValueError, match="carries no record"):
            read_record(path)
    else:
        assert read_record(path) == said["run"]


def nested(depth: int) -> list:
    return [nested(depth - 1)] if depth else []


ODD_DATA = ([1], {"notes": []}, {"notes": nested(60)}, {"notes": "[" * 100_000}, *ODD_RUNS)


@pytest.mark.parametrize("data", ODD_DATA)
def test_others_may_sign_what_they_like(
    data: object, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = provenance._manifest('{"run": {}}')
    manifest["assertions"][1]["data"] = {"notes": data} if isinstance(data, str) else data
    monkeypatch.setattr(provenance, "_manifest", lambda notes: manifest)
    path = tmp_path / "odd.png"
    WRITERS[".png"](path, iter(clip.frames[:1]), 24.0, "", 85)
    seen = verify(sign(path, ""))
    assert seen.credential.whole and states(seen)["record"] == "missing"


@pytest.mark.parametrize("store", ["[]", "{}", '{"manifests": 5, "active_manifest": "a"}'])
def test_a_manifest_of_no_known_shape_is_invalid(store: str, mp4: Path, monkeypatch) -> None:
    import c2pa

    monkeypatch.setattr(c2pa.Reader, "json", lambda reader: store)
    assert read_credential(mp4).problems == ("malformed",)


def test_no_picture_is_handed_to_an_interpreter(tmp_path: Path, monkeypatch) -> None:
    """Pillow opens PostScript with the first `gs` that it finds, whatever the file's name says."""
    gs, trap = tmp_path / "gs", tmp_path / "trap"
    gs.write_text(f"#!/bin/sh\ntouch {trap}\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # it looks anew
    for suffix in ("gif", "png", "webp", "jpg"):
        (tmp_path / f"script.{suffix}").write_bytes(EPS)
        with pytest.raises(ValueError, match="can't be read as a picture"):
            verify(tmp_path / f"script.{suffix}")
    assert not trap.exists()


def test_too_many_pixels_are_refused_and_too_many_frames_left_out(tmp_path: Path) -> None:
    (tmp_path / "large.gif").write_bytes(film("GIF", 9000))
    with pytest.raises(ValueError, match="9000 x 9000 pixels are too many"):
        verify(tmp_path / "large.gif")
    (tmp_path / "many.gif").write_bytes(film("GIF", 3000, 8))
    frames = np.stack(_frames(tmp_path / "many.gif"))
    assert frames.shape == (5, 640, 640, 3)  # 45 million pixels; a sixth frame's would be too many


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3, 0.6, 0.95])
def test_a_film_that_is_cut_off_is_changed(share: float, mp4: Path, tmp_path: Path) -> None:
    whole, cut = mp4.read_bytes(), tmp_path / "cut.mp4"
    cut.write_bytes(whole[: round(share * len(whole))])
    if share < 0.1:  # the credential itself is cut
        with pytest.raises(ValueError, match="can't be read as a video"):
            verify(cut)
        return
    assert verify(cut).verdict.startswith("changed since it was made")


def test_frames_before_the_cut_are_looked_at(clip: Clip, tmp_path: Path) -> None:
    whole = save(clip, tmp_path / "whole.gif", run_record=RUN).read_bytes()
    (tmp_path / "cut.gif").write_bytes(whole[: len(whole) * 6 // 10])
    seen = verify(tmp_path / "cut.gif")
    assert states(seen)["credential"] == "wrong" and states(seen)["visible mark"] == "there"


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 5), (1, 400), (400, 1)])
def test_a_tiny_picture_has_nothing(size: tuple[int, int], suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", size, "red").save(tmp_path / f"tiny.{suffix}")
    assert set(states(verify(tmp_path / f"tiny.{suffix}")).values()) == {"missing"}


def test_a_tiny_clip_gets_no_mark(clip: Clip, tmp_path: Path) -> None:
    path = save(make_clip(clip.frames[:, :5, :5], 24.0), tmp_path / "tiny.gif", run_record=RUN)
    assert json.loads(read_notes(path))["mark"] == ""


def test_of_a_telephone_s_jpeg_the_thumbnail_is_left_out(tmp_path: Path) -> None:
    large, small = Image.new("RGB", (80, 60), "red"), Image.new("RGB", (40, 30), "red")
    large.save(tmp_path / "two.jpg", format="MPO", save_all=True, append_images=[small])
    assert np.shape(_frames(tmp_path / "two.jpg")) == (1, 60, 80, 3)
    assert verify(tmp_path / "two.jpg").verdict.startswith("foreign")


def test_marks_that_were_left_out_are_not_lost(clip: Clip, tmp_path: Path) -> None:
    bare = save(clip, tmp_path / "bare.mp4", mark=False, watermark=False, run_record=RUN)
    found = states(verify(bare))
    assert found == {"credential": "there", "record": "there", "watermark": "none",
                     "visible mark": "none"}  # fmt: skip
    assert verify(bare).whole and "as kisslab made it" in verify(bare).verdict
    strip(bare, tmp_path / "unsigned.mp4", read_notes(bare))  # who says so now?
    found = states(verify(tmp_path / "unsigned.mp4"))
    assert found["watermark"] == found["visible mark"] == "missing"


@pytest.mark.parametrize("claims", [True, False])
def test_another_tool_s_credential_is_foreign(
    claims: bool, mp4: Path, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = provenance._manifest('{"run": {}}')
    del manifest["assertions"][1]
    if not claims:
        camera = provenance.SOURCES + "digitalCapture"
        manifest["assertions"][0]["data"]["actions"][0]["digitalSourceType"] = camera
    monkeypatch.setattr(provenance, "_manifest", lambda notes: manifest)
    out = tmp_path / "holiday.mp4"
    WRITERS[".mp4"](out, iter(clip.frames), clip.fps, "holiday", 85)
    seen = verify(sign(out, ""))
    assert states(seen)["credential"] == "foreign" and not seen.whole
    assert seen.verdict.startswith("foreign: signed by another tool")
    strip(mp4, tmp_path / "signed anew.mp4", read_notes(mp4))
    seen = verify(sign(tmp_path / "signed anew.mp4", ""))
    assert seen.verdict == "made with kisslab, and lost on its way: credential"


def test_the_command_lists_what_it_finds(mp4: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(mp4)])
    assert done.exit_code == 0 and "as kisslab made it" in done.output
    strip(mp4, tmp_path / "cut.mp4")
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "cut.mp4")])
    assert done.exit_code == 1 and "lost on its way: credential, record" in done.output
    for name, words in (("missing.mp4", "No such file"), ("text.mp4", "can't be read")):
        (tmp_path / "text.mp4").write_text("no video")
        done = CliRunner().invoke(app, ["verify", str(tmp_path / name)])
        assert done.exit_code == 2 and words in done.output


def test_one_bad_file_does_not_hide_the_others(mp4: Path, tmp_path: Path) -> None:
    bad, bare = tmp_path / "text.mp4", tmp_path / "bare.mp4"
    bad.write_text("no video")
    strip(mp4, bare)
    done = CliRunner().invoke(app, ["verify", str(bare), str(bad), str(mp4)])
    assert done.exit_code == 2 and f"{bad}: can't be read" in done.output
    assert f"{bare}: made with kisslab" in done.output and f"{mp4}: as kisslab" in done.output
    assert CliRunner().invoke(app, ["verify", str(bare), str(mp4)]).exit_code == 1


def test_anchors_that_are_none_are_named(mp4: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    done = CliRunner().invoke(app, ["verify", "--trust", str(tmp_path / "text.pem"), str(mp4)])
    assert done.exit_code == 2 and f"{tmp_path / 'text.pem'}: no certificates" in done.output


def test_the_key_is_its_owner_s_alone_and_names_nobody(tmp_path: Path) -> None:
    pem = make_signer(tmp_path / "deep" / "signing.pem")
    assert pem.stat().st_mode & 0o777 == 0o600 and list(pem.parent.iterdir()) == [pem]
    leaf, root = x509.load_pem_x509_certificates(pem.read_bytes())
    leaf.verify_directly_issued_by(root)
    name = leaf.subject.rfc4514_string()
    assert os.uname().nodename not in name and Path.home().name not in name.split()
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    old = pem.read_bytes()
    assert make_signer(pem).read_bytes() == old  # what is there stays


def test_processes_that_start_at_once_share_one_certificate(tmp_path: Path) -> None:
    pem = tmp_path / "signing.pem"
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(make_signer, [pem] * 12))
    find_signer(pem)
    assert list(tmp_path.iterdir()) == [pem]


def test_without_hard_links_the_certificate_is_renamed(tmp_path: Path, monkeypatch) -> None:
    def refused(*names: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # as exFAT says

    monkeypatch.setattr(os, "link", refused)
    pem = make_signer(tmp_path / "signing.pem")
    old = find_signer(pem).read_bytes()
    assert make_signer(pem).read_bytes() == old and list(tmp_path.iterdir()) == [pem]


def test_your_own_certificate_signs(clip: Clip, tmp_path: Path, monkeypatch) -> None:
    own = make_signer(tmp_path / "mine.pem")
    path = save(clip, tmp_path / "kiss.gif", run_record=RUN, signer=own)
    assert read_credential(path).state == "valid"
    monkeypatch.setenv("KISSLAB_SIGNING", str(own))
    assert read_credential(path).state == "trusted"
    assert read_credential(save(clip, tmp_path / "env.gif")).state == "trusted"


def test_what_is_no_certificate_is_refused_before_any_work(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no key")
    locked = tmp_path / "key-only.pem"
    locked.write_bytes(find_signer().read_bytes().split(b"-----BEGIN CERT")[0])
    for pem in (tmp_path / "text.pem", tmp_path / "missing.pem", locked):
        with pytest.raises(ValueError, match=r"can't be signed with.*kisslab makes one"):
            save(clip, tmp_path / "kiss.mp4", signer=pem)
    assert not (tmp_path / "kiss.mp4").exists()


def test_a_cache_that_can_t_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="set KISSLAB_CACHE to a folder"):
        make_signer(tmp_path / "file" / "signing.pem")


def test_no_manifest_is_fetched_from_an_address_in_the_file(mp4: Path) -> None:
    context = json.dumps(provenance._settings())
    assert '"remote_manifest_fetch": false' in context and '"ocsp_fetch": false' in context


def test_only_known_kinds_are_signed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(ValueError, match=r"can't sign notes\.txt"):
        sign(tmp_path / "notes.txt", '{"run": {}}')
