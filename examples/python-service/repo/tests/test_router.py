import unittest

from app.config import Config
from app.main import create_app
from app.router import MAX_BODY, Response, Router
from tests.client import Client


class RouterTest(unittest.TestCase):
    def setUp(self):
        router = Router()
        router.add("GET", "/users/{id}", lambda request: Response({"id": request.params["id"]}))
        router.add("POST", "/echo", lambda request: Response(request.json(), 201))
        router.add("DELETE", "/echo", lambda request: Response(status=204))
        self.client = Client(router)
        self.router = router

    def test_a_parameter_is_one_segment(self):
        self.assertEqual(self.client.request("GET", "/users/7").value, {"id": "7"})
        self.assertEqual(self.client.request("GET", "/users/7/name").status, 404)
        self.assertEqual(self.client.request("GET", "/users/").status, 404)

    def test_json_goes_in_and_out(self):
        answer = self.client.request("POST", "/echo", {"name": "Åse"})
        self.assertEqual((answer.status, answer.value), (201, {"name": "Åse"}))

    def test_a_response_may_have_no_body(self):
        answer = self.client.request("DELETE", "/echo")
        self.assertEqual((answer.status, answer.value), (204, None))
        self.assertNotIn("Content-Type", answer.headers)

    def test_bad_bodies(self):
        for body in (b"", b"{", b"[1]", b"\xff"):
            with self.subTest(body=body):
                self.assertEqual(self.client.request("POST", "/echo", body=body).status, 400)
        self.assertEqual(
            self.client.request("POST", "/echo", body=b" " * (MAX_BODY + 1)).status, 413
        )

    def test_wrong_method_names_the_right_ones(self):
        answer = self.client.request("PUT", "/echo")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "DELETE, POST"))

    def test_two_handlers_for_one_route(self):
        with self.assertRaises(ValueError):
            self.router.add("POST", "/echo", lambda request: Response())


class HealthTest(unittest.TestCase):
    def test_health(self):
        answer = Client(create_app(Config())).request("GET", "/health")
        self.assertEqual((answer.status, answer.value), (200, {"status": "ok"}))


if __name__ == "__main__":
    unittest.main()
