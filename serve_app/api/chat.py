"""The route for OpenAI's clients, and for those of vLLM's endpoint."""

import asyncio

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from deployments.errors import ModelNotFound
from serve_app.api import chat_openapi, recognition
from serve_app.api.authentication import caller_of
from serve_app.api.chat_answer import Answer, stream_answer
from serve_app.api.chat_question import Question, understand
from serve_app.api.chat_schemas import ChatCompletion, ChatRequest
from serve_app.api.disconnects import unless_disconnected
from serve_app.api.documents import document_at
from serve_app.api.request_log import note, request_id
from serve_app.api.routes import Service, ServiceOf, place
from serve_app.api.schemas import dump
from serve_app.api.streaming import EventStream
from serve_app.api.uploads import read_json, within

router = APIRouter()


@router.post(
    "/v1/chat/completions",
    summary="Read a page as a chat",
    dependencies=[Depends(place)],
    response_model=ChatCompletion,
    responses=chat_openapi.RESPONSES,
    openapi_extra=chat_openapi.REQUEST,
)
async def chat(request: Request, service: ServiceOf) -> Response:
    """Read the document in the last message of the user: a picture or a PDF, as a data URI or an address.

    The text beside it says what to do. None, or `markdown`, `text` or `table`, gives that task's result as
    Markdown, without links to figures. One of the model's own prompts, or a prompt of yours, gives the text
    as the model wrote it, boxes and special tokens included. Pages of a document follow each other after a
    blank line; `max_tokens` holds for each of them. Raw text of a single page streams as it is written;
    everything else streams page by page. A page that can't be read is the error of the whole request.
    """
    deadline = asyncio.get_running_loop().time() + service.settings.request_timeout_s
    async with within(deadline):
        body = await read_json(request, ChatRequest, service.settings)
        if body.model != service.model_name:
            raise ModelNotFound(
                f"The model {body.model!r} does not run here; ask for {service.model_name!r}.", "model"
            )
        question = understand(body)
        limit = service.settings.max_document_bytes
        document = await document_at(question.address, question.param, limit, service.fetcher)
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return await unless_disconnected(
        request.receive, _reply(request, service, question, document, deadline, include_usage=usage)
    )


async def _reply(
    request: Request,
    service: Service,
    question: Question,
    document: bytes,
    deadline: float,
    *,
    include_usage: bool,
) -> Response:
    options, pages = question.options, service.settings.max_pages_per_request
    work = await recognition.begin(service.reader, document, options, pages, deadline)
    note(
        request.scope,
        pages=len(work.pages),
        bytes=work.info.size_bytes,
        task=options.task,
        stream=options.stream,
    )
    answer = Answer(f"chatcmpl-{request_id(request.scope)}", service.model_name, question)
    live = options.stream and question.raw and len(work.pages) == 1
    events = recognition.events(
        service.reader,
        work,
        stream=live,
        deadline=deadline,
        writing=question.writing,
        caller=caller_of(request.scope),
    )
    if options.stream:
        return EventStream(stream_answer(events, answer, service.settings, include_usage=include_usage))
    reply = await answer.whole(events)
    note(request.scope, pages_read=len(work.pages))
    return Response(dump(reply), media_type="application/json")
