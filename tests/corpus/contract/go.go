package contracts

/* Contract: Auth
   Version: abc1234 */
