from __future__ import annotations

import os

import pytest

from convbench import recorded
from convbench.errors import ConvbenchError, StorageError
from convbench.session import Session


def test_a_finished_session_is_not_resumed(tmp_path):
    with Session.begin(tmp_path, "quick", ()) as first:
        assert os.environ[recorded.RUN] == first.run
        assert os.environ[recorded.FOLDER] == str(tmp_path)
    assert recorded.RUN not in os.environ
    with Session.begin(tmp_path, "quick", ()) as second:
        assert second.run != first.run
        assert not second.resumed


def interrupted(folder, *arguments):
    with pytest.raises(KeyboardInterrupt), Session.begin(folder, *arguments) as session:
        raise KeyboardInterrupt
    return session


def test_an_interrupted_session_is_resumed(tmp_path):
    first = interrupted(tmp_path, "quick", ("a",))
    with Session.begin(tmp_path, "quick", ("a",)) as second:
        assert second.resumed
        assert second.run == first.run


@pytest.mark.parametrize(
    ("preset", "arguments", "fresh"), [("full", (), False), ("quick", ("b",), False), ("quick", (), True)]
)
def test_another_run_is_not_resumed(tmp_path, preset, arguments, fresh):
    interrupted(tmp_path, "quick", ())
    with Session.begin(tmp_path, preset, arguments, fresh) as second:
        assert not second.resumed


def test_a_corrupt_session_file_starts_anew(tmp_path):
    (tmp_path / ".session").write_text('{"run": "x')
    with Session.begin(tmp_path, "quick", ()) as session:
        assert not session.resumed


def test_two_runs_at_once_on_the_same_results(tmp_path):
    with Session.begin(tmp_path, "quick", ()):  # noqa: SIM117
        with pytest.raises(ConvbenchError, match="another run is writing to"), Session.begin(tmp_path, "quick", ()):
            pass


def test_results_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write to"), Session.begin(tmp_path / "file" / "vm", "quick", ()):
        pass
