const express = require("express")
const app = express()

const server =
  app.listen(0)

module.exports = app
server.close()
