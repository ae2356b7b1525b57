"""Cache of compiled kernels: one compilation per source, compiler and processor."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.engine.vllm_cpu import kernel_cache
from serve.engine.vllm_cpu.kernel_cache import CompilerError, cache_folder, load_library

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="this machine has no C compiler")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A C source, an empty cache and no compiler setting."""
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    file = tmp_path / "answer.c"
    file.write_text("int answer(void) { return 42; }", "utf-8")
    return file


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Libraries that were compiled."""
    compiled: list[Path] = []
    compile_ = kernel_cache._compile

    def record(source: Path, flags: Sequence[str], library: Path) -> Path:
        compiled.append(library)
        return compile_(source, flags, library)

    monkeypatch.setattr(kernel_cache, "_compile", record)
    return compiled


def libraries() -> list[Path]:
    return list(cache_folder().glob("*.so"))


def test_each_set_of_macros_gets_a_library_of_its_own(source: Path) -> None:
    source.write_text(
        "#ifdef OTHER\nint answer(void) { return 2; }\n#else\n"
        "int answer(void) { return 1; }\n#endif\n"
    )
    assert load_library(source).answer() == 1
    assert load_library(source, "OTHER").answer() == 2
    assert load_library(source).answer() == 1


def test_compiles_once_and_loads_from_the_cache_afterwards(
    source: Path, compilations: list[Path]
) -> None:
    assert [load_library(source).answer() for _ in range(3)] == [42, 42, 42]
    assert len(compilations) == len(libraries()) == 1
    assert [file.name for file in cache_folder().iterdir() if file.is_dir()] == []


def test_compiles_once_when_many_load_at_the_same_time(
    source: Path, compilations: list[Path]
) -> None:
    with ThreadPoolExecutor(4) as threads:
        loaded = threads.map(load_library, [source] * 4)
        assert [library.answer() for library in loaded] == [42] * 4
    assert len(compilations) == 1


def test_changed_source_is_compiled_again(source: Path) -> None:
    load_library(source)
    source.write_text("int answer(void) { return 7; }", "utf-8")
    assert load_library(source).answer() == 7
    assert len(libraries()) == 2


def test_another_processor_gets_a_library_of_its_own(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag stands for a processor: both change the macros of the instruction sets."""
    load_library(source)
    monkeypatch.setattr(kernel_cache, "FLAGS", ("-O3", "-fPIC", "-shared"))
    load_library(source)
    assert len(libraries()) == 2


def test_macros_name_the_instruction_sets(source: Path) -> None:
    macros = kernel_cache._run_compiler(*kernel_cache.FLAGS, *kernel_cache.MACROS)
    assert b"__VERSION__" in macros
    if "avx2" in Path("/proc/cpuinfo").read_text("utf-8"):
        assert b"__AVX2__" in macros


def test_without_a_usable_cache_it_compiles_for_the_process(
    source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FYE_CACHE", str(source))  # a file, so no folder can be made below it
    assert load_library(source).answer() == 42
    assert "kernel cache" in caplog.text


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_missing_or_failing_compiler_raises(
    compiler: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(CompilerError, match=compiler):
        load_library(source)


def test_a_source_with_an_error_raises_with_the_compilers_message(source: Path) -> None:
    source.write_text("int answer(void) { return undeclared; }", "utf-8")
    with pytest.raises(CompilerError, match="undeclared"):
        load_library(source)
    assert libraries() == []


def test_the_compiler_command_may_have_arguments(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "cc -DANSWER=1")
    source.write_text("int answer(void) { return ANSWER; }", "utf-8")
    assert load_library(source).answer() == 1
