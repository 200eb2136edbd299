"""The spec of a conversation: its record, its cache, its endings."""

from __future__ import annotations

import json

import pytest

from milestones.errors import UserError
from milestones.m3.sampler import Settings
from milestones.m7.chat import Chat
from milestones.m7.engine import Engine
from milestones.m7.loop import Loop


@pytest.fixture(scope="module")
def engine(model_path) -> Engine:
    return Engine(model_path)


def answer(chat, text, **options):
    return "".join(token.text for token in chat.reply(text, **options))


def test_a_turn_prefills_only_what_is_new(engine):
    """The second turn feeds the end of the answer, the new message and the next answer's beginning: nothing before."""
    chat = Chat(engine)
    first = answer(chat, "Say hello.", max_tokens=12)
    held = list(chat._loop.ids)
    ended = engine.figures.reason == "end-of-text"
    assert answer(chat, "And goodbye.", max_tokens=4)
    new = engine.tokenizer.encode("<|im_end|>\n<|im_start|>user\nAnd goodbye.<|im_end|>\n<|im_start|>assistant\n")
    assert engine.figures.prompt_tokens == len(new) + (0 if ended else 1), "a last token that was not fed yet is new too"
    assert chat._loop.ids[: len(held)] == held
    assert [m["role"] for m in chat.messages] == ["user", "assistant"] * 2 and chat.messages[1]["content"] == first


def test_the_cache_changes_nothing(engine):
    """Three turns give what a loop gives that computes each conversation from its ids alone."""
    chat = Chat(engine)
    for text in ("What is the capital of France?", "And of Italy?", "Which is larger?"):
        got = [token.id for token in chat.reply(text, max_tokens=10)]
        whole = chat._ids[: len(chat._ids) - len([i for i in got if i not in engine.tokenizer.ends])]
        fresh = [choice.id for choice in Loop(engine.gpu, engine.model).generate(whole, 10)]
        assert got == fresh[: len(got)]


def test_an_answer_cut_off_by_the_caller_counts_as_far_as_it_went(engine):
    """Ctrl-C: the generator is closed in the middle; the next turn goes on from there."""
    chat = Chat(engine)
    stream = chat.reply("Count from one to twenty.", max_tokens=50)
    seen = "".join(next(stream).text for _ in range(6))
    stream.close()
    assert chat.messages[-1] == {"role": "assistant", "content": seen}
    assert answer(chat, "Go on.", max_tokens=3)
    assert engine.figures.prompt_tokens < 20, "the cache was kept"


def test_an_answer_cut_off_before_its_first_token_was_never_asked_for(engine, monkeypatch):
    chat = Chat(engine)
    answer(chat, "Hello.", max_tokens=3)
    before = [dict(m) for m in chat.messages]
    whole = engine.model.forward

    def interrupted(*args, **kwargs):
        whole(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.model, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        answer(chat, "Are you there?")
    monkeypatch.undo()
    assert chat.messages == before
    fresh = Chat(engine)
    assert answer(fresh, "Hello.", max_tokens=3) == before[-1]["content"]
    assert answer(chat, "Well?", max_tokens=8) == answer(fresh, "Well?", max_tokens=8)


def test_reset_forgets_all_but_the_system_message(engine):
    chat = Chat(engine, system="Answer in one word.")
    first = answer(chat, "Name a colour.", max_tokens=4)
    chat.reset()
    assert chat.messages == [{"role": "system", "content": "Answer in one word."}]
    assert answer(chat, "Name a colour.", max_tokens=4) == first


@pytest.mark.slow
def test_a_seed_makes_a_conversation_that_can_be_repeated(engine):
    settings = Settings(temperature=0.9, top_p=0.95, seed=11)
    one, two = (Chat(engine, settings=settings) for _ in range(2))
    for text in ("Tell me a story.", "More."):
        assert answer(one, text, max_tokens=12) == answer(two, text, max_tokens=12)


def test_a_conversation_over_the_context_is_refused_and_stays_as_it_was(engine):
    chat = Chat(engine)
    answer(chat, "Hi.", max_tokens=2)
    before, ids = [dict(m) for m in chat.messages], list(chat._loop.ids)
    with pytest.raises(UserError, match=r"the conversation is \d+ tokens with this message, the model's context holds 8192"):
        answer(chat, "word " * 9000)
    with pytest.raises(UserError, match="the message is empty"):
        answer(chat, "  ")
    assert (chat.messages, chat._loop.ids) == (before, ids)


def test_a_conversation_is_saved_whole_or_not_at_all(engine, tmp_path):
    chat = Chat(engine, settings=Settings(seed=3))
    answer(chat, 'Say "é".', max_tokens=2)
    chat.save(tmp_path / "talk.json")
    record = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))
    assert record["messages"] == chat.messages and record["settings"]["seed"] == 3
    with pytest.raises(UserError, match="is there already: name another file"):
        chat.save(tmp_path / "talk.json")
    with pytest.raises(UserError, match="cannot be written"):
        chat.save(tmp_path / "nowhere" / "talk.json")


def test_a_model_without_a_template_is_named(engine, monkeypatch):
    monkeypatch.setattr(Engine, "chat_template", None)
    with pytest.raises(UserError, match="no chat template"):
        Chat(engine)


def test_a_template_that_makes_nothing_of_a_message_is_refused(engine, monkeypatch):
    monkeypatch.setattr(Engine, "chat_template", "{# nothing #}")
    chat = Chat(engine)
    with pytest.raises(UserError, match="chat template makes no text of this conversation"):
        answer(chat, "Hello?")
    assert chat.messages == []
