import unittest

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from keyforge import SPENT_KEY, WRONG_KEY, refused_once

MODEL = "gemini-2.5-flash"


class City(BaseModel):
    city: str
    people: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


class Models(unittest.TestCase):
    def setUp(self):
        self.client = genai.Client()
        self.addCleanup(self.client.close)

    def test_a_plain_call_answers(self):
        self.assertIn("hello", self.client.models.generate_content(model=MODEL, contents="Say hello").text)

    def test_a_stream_assembles_to_the_same_text(self):
        whole = self.client.models.generate_content(model=MODEL, contents="Say hello").text
        chunks = self.client.models.generate_content_stream(model=MODEL, contents="Say hello")
        self.assertEqual("".join(chunk.text or "" for chunk in chunks), whole)

    def test_a_python_function_is_called_and_its_result_answered(self):
        config = types.GenerateContentConfig(tools=[get_weather])
        answer = self.client.models.generate_content(model=MODEL, contents="Please get_weather", config=config)
        parts = [part for turn in answer.automatic_function_calling_history for part in turn.parts]
        results = [part.function_response for part in parts if part.function_response]
        self.assertIn("Sunny", results[0].response["result"])
        self.assertTrue(answer.text)

    def test_structured_output_is_parsed(self):
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
        self.assertIsInstance(self.client.models.generate_content(model=MODEL, contents="A city", config=config).parsed, City)

    def test_a_chat_keeps_its_turns(self):
        chat = self.client.chats.create(model=MODEL)
        chat.send_message("Say hello")
        self.assertIn("goodbye", chat.send_message("Say goodbye").text)

    def test_tokens_are_counted(self):
        self.assertGreater(self.client.models.count_tokens(model=MODEL, contents="Say hello").total_tokens, 0)

    def test_embeddings_answer(self):
        answer = self.client.models.embed_content(model="gemini-embedding-001", contents=["one", "two"])
        self.assertEqual(len(answer.embeddings), 2)

    def test_the_model_list_has_what_the_key_may_call(self):
        self.assertIn(f"models/{MODEL}", [model.name for model in self.client.models.list()])


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_plain_calls_and_streams_answer(self):
        async with genai.Client().aio as client:
            answer = await client.models.generate_content(model=MODEL, contents="Say hello")
            chunks = await client.models.generate_content_stream(model=MODEL, contents="Say hello")
            self.assertEqual("".join([chunk.text or "" async for chunk in chunks]), answer.text)


class Refusals(unittest.TestCase):
    def test_a_wrong_key_is_an_unauthenticated_client_error(self):
        client = genai.Client(api_key=WRONG_KEY)
        with refused_once(self, "invalid_key"), self.assertRaises(errors.ClientError) as caught:
            client.models.generate_content(model=MODEL, contents="Say hello")
        self.assertEqual((caught.exception.code, caught.exception.status), (401, "UNAUTHENTICATED"))

    def test_an_exhausted_budget_is_not_retried(self):
        client = genai.Client(api_key=SPENT_KEY)
        with refused_once(self, "budget_exhausted"), self.assertRaises(errors.ClientError) as caught:
            client.models.generate_content(model=MODEL, contents="Say hello")
        self.assertEqual(caught.exception.code, 402)
