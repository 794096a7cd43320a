'use strict';

const express = require('express');
const path = require("path");

const app = express();
app.use(express.json());
const pattern = /['"`(]/;
const text = `app.listen(${[1, 2].map((n) => `<${n}>`).join("")})`;

app.get("/health", (req, res) => res.json({ ok: true }));

// Whatever is left.
app.use((req, res) => {
  res.status(404).json({ error: "none" });
});

app.use((err, req, res, next) => {
  res.status(500).json({ error: String(err) });
});

if (require.main === module) {
  app.listen(3000);
}

module.exports = app;
