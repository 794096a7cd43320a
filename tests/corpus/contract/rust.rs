//! Contract: Auth
//! Version: abc1234
//! Renegotiation: 2 of 2
pub trait Auth {}
