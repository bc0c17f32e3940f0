"""Everything asv needs from this project, loaded by asv.conf.json: an environment, a run session, offline pages.

asv 0.6.6 and asv_runner 0.3.2 are pinned: this module wraps three of asv's own methods, Run.run, Profile.run and
Publish.run.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from asv.commands.asv_profiling import Profile
from asv.commands.publish import Publish
from asv.commands.run import Run
from asv.environment import ExistingEnvironment, get_env_name
from asv.util import UserError

from convbench import machine, recorded
from convbench.errors import ConvbenchError
from convbench.grid import get_preset
from convbench.session import Session, asv_machine


class Installed(ExistingEnvironment):
    """The environment that asv itself runs in, under a name that is the same on every machine and holds no path."""

    tool_name = "installed"

    def __init__(self, conf: Any, executable: str, requirements: Any, tagged_env_vars: Any) -> None:
        super().__init__(conf, "same", requirements, tagged_env_vars)

    @property
    def python(self) -> str:
        return f"{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def name(self) -> str:
        return str(get_env_name(self.tool_name, self.python, {}, self._tagged_env_vars))

    @property
    def requirements(self) -> dict[str, str]:
        """Versions of the libraries that are timed: asv keeps them with the results, and can tell them apart."""
        return machine.timed_versions()

    @classmethod
    def matches(cls, python: str) -> bool:
        return False  # chosen by name only: asv run -E installed

    def run(self, args: list[str], **kwargs: Any) -> Any:
        env = {**(kwargs.pop("env", None) or os.environ), **self._global_env_vars}
        return super().run(args, env=env, **kwargs)


_run = Run.run.__func__


@functools.wraps(_run)
def _run_in_session(cls: type[Run], conf: Any, *args: Any, bench: Any = None, **kwargs: Any) -> Any:
    """asv's run, with a default choice of cells, and a session that can be resumed."""
    name = os.environ.setdefault(recorded.PRESET, "quick")
    try:
        preset = get_preset(name)
        kwargs["machine"] = asv_machine(kwargs.get("machine"))
        folder = Path(conf.results_dir).absolute() / kwargs["machine"]
        if not bench:
            bench = [s.regex() for s in preset.slices]
        if kwargs.get("set_commit_hash"):
            from asv.repo import get_repo

            os.environ["ASV_COMMIT"] = get_repo(conf).get_hash_from_name(kwargs["set_commit_hash"])
        if recorded.RUN in os.environ:  # `convbench run` has begun the session
            return _run(cls, conf, *args, bench=bench, **kwargs)
        with Session.begin(
            folder, preset=name, arguments=(str(args), str(bench), str(sorted(map(str, kwargs.items()))))
        ):
            return _run(cls, conf, *args, bench=bench, **kwargs)
    except ConvbenchError as error:
        raise UserError(str(error)) from error


Run.run = classmethod(_run_in_session)  # type: ignore[arg-type]


_profile = Profile.run.__func__


@functools.wraps(_profile)
def _profile_apart(cls: type[Profile], conf: Any, *args: Any, **kwargs: Any) -> Any:
    """asv's profile; the cell is measured for it, but belongs to no commit, so that nothing is kept."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[recorded.FOLDER] = folder
        try:
            return _profile(cls, conf, *args, **kwargs)
        finally:
            del os.environ[recorded.FOLDER]


Profile.run = classmethod(_profile_apart)  # type: ignore[arg-type]


_publish = Publish.run.__func__


@functools.wraps(_publish)
def _publish_and_mend(cls: type[Publish], conf: Any, *args: Any, **kwargs: Any) -> Any:
    """asv's publish, then its pages made to work without a network and linked with reports/index.html."""
    from convbench.report.asv_pages import mend  # loads the report's libraries, which `asv run` does not need

    result = _publish(cls, conf, *args, **kwargs)
    try:
        mend(Path(conf.html_dir))
    except ConvbenchError as error:
        raise UserError(str(error)) from error
    return result


Publish.run = classmethod(_publish_and_mend)  # type: ignore[arg-type]
