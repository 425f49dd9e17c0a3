import unittest

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

MODEL = "claude-haiku-4-5"
HELLO = [{"role": "user", "content": "Say hello to the Python SDK"}]
ASK = {"model": MODEL, "max_tokens": 2000, "messages": HELLO}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Berlin"]}}, "required": ["city"]}


class City(BaseModel):
    city: str
    people: int


class Messages(unittest.TestCase):
    def setUp(self):
        self.client = Anthropic()

    def test_a_plain_call_answers(self):
        message = self.client.messages.create(**ASK)
        self.assertIn("hello", message.content[0].text)
        self.assertEqual(message.stop_reason, "end_turn")

    def test_a_stream_assembles_to_the_same_message(self):
        with self.client.messages.stream(**ASK) as stream:
            text = "".join(stream.text_stream)
            self.assertEqual(stream.get_final_message().content[0].text, text)
        self.assertEqual(text, self.client.messages.create(**ASK).content[0].text)

    def test_a_tool_is_called_and_its_result_answered(self):
        ask = {"model": MODEL, "max_tokens": 2000, "tools": [{"name": "get_weather", "input_schema": SCHEMA}]}
        messages = [{"role": "user", "content": "Please get_weather"}]
        called = self.client.messages.create(**ask, messages=messages)
        self.assertEqual(called.content[0].input, {"city": "Berlin"})
        result = {"type": "tool_result", "tool_use_id": called.content[0].id, "content": "Sunny"}
        turns = [*messages, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
        self.assertEqual(self.client.messages.create(**ask, messages=turns).stop_reason, "end_turn")

    def test_structured_output_is_parsed(self):
        self.assertIsInstance(self.client.messages.parse(**ASK, output_format=City).parsed_output, City)

    def test_the_largest_max_tokens_of_the_model_is_served_as_a_stream(self):
        with self.client.messages.stream(**{**ASK, "max_tokens": 64_000}) as stream:
            self.assertEqual(stream.get_final_message().stop_reason, "end_turn")


class Others(unittest.TestCase):
    def test_tokens_are_counted(self):
        self.assertGreater(Anthropic().messages.count_tokens(model=MODEL, messages=HELLO).input_tokens, 0)

    def test_the_model_list_has_what_the_key_may_call(self):
        self.assertIn(MODEL, [model.id for model in Anthropic().models.list()])


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_plain_calls_and_streams_answer(self):
        async with AsyncAnthropic() as client:
            message = await client.messages.create(**ASK)
            async with client.messages.stream(**ASK) as stream:
                self.assertEqual(await stream.get_final_text(), message.content[0].text)


class Refusals(unittest.TestCase):
    def test_a_wrong_key_is_an_authentication_error(self):
        with refused_once(self, "invalid_key"), self.assertRaises(anthropic.AuthenticationError):
            Anthropic(api_key=WRONG_KEY).messages.create(**ASK)

    def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaises(anthropic.APIStatusError) as caught:
            Anthropic(api_key=SPENT_KEY).messages.create(**ASK)
        self.assertEqual(caught.exception.status_code, 402)
