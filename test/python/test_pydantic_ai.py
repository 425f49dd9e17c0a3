import unittest

from pydantic import BaseModel
from pydantic_ai import Agent, UsageLimits
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from keyforge import SPENT_KEY, WRONG_KEY, refused_once


class City(BaseModel):
    """A city."""

    city: str
    people: int


class Model:
    """What holds for each provider's model, given by its name and no other option."""

    async def test_an_agent_answers(self):
        self.assertIn("hello", (await Agent(self.name).run("Say hello")).output)

    async def test_a_stream_ends_with_the_same_text(self):
        async with Agent(self.name).run_stream("Say hello") as stream:
            text = await stream.get_output()
        self.assertEqual(text, (await Agent(self.name).run("Say hello")).output)

    async def test_a_tool_is_called_and_its_result_answered(self):
        agent = Agent(self.name)
        cities = []

        @agent.tool_plain
        def get_weather(city: str) -> str:
            """The weather in a city."""
            cities.append(city)
            return f"Sunny in {city}"

        result = await agent.run("Please get_weather")
        self.assertEqual(len(cities), 1)
        self.assertIn("simulated", result.output)

    async def test_structured_output_is_parsed(self):
        self.assertIsInstance((await Agent(self.name, output_type=City).run("A city, please final_result")).output, City)

    async def test_a_wrong_key_is_an_error_with_its_status(self):
        with refused_once(self, "invalid_key"), self.assertRaises(ModelHTTPError) as caught:
            await Agent(self.model(WRONG_KEY)).run("Say hello")
        self.assertEqual(caught.exception.status_code, 401)

    async def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaises(ModelHTTPError) as caught:
            await Agent(self.model(SPENT_KEY)).run("Say hello")
        self.assertEqual(caught.exception.status_code, 402)


class OpenAIChat(Model, unittest.IsolatedAsyncioTestCase):
    name = "openai-chat:gpt-5.4-mini"

    def model(self, api_key):
        return OpenAIChatModel("gpt-5.4-mini", provider=OpenAIProvider(api_key=api_key))


class Counting:
    """What holds for the APIs that count tokens."""

    async def test_tokens_are_counted_before_a_call_with_a_limit(self):
        limits = UsageLimits(input_tokens_limit=1000, count_tokens_before_request=True)
        self.assertIn("hello", (await Agent(self.name).run("Say hello", usage_limits=limits)).output)


class OpenAIResponses(Counting, unittest.IsolatedAsyncioTestCase):
    name = "openai-responses:gpt-5.4-mini"

    async def test_the_responses_api_answers(self):
        self.assertIn("hello", (await Agent(self.name).run("Say hello")).output)


class Anthropic(Model, Counting, unittest.IsolatedAsyncioTestCase):
    name = "anthropic:claude-haiku-4-5"

    def model(self, api_key):
        return AnthropicModel("claude-haiku-4-5", provider=AnthropicProvider(api_key=api_key))
