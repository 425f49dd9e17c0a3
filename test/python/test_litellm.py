import unittest

import litellm
import openai
from litellm import acompletion, aembedding, aresponses, completion, embedding, responses
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

HELLO = [{"role": "user", "content": "Say hello"}]
WEATHER = [{"role": "user", "content": "Please get_weather"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Berlin"]}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": PARAMETERS}}]


class City(BaseModel):
    city: str
    people: int


class Model:
    """What holds for each provider's model, with no option but what a case is about."""

    def test_a_plain_call_answers(self):
        self.assertIn("hello", completion(model=self.model, messages=HELLO).choices[0].message.content)

    def test_a_stream_assembles_to_the_same_text(self):
        chunks = completion(model=self.model, messages=HELLO, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, completion(model=self.model, messages=HELLO).choices[0].message.content)

    def test_a_tool_is_called_and_its_result_answered(self):
        called = completion(model=self.model, messages=WEATHER, tools=TOOLS).choices[0].message
        self.assertIn("Berlin", called.tool_calls[0].function.arguments)
        result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "name": "get_weather", "content": "Sunny"}
        answer = completion(model=self.model, messages=[*WEATHER, called, result], tools=TOOLS)
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_structured_output_fits_its_schema(self):
        answer = completion(model=self.model, messages=HELLO, response_format=City)
        City.model_validate_json(answer.choices[0].message.content)

    async def test_async_calls_and_streams_answer(self):
        answer = await acompletion(model=self.model, messages=HELLO)
        chunks = await acompletion(model=self.model, messages=HELLO, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
        self.assertEqual(text, answer.choices[0].message.content)

    def test_responses_answer(self):
        answer = responses(model=self.model, input="Say hello")
        message = next(item for item in answer.output if item.type == "message")
        self.assertIn("hello", message.content[0].text)

    async def test_async_responses_stream(self):
        events = await aresponses(model=self.model, input="Say hello", stream=True)
        text = "".join([event.delta async for event in events if event.type == "response.output_text.delta"])
        self.assertIn("hello", text)

    def test_a_wrong_key_is_an_authentication_error(self):
        with refused_once(self, "invalid_key"), self.assertRaises(litellm.AuthenticationError):
            completion(model=self.model, messages=HELLO, api_key=WRONG_KEY)

    def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaises(openai.APIError) as caught:
            completion(model=self.model, messages=HELLO, api_key=SPENT_KEY)
        self.assertEqual(caught.exception.status_code, 402)


class OpenAI(Model, unittest.IsolatedAsyncioTestCase):
    model = "openai/gpt-5.4-mini"


class Anthropic(Model, unittest.IsolatedAsyncioTestCase):
    """Without `max_tokens` it asks for the largest of the model."""

    model = "anthropic/claude-haiku-4-5"


class Gemini(Model, unittest.IsolatedAsyncioTestCase):
    model = "gemini/gemini-2.5-flash"


class Embeddings(unittest.IsolatedAsyncioTestCase):
    async def test_openai_embeddings_answer(self):
        await self.embed("openai/text-embedding-3-small")

    async def test_gemini_embeddings_answer(self):
        await self.embed("gemini/gemini-embedding-001")

    async def embed(self, model):
        self.assertEqual(len(embedding(model=model, input=["one", "two"]).data), 2)
        self.assertEqual(len((await aembedding(model=model, input=["one", "two"])).data), 2)
