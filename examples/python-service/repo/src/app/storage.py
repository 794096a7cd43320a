"""A table in memory: rows by id, with unique columns."""

import threading
from typing import Any, Dict, Iterable, Iterator, Optional

Row = Dict[str, Any]


class Conflict(Exception):
    """Another row has this value in a unique column."""

    def __init__(self, column: str):
        super().__init__(f"{column} is taken")
        self.column = column


class Table:
    """Safe for threads. Rows are copied on the way in and out."""

    def __init__(self, unique: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._rows: Dict[int, Row] = {}
        self._indexes: Dict[str, Dict[Any, int]] = {column: {} for column in unique}
        self._next_id = 1

    def insert(self, row: Row) -> Row:
        """Store a row and return it with its new ``id``."""
        with self._lock:
            for column, index in self._indexes.items():
                if row[column] in index:
                    raise Conflict(column)
            stored = dict(row, id=self._next_id)
            self._next_id += 1
            self._rows[stored["id"]] = stored
            for column, index in self._indexes.items():
                index[stored[column]] = stored["id"]
            return dict(stored)

    def get(self, row_id: int) -> Optional[Row]:
        with self._lock:
            row = self._rows.get(row_id)
            return None if row is None else dict(row)

    def find(self, column: str, value: Any) -> Optional[Row]:
        """The row with this value in a unique column."""
        with self._lock:
            row_id = self._indexes[column].get(value)
            return None if row_id is None else dict(self._rows[row_id])

    def delete(self, row_id: int) -> bool:
        with self._lock:
            row = self._rows.pop(row_id, None)
            if row is None:
                return False
            for column, index in self._indexes.items():
                del index[row[column]]
            return True

    def __len__(self) -> int:
        with self._lock:
            return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        with self._lock:
            rows = [dict(row) for row in self._rows.values()]
        return iter(rows)
