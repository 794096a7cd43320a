import unittest

from app.storage import Conflict, Table


class TableTest(unittest.TestCase):
    def setUp(self):
        self.table = Table(unique=["name"])

    def test_insert_get_find_delete(self):
        row = self.table.insert({"name": "a"})
        self.assertEqual(self.table.get(row["id"]), row)
        self.assertEqual(self.table.find("name", "a"), row)
        self.assertTrue(self.table.delete(row["id"]))
        self.assertFalse(self.table.delete(row["id"]))
        self.assertIsNone(self.table.get(row["id"]))
        self.assertIsNone(self.table.find("name", "a"))

    def test_unique_column(self):
        self.table.insert({"name": "a"})
        with self.assertRaises(Conflict) as caught:
            self.table.insert({"name": "a"})
        self.assertEqual(caught.exception.column, "name")
        self.assertEqual(len(self.table), 1)

    def test_a_deleted_value_is_free_again_but_its_id_is_not(self):
        first = self.table.insert({"name": "a"})
        self.table.delete(first["id"])
        self.assertNotEqual(self.table.insert({"name": "a"})["id"], first["id"])

    def test_rows_are_copies(self):
        row = self.table.insert({"name": "a"})
        row["name"] = "b"
        self.assertEqual([r["name"] for r in self.table], ["a"])


if __name__ == "__main__":
    unittest.main()
