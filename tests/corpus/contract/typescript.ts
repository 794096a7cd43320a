/**
 * Contract: Auth
 * Version: abc1234
 */
export interface Auth {}
