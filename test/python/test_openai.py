import unittest

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

MODEL = "gpt-5.4-mini"
HELLO = [{"role": "user", "content": "Say hello to the Python SDK"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Berlin"]}}, "required": ["city"]}


class City(BaseModel):
    city: str
    people: int


class Chat(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI()

    def test_a_plain_call_answers(self):
        answer = self.client.chat.completions.create(model=MODEL, messages=HELLO)
        self.assertIn("hello", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_a_stream_assembles_to_the_same_text(self):
        whole = self.client.chat.completions.create(model=MODEL, messages=HELLO).choices[0].message.content
        chunks = self.client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), whole)

    def test_a_tool_is_called_and_its_result_answered(self):
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
        messages = [{"role": "user", "content": "Please get_weather"}]
        called = self.client.chat.completions.create(model=MODEL, messages=messages, tools=tools).choices[0].message
        self.assertEqual(called.tool_calls[0].function.arguments, '{"city":"Berlin"}')
        result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "Sunny"}
        answer = self.client.chat.completions.create(model=MODEL, messages=[*messages, called, result], tools=tools)
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_structured_output_is_parsed(self):
        answer = self.client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
        self.assertIsInstance(answer.choices[0].message.parsed, City)


class Responses(unittest.TestCase):
    def setUp(self):
        self.client = OpenAI()

    def test_a_plain_call_answers(self):
        self.assertIn("hello", self.client.responses.create(model=MODEL, input="Say hello").output_text)

    def test_a_stream_ends_with_the_whole_response(self):
        with self.client.responses.stream(model=MODEL, input="Say hello") as stream:
            text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            self.assertEqual(stream.get_final_response().output_text, text)

    def test_a_tool_is_called(self):
        tools = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS}]
        called = self.client.responses.create(model=MODEL, input="Please get_weather", tools=tools).output[0]
        self.assertEqual(called.arguments, '{"city":"Berlin"}')

    def test_structured_output_is_parsed(self):
        answer = self.client.responses.parse(model=MODEL, input="A city", text_format=City)
        self.assertIsInstance(answer.output_parsed, City)


class Others(unittest.TestCase):
    def test_embeddings_answer(self):
        answer = OpenAI().embeddings.create(model="text-embedding-3-small", input=["one", "two"])
        self.assertEqual(len(answer.data), 2)

    def test_the_model_list_has_what_the_key_may_call(self):
        self.assertIn(MODEL, [model.id for model in OpenAI().models.list()])


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_plain_calls_and_streams_answer(self):
        async with AsyncOpenAI() as client:
            answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
            chunks = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])
            self.assertEqual(text, answer.choices[0].message.content)


class Refusals(unittest.TestCase):
    def test_a_wrong_key_is_an_authentication_error(self):
        with refused_once(self, "invalid_key"), self.assertRaises(openai.AuthenticationError):
            OpenAI(api_key=WRONG_KEY).chat.completions.create(model=MODEL, messages=HELLO)

    def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaises(openai.APIStatusError) as caught:
            OpenAI(api_key=SPENT_KEY).chat.completions.create(model=MODEL, messages=HELLO)
        self.assertEqual(caught.exception.status_code, 402)
        self.assertEqual(caught.exception.code, "budget_exhausted")
