import express from "express";
import path from 'node:path';

export const app = express();

app.get("/health", (req, res) => res.json({ ok: true }));
