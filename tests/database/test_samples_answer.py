"""The questions that the samples suggest are answered from the samples, through the real parser, search and answer."""

from rag_app.services import answers
from rag_app.services.answers import Question
from rag_app.services.context import Context
from rag_app.services.documents import document_text
from rag_app.services.permissions import Actor
from rag_app.services.samples import Samples, load_samples, sample_questions
from rag_app.services.wire import Json
from tests.workspaces import make_actor, open_workshop, work_off

# What the first quote must say, so that it is the answer and not only something on the subject.
TELLS = {
    "How do I bring a locked-out owner back in?": "reset-password",
    "What happens to a scanned PDF?": "OCR",
    "Can I use it without an API key?": "without an API key",
    "Which role may invite people?": "admin and owner",
    "What makes a citation checked?": "supports the sentence",
}
OTHERS = {
    "How do I get back in when the owner is locked out?": "reset-password",
    "How do I change the port?": "RAG_PORT",
    "What does exit code 2 mean?": "wrong use",
    "How long is a session valid?": "14 days",
}
FOREIGN = ("Who painted the Mona Lisa?", "When did the oil crisis of 1973 begin?", "How tall is Mount Everest?")


async def told(context: Context, actor: Actor, samples: Samples, question: str) -> Json:
    started = await answers.ask(context, actor, samples.bot_id, Question(question))
    return await answers.finished(context, actor, started)


async def test_each_suggested_question_is_answered_and_cited(context: Context) -> None:
    actor = await make_actor(context)
    samples = await load_samples(context, actor)
    async with open_workshop(context) as workshop:
        await work_off(context, workshop)
    assert set(samples.suggested_questions) == set(sample_questions()) == set(TELLS)
    wrong = []
    for question, expected in (TELLS | OTHERS).items():
        done = await told(context, actor, samples, question)
        if done["abstained"] or not done["citations"]:
            wrong.append(f"{question} was refused")
            continue
        first = done["citations"][0]
        text = (await document_text(context, actor, first["document_id"])).text
        assert text[first["char_from"] : first["char_to"]] == first["quote"]
        assert f"[{first['n']}]" in done["answer"]
        if expected not in first["quote"]:
            wrong.append(f"{question} got {first['quote']!r}")
    for question in FOREIGN:
        if not (await told(context, actor, samples, question))["abstained"]:
            wrong.append(f"{question} was answered")
    assert not wrong
