import unittest

import anthropic
import openai
from google.genai.errors import APIError
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic as AnthropicLLM
from llama_index.llms.google_genai import GoogleGenAI
from llama_index.llms.openai import OpenAI as OpenAILLM
from llama_index.llms.openai import OpenAIResponses
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

HELLO = [ChatMessage(role="user", content="Say hello")]


class City(BaseModel):
    """A city."""

    city: str
    people: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


class Model:
    """What holds for each provider's class, made with a model's name and no other option."""

    def test_a_plain_call_answers(self):
        self.assertIn("hello", self.llm().chat(HELLO).message.content)

    def test_a_stream_assembles_to_the_same_text(self):
        text = "".join(chunk.delta or "" for chunk in self.llm().stream_chat(HELLO))
        self.assertEqual(text, self.llm().chat(HELLO).message.content)

    async def test_an_async_call_answers(self):
        self.assertIn("hello", (await self.llm().achat(HELLO)).message.content)

    def test_a_tool_is_called_and_its_result_answered(self):
        llm, tool = self.llm(), FunctionTool.from_defaults(get_weather)
        answer = llm.predict_and_call([tool], "Please get_weather")
        self.assertIn("Sunny", str(answer))

    def test_structured_output_is_parsed(self):
        self.assertIsInstance(self.llm().as_structured_llm(City).complete("A city").raw, City)

    def test_a_wrong_key_is_the_providers_authentication_error(self):
        with refused_once(self, "invalid_key"), self.assertRaisesRegex(self.error, "invalid_key|401"):
            self.llm(api_key=WRONG_KEY).chat(HELLO)

    def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaisesRegex(self.error, "budget_exhausted|402"):
            self.llm(api_key=SPENT_KEY).chat(HELLO)


class OpenAI(Model, unittest.IsolatedAsyncioTestCase):
    error = openai.APIStatusError

    def llm(self, **options):
        return OpenAILLM(model="gpt-5.4-mini", **options)

    def test_the_responses_api_answers(self):
        self.assertIn("hello", OpenAIResponses(model="gpt-5.4-mini").chat(HELLO).message.content)


class Anthropic(Model, unittest.IsolatedAsyncioTestCase):
    error = anthropic.APIStatusError

    def llm(self, **options):
        return AnthropicLLM(model="claude-haiku-4-5", **options)


class Google(Model, unittest.IsolatedAsyncioTestCase):
    """It asks for the model's data when it is made."""

    error = APIError

    def llm(self, **options):
        return GoogleGenAI(model="gemini-2.5-flash", **options)
