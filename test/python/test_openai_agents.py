import asyncio
import unittest

import openai
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

# The SDK's client lives as long as the program, and its connections belong to one event loop.
LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)


class City(BaseModel):
    city: str
    people: int


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


def over_chat(api_key):
    return OpenAIChatCompletionsModel(model="gpt-5.4-mini", openai_client=AsyncOpenAI(api_key=api_key))


class DefaultModel(unittest.TestCase):
    """Model, API (Responses) and tracing are the SDK's own choice."""

    def test_an_agent_answers(self):
        self.assertIn("hello", Runner.run_sync(Agent(name="Greeter"), "Say hello").final_output)

    def test_a_tool_is_called_and_its_result_answered(self):
        agent = Agent(name="Weather", instructions="Be brief.", tools=[get_weather])
        result = Runner.run_sync(agent, "Please get_weather")
        self.assertEqual([item.type for item in result.new_items if "tool" in item.type], ["tool_call_item", "tool_call_output_item"])
        self.assertIn("get_weather", result.final_output)

    def test_a_stream_ends_with_the_final_output(self):
        async def read():
            result = Runner.run_streamed(Agent(name="Greeter"), "Say hello")
            events = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
            return "".join(event.delta for event in events if event.type == "response.output_text.delta"), result.final_output

        text, final = LOOP.run_until_complete(read())
        self.assertEqual(text, final)

    def test_an_output_type_is_parsed(self):
        result = Runner.run_sync(Agent(name="Geographer", output_type=City), "A city")
        self.assertIsInstance(result.final_output, City)

    def test_a_handoff_reaches_the_other_agent(self):
        other = Agent(name="Weather", handoff_description="Knows the weather")
        result = Runner.run_sync(Agent(name="Desk", handoffs=[other]), "Please transfer_to_weather")
        self.assertEqual(result.last_agent.name, "Weather")


class Refusals(unittest.TestCase):
    def test_a_wrong_key_is_an_authentication_error(self):
        agent = Agent(name="Greeter", model=over_chat(WRONG_KEY))
        with refused_once(self, "invalid_key"), self.assertRaises(openai.AuthenticationError):
            Runner.run_sync(agent, "Say hello")

    def test_an_exhausted_budget_is_not_retried(self):
        agent = Agent(name="Greeter", model=over_chat(SPENT_KEY))
        with refused_once(self, "budget_exhausted"), self.assertRaises(openai.APIStatusError):
            Runner.run_sync(agent, "Say hello")
