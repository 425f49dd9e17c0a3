import unittest

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

CITIES = []


class City(BaseModel):
    """A city."""

    city: str
    people: int


@tool("get_weather")
def get_weather(city: str) -> str:
    """The weather in a city."""
    CITIES.append(city)
    return f"Sunny in {city}"


class Model:
    """What holds for each provider's model, given by its name and no other option."""

    def test_a_plain_call_answers(self):
        self.assertIn("hello", LLM(model=self.model).call("Say hello"))

    def test_a_stream_assembles_to_the_same_text(self):
        self.assertEqual(LLM(model=self.model, stream=True).call("Say hello"), LLM(model=self.model).call("Say hello"))

    def test_a_crew_calls_a_tool_and_finishes_its_task(self):
        CITIES.clear()
        agent = Agent(role="Forecaster", goal="Knows the weather", backstory="Reads maps.", llm=self.model, tools=[get_weather])
        task = Task(description="Please get_weather", expected_output="One sentence.", agent=agent)
        self.assertIn("simulated", Crew(agents=[agent], tasks=[task]).kickoff().raw)
        self.assertEqual(len(CITIES), 1)

    def test_structured_output_is_parsed(self):
        self.assertIsInstance(LLM(model=self.model, response_format=City).call("A city"), City)

    def test_a_wrong_key_is_not_retried(self):
        with refused_once(self, "invalid_key"), self.assertRaisesRegex(Exception, "invalid_key|401"):
            LLM(model=self.model, api_key=WRONG_KEY).call("Say hello")

    def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaisesRegex(Exception, "budget_exhausted|402"):
            LLM(model=self.model, api_key=SPENT_KEY).call("Say hello")


class OpenAI(Model, unittest.TestCase):
    model = "openai/gpt-5.4-mini"


class Anthropic(Model, unittest.TestCase):
    model = "anthropic/claude-haiku-4-5"
