"""Make m0's golden fixture: `python -m milestones.m0.golden.make`. Token ids by the `tokenizers` package.

The package is given the default model's own vocabulary and merges, read from the file by the `gguf` package, and SmolLM's
pre-tokenizer put together from its own parts: nothing of ours takes part.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

TEXTS = [
    "The capital of France is",
    "hello world",
    " leading and trailing  spaces  ",
    "I'm sure they're we'll you've he'd 'tis",
    "1234567890 3.14159 1e-9 ½ Ⅷ ٣ 四",
    "def f(x):\n    return [i**2 for i in range(x) if i % 3 == 0]\n\n\tif x:\r\n\t\tpass",
    '<div class="a">&amp;</div> // comment /* more */ #include <stdio.h>',
    "Il était une fois, dans un petit village, un garçon nommé Noël.",
    "Ελληνικά, русский язык, עברית, العربية, हिन्दी, ไทย",
    "日本語の文章です。中文字符，没有空格。한국어 문장",
    "🙂🙃 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ❤️ ☃",
    "e\u0301 vs \u00e9, ﬁ ligature, ß, İstanbul, ǅ",
    "a\tb\nc\rd\u000be\u000cf\u0085g\u00a0h\u2028i\u3000j",
    "   \n\n\n   \t\t  x",
    "....!!!???;;;:::---___***///\\\\\\",
    "CamelCaseAndSNAKE_CASE_and-kebab-case.and.dots",
    "https://example.org/a/b?c=d&e=%20f#g",
    "\u200b\u200d\ufeff\u202e invisible",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "<|im_start|>user\nhi<|im_end|>\n",
    "<|im_start|><|im_start|>x<|endoftext|><|not_special|>",
]


@lru_cache(maxsize=1)
def load_oracle(path: Path):
    """The `tokenizers` tokenizer of a GGUF file with SmolLM's pre-tokenizer."""
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = GGUFReader(path).fields
    tokens, merges, types = (fields[f"tokenizer.ggml.{k}"].contents() for k in ("tokens", "merges", "token_type"))
    pairs = [tuple(line.split(" ")) for line in merges]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, pairs, fuse_unk=False, byte_fallback=False))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, types, strict=True) if kind == 3])
    return tokenizer


def main() -> None:
    from milestones.m1.fetch import default_model
    from reference.golden import save

    oracle = load_oracle(default_model())
    arrays = {f"ids{n}": np.array(oracle.encode(text).ids, np.uint32) for n, text in enumerate(TEXTS)}
    save(
        Path(__file__).parent,
        "tokenize",
        arrays,
        made_by="tokenizers, with the vocabulary of SmolLM2-135M-Instruct.Q4_1.gguf",
        packages=["tokenizers", "gguf"],
        command="python -m milestones.m0.golden.make",
    )


if __name__ == "__main__":
    main()
