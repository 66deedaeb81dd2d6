"""Oracle: a real server on this machine serves a file of known bytes, well or badly."""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kisslab import zoo
from kisslab.zoo import ModelMissing, find_model

CONTENT = bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    """Counts the requests; `behaviour` is what the path asks for."""

    daemon_threads = True
    requests = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests += 1
        if "missing" in self.path:
            return self.send_error(404)
        body = CONTENT[::-1] if "wrong" in self.path else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if "truncated" in self.path:
            body = body[: len(body) // 2]
        for start in range(0, len(body), 10_000):
            self.wfile.write(body[start : start + 10_000])
            time.sleep(0.05 if "slow" in self.path else 0)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture()
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server, a table of one model that it serves, and a cache of its own."""
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name in ("KISSLAB_MODELS", "KISSLAB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("KISSLAB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setattr(zoo, "data_path", lambda name: tmp_path / "packaged" / name)
        monkeypatch.setattr(zoo, "MODELS", (model(server, "good"),))
        yield server
        server.shutdown()


def model(server: Server, path: str) -> zoo.Model:
    return zoo.Model(
        name="tiny",
        file="tiny.bin",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="Free",
        permits="Everything.",
        commercial=True,
        address=f"http://127.0.0.1:{server.server_port}/{path}.bin",
    )


def put(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.bin").write_bytes(content)
    return folder / "tiny.bin"


def test_download_then_cache(server: Server, tmp_path: Path, capfd) -> None:
    path = find_model("tiny")
    assert path == tmp_path / "cache" / "tiny.bin" and path.read_bytes() == CONTENT
    assert "100%" in capfd.readouterr().err  # the progress bar
    assert find_model("tiny") == path and server.requests == 1
    assert list(path.parent.iterdir()) == [path]


def test_lookup_order(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KISSLAB_MODELS", str(tmp_path / "mine"))
    places = [tmp_path / "mine", tmp_path / "packaged" / "models", tmp_path / "cache"]
    for folder in reversed(places):  # each better place wins over the ones filled before
        newest = put(folder)
        assert find_model("tiny") == newest
    own = put(tmp_path / "own", b"my own weights")
    assert find_model("tiny", own) == own  # an explicit path is taken as it is
    for folder in places:  # and without the better ones the next is found
        assert find_model("tiny") == folder / "tiny.bin"
        shutil.rmtree(folder)
    assert server.requests == 0


def test_damaged_files_are_passed_over_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    put(tmp_path / "packaged" / "models", CONTENT[:-1])
    cached = put(tmp_path / "cache", CONTENT[::-1])  # the right size, the wrong bytes
    assert find_model("tiny") == cached and cached.read_bytes() == CONTENT


def test_a_file_that_changes_is_checked_again(server: Server, tmp_path: Path) -> None:
    put(tmp_path / "packaged" / "models")
    assert find_model("tiny").parent.name == "models"
    put(tmp_path / "packaged" / "models", CONTENT[::-1])
    assert find_model("tiny").parent.name == "cache"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("wrong", "does not match the known hash"),
        ("truncated", "fetching it failed"),
        ("missing", "404"),
    ],
)
def test_bad_transfers_are_one_plain_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    monkeypatch.setattr(zoo, "MODELS", (model(server, path),))
    with pytest.raises(ModelMissing) as raised:
        find_model("tiny")
    check_message(str(raised.value), tmp_path, why)
    assert list((tmp_path / "cache").iterdir()) == []


def check_message(message: str, tmp_path: Path, why: str) -> None:
    """It names the file, why, everywhere that was looked, and what to do."""
    for words in ("tiny.bin is needed", why, "KISSLAB_MODELS", "http://127.0.0.1", "0.1 MB"):
        assert words in message, message
    for place in (tmp_path / "packaged" / "models", tmp_path / "cache"):
        assert f"{place / 'tiny.bin'}: not there" in message


def test_offline_forbids_fetching(server: Server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KISSLAB_OFFLINE", "1")
    with pytest.raises(ModelMissing) as raised:
        find_model("tiny")
    check_message(str(raised.value), tmp_path, "KISSLAB_OFFLINE=1 forbids fetching")
    assert server.requests == 0 and not (tmp_path / "cache").exists()
    put(tmp_path / "cache")
    assert find_model("tiny").is_file()


def test_damage_is_named_when_nothing_can_be_fetched(server: Server, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KISSLAB_OFFLINE", "1")
    bad = put(tmp_path / "cache", b"half")
    with pytest.raises(ModelMissing, match=r"tiny\.bin: damaged, its sha256 is wrong"):
        find_model("tiny")
    assert bad.read_bytes() == b"half"


def test_no_connection_is_plain(server: Server, tmp_path: Path, monkeypatch) -> None:
    nobody = replace(model(server, "good"), address="http://127.0.0.1:9/tiny.bin")
    monkeypatch.setattr(zoo, "MODELS", (nobody,))
    with pytest.raises(ModelMissing) as raised:
        find_model("tiny")
    check_message(str(raised.value), tmp_path, "127.0.0.1 can't be reached; is there internet?")


def test_unwritable_cache(server: Server, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("KISSLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelMissing, match="fetching it failed"):
        find_model("tiny")


RUN = """
import resource, sys
from kisslab import zoo
from pathlib import Path
address, size, sha256 = sys.argv[1:4]
zoo.MODELS = (zoo.Model("tiny", "tiny.bin", int(size), sha256, "Free", "", True, address),)
zoo.data_path = lambda name: Path("/nowhere") / name
if len(sys.argv) > 4:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
try:
    print(zoo.find_model("tiny"))
except zoo.ModelMissing as error:
    print("ModelMissing", error)
"""


def start(served: zoo.Model, *limit: str) -> subprocess.Popen:
    arguments = [served.address, str(served.size), served.sha256, *limit]
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=os.environ.copy())


def test_processes_at_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "tiny.bin"
    running = [start(model(server, "slow")) for _ in range(3)]
    seen = set()
    while any(process.poll() is None for process in running):
        if path.exists():
            seen.add(hashlib.sha256(path.read_bytes()).hexdigest())  # never a half-written file
    for process in running:
        out, err = process.communicate()
        assert out.strip() == str(path), err
    assert seen <= {model(server, "slow").sha256} and list(path.parent.iterdir()) == [path]


def test_full_disk(server: Server, tmp_path: Path) -> None:
    out, err = start(model(server, "good"), "5000").communicate()  # no file may exceed 5 kB
    assert out.startswith("ModelMissing tiny.bin is needed, and fetching it failed"), err
    assert list((tmp_path / "cache").iterdir()) == []


def test_killed_while_fetching(server: Server, tmp_path: Path) -> None:
    process = start(model(server, "slow"))
    while not server.requests:
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.communicate()
    assert not (tmp_path / "cache" / "tiny.bin").exists()
    assert find_model("tiny").read_bytes() == CONTENT


def test_unknown_names_and_paths(server: Server) -> None:
    with pytest.raises(ValueError, match="no model named 'huge'; there are tiny"):
        find_model("huge")
    with pytest.raises(ModelMissing, match=r"/nowhere: no such file; leave the path out"):
        find_model("tiny", "/nowhere")


def test_licence_is_said_once(server: Server, tmp_path: Path, monkeypatch, caplog) -> None:
    strict = replace(model(server, "good"), commercial=False, permits="Research only.", name="r")
    monkeypatch.setattr(zoo, "MODELS", (strict, model(server, "good")))
    with caplog.at_level(logging.INFO, logger="kisslab"):
        find_model("tiny")
        assert caplog.messages == []
        find_model("r")
        find_model("r")
    assert caplog.messages == ["tiny.bin: Research only. (Free)"]


def test_table_says_where_everything_is(server: Server, tmp_path: Path) -> None:
    assert [row.place for row in zoo.models_table()] == ["not here"]
    bad = put(tmp_path / "cache", b"half")
    assert [row.place for row in zoo.models_table()] == [f"{bad}: damaged, its sha256 is wrong"]
    good = put(tmp_path / "packaged" / "models")
    (row,) = zoo.models_table()
    assert (row.name, row.file, row.size, row.place) == ("tiny", "tiny.bin", "0.1 MB", str(good))
    assert server.requests == 0


def test_table_entries_are_complete() -> None:
    assert len({m.name for m in zoo.MODELS}) == len({m.file for m in zoo.MODELS}) == len(zoo.MODELS)
    for m in zoo.MODELS:
        assert len(m.sha256) == 64 and int(m.sha256, 16) and m.size > 0
        assert m.address.startswith("https://") and m.address.endswith(m.file)
        assert m.licence and m.permits.endswith(".")


def test_the_real_landmarker_is_the_one_in_the_table(models: Path) -> None:
    assert find_model("face_landmarker") == models / "face_landmarker.task"


def test_data_path_names_other_folders() -> None:
    assert zoo.data_path("", "notebooks") == Path(zoo.__file__).parent.parent / "notebooks"


def test_data_path_in_a_checkout_and_in_a_wheel(tmp_path: Path) -> None:
    package = Path(zoo.__file__).parent
    shutil.copytree(package, tmp_path / "kisslab", ignore=shutil.ignore_patterns("data"))
    code = "from kisslab import zoo; print(zoo.data_path('a/b.txt'))"
    for data in (tmp_path / "data", tmp_path / "kisslab" / "data"):
        data.mkdir()
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert run.stdout.strip() == str(data / "a" / "b.txt"), run.stderr
