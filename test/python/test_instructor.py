import unittest

import instructor
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

ASK = {"messages": [{"role": "user", "content": "A city"}]}


class City(BaseModel):
    """A city."""

    city: str
    people: int


class Provider:
    """What holds for each provider's client, with its default mode and number of tries."""

    def client(self, **options):
        return instructor.from_provider(self.model, **options)

    def test_an_answer_is_the_model_that_was_asked_for(self):
        self.assertIsInstance(self.client().create(response_model=City, **ASK), City)

    async def test_an_async_client_answers(self):
        self.assertIsInstance(await self.client(async_client=True).create(response_model=City, **ASK), City)

    def test_partial_objects_stream(self):
        *_, last = self.client().create_partial(response_model=City, **ASK)
        self.assertEqual(set(last.model_dump()), {"city", "people"})

    def test_a_wrong_key_is_not_retried(self):
        with refused_once(self, "invalid_key"), self.assertRaisesRegex(Exception, "(?i)invalid_key"):
            self.client(api_key=WRONG_KEY).create(response_model=City, **ASK)

    def test_an_exhausted_budget_is_not_retried(self):
        with refused_once(self, "budget_exhausted"), self.assertRaisesRegex(Exception, "(?i)budget_exhausted"):
            self.client(api_key=SPENT_KEY).create(response_model=City, **ASK)


class OpenAI(Provider, unittest.IsolatedAsyncioTestCase):
    model = "openai/gpt-5.4-mini"


class Anthropic(Provider, unittest.IsolatedAsyncioTestCase):
    model = "anthropic/claude-haiku-4-5"


class Google(Provider, unittest.IsolatedAsyncioTestCase):
    model = "google/gemini-2.5-flash"
