import express, { type Express, type Request, type Response, type NextFunction } from "express";

const app: Express = express();
app.use(express.json());

app.use((err: Error, _req: Request, res: Response, _next: NextFunction) => {
  res.status(500).json({ error: err.message });
});

export default app;
