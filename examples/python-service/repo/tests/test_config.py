import unittest

from app.config import Config, ConfigError


class ConfigTest(unittest.TestCase):
    def test_defaults(self):
        self.assertEqual(Config.from_env({}), Config())

    def test_environment_wins(self):
        config = Config.from_env({"APP_PORT": "9000", "APP_SECRET": "s"})
        self.assertEqual((config.port, config.secret), (9000, "s"))

    def test_nonsense_is_named(self):
        for text in ("eight", "0", "-1", ""):
            with self.subTest(text=text), self.assertRaisesRegex(ConfigError, "APP_PORT"):
                Config.from_env({"APP_PORT": text})


if __name__ == "__main__":
    unittest.main()
