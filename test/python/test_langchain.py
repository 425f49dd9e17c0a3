import os
import unittest
from importlib.util import find_spec
from pathlib import Path

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

# OpenAIEmbeddings sends tokens, and tiktoken downloads its encodings; LiteLLM's package contains them.
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers")


class City(BaseModel):
    """A city."""

    city: str
    people: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


class Chat:
    """What holds for the chat model of each provider, made with a model's name and no other option."""

    def test_a_plain_call_answers(self):
        answer = self.chat().invoke("Say hello")
        self.assertIn("hello", answer.text)
        self.assertGreater(answer.usage_metadata["input_tokens"], 0)

    def test_a_stream_assembles_to_the_same_text(self):
        text = "".join(chunk.text for chunk in self.chat().stream("Say hello"))
        self.assertEqual(text, self.chat().invoke("Say hello").text)

    def test_a_tool_is_called(self):
        called = self.chat().bind_tools([get_weather]).invoke("Please get_weather")
        self.assertEqual(called.tool_calls[0]["name"], "get_weather")

    def test_structured_output_is_parsed(self):
        self.assertIsInstance(self.chat().with_structured_output(City).invoke("A city"), City)

    async def test_async_calls_and_streams_answer(self):
        answer = await self.chat().ainvoke("Say hello")
        text = "".join([chunk.text async for chunk in self.chat().astream("Say hello")])
        self.assertEqual(text, answer.text)

    def test_a_batch_answers_every_call(self):
        self.assertEqual(len(self.chat().batch(["Say hello", "Say goodbye", "Say nothing"])), 3)

    def test_a_wrong_key_is_the_providers_authentication_error(self):
        with refused_once(self, "invalid_key"), self.assertRaisesRegex(self.wrong_key_error, "401"):
            self.chat(api_key=WRONG_KEY).invoke("Say hello")

    def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaisesRegex(self.spent_error, "402"):
            self.chat(api_key=SPENT_KEY).invoke("Say hello")


class OpenAIChat(Chat, unittest.IsolatedAsyncioTestCase):
    wrong_key_error = openai.AuthenticationError
    spent_error = openai.APIStatusError

    def chat(self, **options):
        return ChatOpenAI(model="gpt-5.4-mini", **options)

    def test_the_responses_api_answers(self):
        self.assertIn("hello", self.chat(use_responses_api=True).invoke("Say hello").text)


class AnthropicChat(Chat, unittest.IsolatedAsyncioTestCase):
    """Without `max_tokens` it asks for the largest of the model."""

    wrong_key_error = anthropic.AuthenticationError
    spent_error = anthropic.APIStatusError

    def chat(self, **options):
        return ChatAnthropic(model="claude-haiku-4-5", **options)

    def test_a_model_that_reasons_answers(self):
        self.assertIn("hello", ChatAnthropic(model="claude-sonnet-5").invoke("Say hello").text)

    def test_tokens_are_counted(self):
        self.assertGreater(self.chat().get_num_tokens_from_messages([HumanMessage("Say hello")]), 0)


class GoogleChat(Chat, unittest.IsolatedAsyncioTestCase):
    wrong_key_error = ChatGoogleGenerativeAIError
    spent_error = ChatGoogleGenerativeAIError

    def chat(self, **options):
        return ChatGoogleGenerativeAI(model="gemini-2.5-flash", **options)

    def test_tokens_are_counted(self):
        self.assertGreater(self.chat().get_num_tokens("Say hello"), 0)


class Embeddings(unittest.IsolatedAsyncioTestCase):
    async def test_openai_embeddings_answer(self):
        embeddings = OpenAIEmbeddings(model="text-embedding-3-small")
        self.assertEqual(len(embeddings.embed_documents(["one", "two"])), 2)
        self.assertEqual(len(await embeddings.aembed_documents(["one", "two"])), 2)

    def test_google_embeddings_answer(self):
        embeddings = GoogleGenerativeAIEmbeddings(model="gemini-embedding-001")
        self.assertEqual(len(embeddings.embed_documents(["one", "two"])), 2)
        self.assertGreater(len(embeddings.embed_query("one")), 0)
