from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from talkcli import runtime
from talkcli.errors import InputError


def configured(code: str, **environment: str) -> str:
    """What ``code`` prints in a fresh process after ``configure()`` in exactly this environment."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    run = subprocess.run(
        [sys.executable, "-c", f"import os\nfrom talkcli import runtime\n{code}"],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        cwd=Path(runtime.__file__).parents[1],
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_idle_threads_sleep_and_thread_counts_agree(tmp_path: Path) -> None:
    names = ["OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"]
    code = f"runtime.configure(); print(*[os.environ[name] for name in {names!r}])"
    policy, products, *threads = configured(code, TALKCLI_CACHE=str(tmp_path)).split()
    assert policy == "passive"
    # Those of OpenBLAS spin, whatever the policy.
    assert products == "1"
    assert set(threads) == {str(runtime.available_cpus())}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_knows_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < runtime.process_age() <= time.clock_gettime(time.CLOCK_BOOTTIME)
    # Started a second after the system, under a name with blanks and brackets.
    stat = "1 (a (b) c) " + " ".join(["S", *"0" * 18, str(os.sysconf("SC_CLK_TCK")), *"9" * 9])
    monkeypatch.setattr(Path, "read_text", lambda self: stat)
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    age = runtime.process_age()
    assert before - 1 <= age <= time.clock_gettime(time.CLOCK_BOOTTIME) - 1


def test_age_without_proc_counts_from_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", fail)
    before = time.monotonic() - runtime._IMPORTED
    assert before <= runtime.process_age() <= time.monotonic() - runtime._IMPORTED


@pytest.mark.parametrize(("before", "expected"), [("", "spawn"), ("forkserver", "forkserver")])
def test_processes_start_afresh_unless_told_otherwise(
    before: str, expected: str, tmp_path: Path
) -> None:
    code = "import multiprocessing\n"
    code += f"multiprocessing.set_start_method({before!r})\n" if before else ""
    code += "runtime.configure(); runtime.configure(); print(multiprocessing.get_start_method())"
    assert configured(code, TALKCLI_CACHE=str(tmp_path)) == expected


def test_the_users_environment_wins(tmp_path: Path) -> None:
    code = (
        "runtime.configure()\n"
        "print(os.environ['OMP_NUM_THREADS'], os.environ['NUMBA_NUM_THREADS'],\n"
        "      os.environ['OMP_WAIT_POLICY'], os.environ['NUMBA_CACHE_DIR'])"
    )
    found = configured(
        code,
        TALKCLI_CACHE=str(tmp_path),
        OMP_NUM_THREADS="3,1",
        OMP_WAIT_POLICY="active",
        NUMBA_CACHE_DIR="/elsewhere",
    )
    assert found.split() == ["3,1", "3", "active", "/elsewhere"]


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"])
@pytest.mark.parametrize("wish", ["", "0", "many", "-2", "9" * 5000])
def test_a_senseless_thread_count_is_not_passed_on(wish: str, name: str, tmp_path: Path) -> None:
    code = "runtime.configure(); print(os.environ['NUMBA_NUM_THREADS'])"
    found = configured(code, TALKCLI_CACHE=str(tmp_path), **{name: wish})
    assert found == str(runtime.available_cpus())


def test_kernels_are_always_compiled(tmp_path: Path) -> None:
    code = "runtime.configure(); import numba; print(numba.config.DISABLE_JIT)"
    assert configured(code, TALKCLI_CACHE=str(tmp_path), NUMBA_DISABLE_JIT="1") == "0"


def test_a_cache_of_an_unknown_user_is_a_folder_like_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALKCLI_CACHE", "~nobody-by-this-name/cache")
    assert runtime.cache_root() == Path("~nobody-by-this-name/cache")


def test_cache_follows_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "chosen"))
    assert runtime.cache_root() == tmp_path / "chosen"
    assert (tmp_path / "chosen").is_dir()


def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cache is chosen and the system's own cannot be made."""
    (tmp_path / "file").write_text("in the way of a folder")
    monkeypatch.delenv("TALKCLI_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_cache_of_an_unusable_home_is_private(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_home(monkeypatch, tmp_path)
    fallback = runtime.cache_root()
    assert fallback.parent == tmp_path
    assert fallback.stat().st_mode & 0o777 == 0o700


def test_cache_laid_by_somebody_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_home(monkeypatch, tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"talkcli-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(InputError, match=r"it is a link.*TALKCLI_CACHE"):
        runtime.cache_root()


@pytest.mark.skipif(sys.platform != "linux", reason="the place is the system's")
@pytest.mark.parametrize("base", ["XDG_CACHE_HOME", "HOME"])
def test_without_a_choice_the_systems_cache_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: str
) -> None:
    for name in ("TALKCLI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(base, str(tmp_path))
    wanted = tmp_path / "talkcli" if base == "XDG_CACHE_HOME" else tmp_path / ".cache" / "talkcli"
    assert runtime.cache_root() == wanted and wanted.is_dir()


@pytest.mark.parametrize("below", ["", "cache", "a/b"])
def test_a_chosen_cache_that_is_a_file_is_named_and_no_other_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    chosen = tmp_path / "file" / below
    monkeypatch.setenv("TALKCLI_CACHE", str(chosen))
    with pytest.raises(InputError, match="cannot be used") as caught:
        runtime.cache_root()
    assert str(chosen) in str(caught.value) and "TALKCLI_CACHE" in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way of a folder"


@pytest.mark.parametrize("mask", [0, 0o002, 0o022, 0o077])
def test_nobody_else_can_write_into_a_new_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mask: int
) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))
    before = os.umask(mask)
    try:
        for _ in range(2):
            folder = runtime.kernel_cache(runtime.cache_root())
    finally:
        os.umask(before)
    for place in (folder, folder.parent):
        assert place.stat().st_mode & 0o777 == 0o700
    assert not folder.parents[1].stat().st_mode & 0o022


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("how", ["rights", "owner", "link"])
def test_kernels_are_not_run_from_where_others_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, which: int, how: str
) -> None:
    folder = runtime.kernel_cache(tmp_path)
    place = (folder, folder.parent, tmp_path)[which]
    if how == "rights":
        place.chmod(0o777)
    elif how == "owner":
        monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1)
        place = tmp_path if place.stat().st_uid else folder.parent  # what is looked at first
    elif which == 2:
        return  # whoever has linked the whole cache to another disk may do so
    else:
        place.rename(tmp_path / "moved")
        place.symlink_to(tmp_path / "moved")
    with pytest.raises(InputError, match="chmod go-w") as caught:
        runtime.kernel_cache(tmp_path)
    assert f"kept in {place}:" in str(caught.value)


def test_a_group_loses_its_right_to_write_kernels(tmp_path: Path) -> None:
    parent = runtime.kernel_cache(tmp_path).parent
    parent.chmod(0o775)
    runtime.kernel_cache(tmp_path)
    assert parent.stat().st_mode & 0o777 == 0o755


def test_changed_kernel_sources_get_a_new_cache_and_old_ones_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    (package / "render" / "cpu").mkdir(parents=True)
    helper = package / "render" / "cpu" / "helper.py"
    monkeypatch.setattr(runtime, "__file__", str(package / "runtime.py"))
    folders = []
    for version in range(5):
        helper.write_text("x" * (version + 1))
        folder = runtime.kernel_cache(tmp_path)
        assert runtime.kernel_cache(tmp_path) == folder
        os.utime(folder, (version, version))
        folders.append(folder)
    assert len(set(folders)) == 5
    left = set((tmp_path / "kernels").iterdir())
    assert left == set(folders[-3:])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
    ],
)
def test_a_containers_quota_limits_the_cores(
    files: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> str:
        name = path.as_posix().removeprefix("/sys/fs/cgroup/")
        if name not in files:
            raise FileNotFoundError(path)
        return files[name]

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert runtime.available_cpus() == expected


def test_native_logs_are_silenced_and_pythons_are_not() -> None:
    code = (
        "import os, sys; from talkcli import runtime\n"
        "os.write(2, b'native before\\n'); runtime.silence_native_logs()\n"
        "os.write(2, b'native after\\n'); print('python after', file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0
    assert run.stderr == "native before\npython after\n"
